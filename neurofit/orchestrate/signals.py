"""Signals that end a command: held back until the queue's answer is noted, or raised while watching."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signalled(KeyboardInterrupt):
    """A signal arrived that ends this command."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def kept(notice: Callable[[], None]) -> Iterator[list[int]]:
    """Hold signals back: those that arrive are appended to the list. A second Ctrl-C is raised.

    Parameters
    ----------
    notice : callable
        Called when the first signal arrives.
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
    """Raise each signal as `Signalled` when it arrives."""

    def come(number: int, frame: FrameType | None) -> None:
        raise Signalled(number)

    with _handled_by(come):
        yield


@contextlib.contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Only in the main thread, and not for signals that are ignored, as under `nohup`."""
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
