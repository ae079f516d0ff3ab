"""How far a pass over images, or over other things, is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator

_LINE_SECONDS = 10.0


@contextlib.contextmanager
def progress(what: str, total: int, things: str = "images") -> Iterator[Callable[[int], None]]:
    """Show the progress of a pass on stderr; yields a function that is called with the number of things done so far."""
    if sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb"):
        with _bar(what, total) as report:
            yield report
    else:
        yield _lines(what, total, things)


@contextlib.contextmanager
def _bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as display:
        task = display.add_task(what, total=total)
        yield lambda done: display.update(task, completed=done)


def _lines(what: str, total: int, things: str) -> Callable[[int], None]:
    began = printed = time.monotonic()
    first: int | None = None

    def report(done: int) -> None:
        nonlocal printed, first
        first = done if first is None else first
        now = time.monotonic()
        if now - printed > _LINE_SECONDS or (done == total and now - began > _LINE_SECONDS):
            rate = (done - first) / (now - began)
            print(
                f"{what}: {done:,} of {total:,} {things}, {rate:.3g} {things}/s", file=sys.stderr, flush=True
            )
            printed = now

    return report
