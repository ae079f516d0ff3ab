"""Signals that end a command: kept until the queue's answer is noted, or raised where a command only
watches.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signalled(KeyboardInterrupt):
    """A signal came that ends this command."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def kept(notice: Callable[[], None]) -> Iterator[list[int]]:
    """Signals that came are in the list, and end nothing, except for a second Ctrl-C, which is raised.

    Parameters
    ----------
    notice : called when the first one comes
    """
    came: list[int] = []

    def keep(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and number in came:
            raise Signalled(number)
        came.append(number)
        if len(came) == 1:
            notice()

    with _handled_by(keep):
        yield came


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Each of them is raised as `Signalled`, where it comes."""

    def come(number: int, frame: FrameType | None) -> None:
        raise Signalled(number)

    with _handled_by(come):
        yield


@contextlib.contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """In the main thread, and but for signals that are ignored, as by `nohup`."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
