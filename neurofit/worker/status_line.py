"""A line at the end of a terminal that says how far the task is which runs in the foreground.

It is removed before the task's own output is written, and is drawn only where that ended with a whole line: a
program may draw a progress bar of its own.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from neurofit.text import cell_width, printable

_REMOVE = b"\r\x1b[K"
_SECONDS = 0.5  # between two looks


@dataclass
class StatusLine:
    """What is shown after the output of a task.

    Parameters
    ----------
    text : callable
        The line as it should be now; empty for none.
    descriptor : int, default 2
        The terminal.
    """

    text: Callable[[], str]
    descriptor: int = 2
    _shown: bool = False
    _at_start_of_line: bool = True
    _looked: float = float("-inf")

    def remove(self) -> None:
        """Make room for output."""
        if self._shown:
            self._write(_REMOVE)
            self._shown = False

    def printed(self, data: bytes) -> None:
        """Note what was written to the terminal."""
        self._at_start_of_line = data.endswith(b"\n")

    def draw(self) -> None:
        """Draw the line, unless that was done a moment ago or a line of output is incomplete."""
        now = time.monotonic()
        if not self._at_start_of_line or now - self._looked < _SECONDS:
            return
        self._looked = now
        text = _cut(printable(self.text()), self._columns() - 1)
        if text:
            self._write(_REMOVE + text.encode("utf-8", "backslashreplace"))
            self._shown = True

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self.descriptor).columns
        except OSError:
            return 80

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(self.descriptor, data)


def _cut(text: str, room: int) -> str:
    """The beginning of the text that fits."""
    if cell_width(text) <= room:
        return text
    while text and cell_width(text) >= room:
        text = text[:-1]
    return f"{text}…"
