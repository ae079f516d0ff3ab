"""`neurofit answer MARK`: what `--host` on another machine runs here. It reads one request and records nothing."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import click

from neurofit.cli import options, terminal
from neurofit.cli.hosts import ANSWERED, FORMAT

ALIVE_SECONDS = 10.0
NOT_UNDERSTOOD = 2


@click.command(epilog=options.examples("neurofit status --host anna@cluster:study"))
@click.argument("mark")
def command(mark: str) -> int:
    """Answer a request that `--host` has sent; not for use by hand."""
    import neurofit
    from neurofit import recording
    from neurofit.cli.application import group, run
    from neurofit.study import Study

    try:
        request = json.loads(sys.stdin.buffer.read())
        words, screen = request["words"], terminal.Screen(**request["screen"])
        understood = request["format"] == FORMAT and words[0] in ANSWERED
    except (ValueError, TypeError, LookupError):
        understood = False
    if not understood:
        terminal.error("This version of neurofit does not understand the request.")
        return NOT_UNDERSTOOD
    answer = _Answer(mark)
    answer.send({"format": FORMAT, "version": neurofit.__version__})
    study = Study(Path.cwd())
    with recording.off(), terminal.transcribing(screen, answer.send):
        code = run(group, "neurofit", [str(word) for word in words], obj=study)
    answer.send({"exit": code})
    return 0


class _Answer:
    """Sends objects, one a line; what else is printed here goes to stderr. Ends the process if nobody listens."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._file = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self._lock = threading.Lock()
        threading.Thread(target=self._stay_alive, daemon=True).start()

    def send(self, value: dict[str, Any]) -> None:
        line = f"\n{self._mark} {json.dumps(value, default=str)}\n".encode()
        try:
            with self._lock:
                self._file.write(line)
                self._file.flush()
        except OSError:
            os._exit(1)  # the other host is gone

    def _stay_alive(self) -> None:
        pause = threading.Event()
        while not pause.wait(ALIVE_SECONDS):
            self.send({"alive": True})
