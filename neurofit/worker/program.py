"""A program as a child of a task's process: its output goes into the task's log, and a request to stop reaches it."""

from __future__ import annotations

import collections
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from neurofit.errors import ProgramError, text_of
from neurofit.startup_lines import is_startup
from neurofit.worker.child import die_with
from neurofit.worker.descriptors import readable

POLL_SECONDS = 0.2
STOP_SECONDS = 22.0  # between asking the program to stop and killing it; the task itself is killed after 30 s
DRAIN_SECONDS = 0.5  # for output that comes after the program has ended, from processes that it left behind
ASKED_SECONDS = 1.0  # for a signal that reached the program first
LAST_LINES = 20
LONGEST_LINE = 10_000  # characters
_ENDS = re.compile(rb"[\r\n]+")


@dataclass
class Ended:
    """How a program ended."""

    status: int  # exit status; negative: the signal that killed it
    was_asked: bool  # whether it was asked to stop
    last_lines: list[str]

    def __str__(self) -> str:
        if self.status >= 0:
            return f"exit status {self.status}"
        try:
            return f"the signal {signal.Signals(-self.status).name}"
        except ValueError:
            return f"the signal {-self.status}"


@dataclass
class _Lines:
    """Whole lines of a stream of bytes; a progress bar's returns count as ends of lines."""

    each: Callable[[str], None]
    last: collections.deque[str] = field(default_factory=lambda: collections.deque(maxlen=LAST_LINES))
    rest: bytes = b""

    def add(self, data: bytes) -> None:
        *lines, self.rest = _ENDS.split(self.rest + data)
        for line in lines:
            self._line(line)
        if len(self.rest) > LONGEST_LINE:
            self._line(self.rest)
            self.rest = b""

    def close(self) -> None:
        self._line(self.rest)
        self.rest = b""

    def _line(self, line: bytes) -> None:
        text = line[:LONGEST_LINE].decode("utf-8", "replace")
        if text.strip():
            if not is_startup(text):
                self.last.append(text)
            self.each(text)


def run(
    words: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    should_stop: Callable[[], bool],
    stop_signal: int,
    each_line: Callable[[str], None],
) -> Ended:
    """Run a program to its end. What it prints is printed, byte by byte.

    Parameters
    ----------
    words : sequence of str
        The program and its arguments.
    folder : Path
        Where it starts.
    environment : mapping of str to str
        Its whole environment.
    should_stop : callable
        Whether the program should stop. It then gets `stop_signal`, and SIGKILL 22 s later.
    stop_signal : int
    each_line : callable
        Called with each line that it prints.

    Raises
    ------
    ProgramError
        The program cannot be started.
    """
    parent = os.getpid()
    try:
        program = subprocess.Popen(
            list(words),
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,  # one stream, so that the log keeps their order
            preexec_fn=lambda: _begin(parent),
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ProgramError(_unstartable(words[0], folder, environment, error)) from None
    output = program.stdout
    assert output is not None  # a pipe, as asked above
    lines, stopper = _Lines(each_line), _Stopper(program, should_stop, stop_signal)
    try:
        _follow(program, output.fileno(), lines, stopper)
    finally:
        if program.poll() is None:
            program.kill()
            program.wait()
        output.close()
    lines.close()
    return Ended(program.returncode, stopper.asked is not None, list(lines.last))


def is_asked_soon(should_stop: Callable[[], bool]) -> bool:
    """Whether a request to stop comes within a moment, for a program that has ended without its result."""
    deadline = time.monotonic() + ASKED_SECONDS
    while not should_stop():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _begin(parent: int) -> None:
    """In the new process: end with the task, and take signals as usual, which the task may ignore."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches it as the request to stop
    die_with(parent)


@dataclass
class _Stopper:
    """Passes a request to stop on to the program, once, and ends it if it does not follow."""

    program: subprocess.Popen[bytes]
    should_stop: Callable[[], bool]
    number: int
    asked: float | None = None

    def look(self, now: float) -> None:
        if self.asked is None and self.should_stop():
            self.asked = now
            self._signal(self.number)
        elif self.asked is not None and now - self.asked > STOP_SECONDS:
            self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.program.send_signal(number)


def _follow(program: subprocess.Popen[bytes], output: int, lines: _Lines, stopper: _Stopper) -> None:
    """Pass on the program's output until it has ended, also if a process that it leaves behind keeps it open."""
    is_open, ended = True, None
    while True:
        data = _read(output) if is_open else None
        if not is_open:
            _pause(program)
        if data:
            _print(data)
            lines.add(data)
        is_open = is_open and data != b""
        now = time.monotonic()
        if program.poll() is not None:
            ended = ended or now
            if not data or now - ended > DRAIN_SECONDS:
                return
        stopper.look(now)


def _read(output: int) -> bytes | None:
    """What comes within a moment; None if nothing does, and no bytes at the end."""
    return os.read(output, 1 << 16) if readable([output], POLL_SECONDS) else None


def _pause(program: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        program.wait(POLL_SECONDS)


def _print(data: bytes) -> None:
    sys.stdout.flush()
    stream = getattr(sys.stdout, "buffer", None)
    if stream is None:  # replaced by a stream of text
        sys.stdout.write(data.decode("utf-8", "replace"))
    else:
        stream.write(data)
    sys.stdout.flush()


def _unstartable(word: str, folder: Path, environment: Mapping[str, str], error: Exception) -> str:
    if isinstance(error, FileNotFoundError) and not folder.is_dir():
        return f"The program cannot start in {folder}, which does not exist."
    if isinstance(error, FileNotFoundError):
        return (
            f"The program '{word}' was not found. Write its path, or install it on this host "
            f"(PATH: {environment.get('PATH', 'not set')})."
        )
    if isinstance(error, PermissionError):
        return f"The program '{word}' may not be executed. Make the file executable: chmod +x."
    return f"The program '{word}' cannot be started: {getattr(error, 'strerror', None) or text_of(error)}."
