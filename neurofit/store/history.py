"""`history.csv`: one row per `task.log(step, **numbers)`. If a column is added later, the whole file is
rewritten.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neurofit import packed
from neurofit.errors import StoreError, UsageError, text_of
from neurofit.files import known_to_have, write_whole
from neurofit.text import one_line
from neurofit.transient import retry


class History:
    """The open history of one attempt."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns: list[str] = []
        self.rows = 0
        self._file: int | None = None  # file descriptor
        self._size: int | None = None  # of the complete rows, in bytes

    def take_up(self, rows: int) -> None:
        """Continue a file that already has `rows` rows."""
        self.close()
        self.rows = rows
        self.columns = [cell for row in self._rows()[:1] for cell in row[1:]]

    def _rows(self) -> list[list[str]]:
        """The header and the rows; empty if the file does not exist."""
        return known_to_have(self.path, self.rows + 1 if self.rows else 0, _table) or []

    def add(self, step: float, numbers: dict[str, float]) -> None:
        values = {name: _number(name, value) for name, value in numbers.items()}
        fresh = [name for name in values if name not in self.columns]
        if fresh:
            self._widen(fresh)
        row = _line([step, *(values.get(name, "") for name in self.columns)]).encode()
        retry(lambda: self._write(row))
        self.rows += 1

    def _write(self, row: bytes) -> None:
        try:
            if self._file is None:
                self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
                if self._size is None:
                    self._size = os.fstat(self._file).st_size
                else:
                    os.ftruncate(
                        self._file, self._size
                    )  # an earlier attempt may have written part of the row
            written = os.write(self._file, row)
            if written < len(row):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        except OSError:
            self._close_file()
            raise
        self._size = (self._size or 0) + written

    def close(self) -> None:
        self._close_file()
        self._size = None

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):  # every row has already been written
                os.close(file)

    def _widen(self, fresh: list[str]) -> None:
        self.close()
        rows = self._rows()[1:]
        self.columns += fresh
        width = 1 + len(self.columns)
        table = [["step", *self.columns], *(row + [""] * (width - len(row)) for row in rows)]
        write_whole(self.path, "".join(map(_line, table)), durable=False)


def read_history(path: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Read a history. An incomplete last row is ignored.

    Parameters
    ----------
    path : Path
        The `history.csv` of an attempt.

    Returns
    -------
    dict of str to tuple of list of float
        Column → the steps and the numbers of the rows that have a value in it.

    Raises
    ------
    FileNotFoundError
        If nothing was logged.
    StoreError
        If the file is damaged.
    """
    try:
        lines = packed.read(path).decode("utf-8").splitlines(keepends=True)
        if lines and not lines[-1].endswith("\n"):
            lines.pop()
        header, *rows = list(csv.reader(lines)) or [[]]
    except (UnicodeDecodeError, csv.Error) as error:
        raise StoreError(f"{path}: damaged: expected comma-separated numbers ({error}).") from None
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in header[1:]}
    for row in rows:
        try:
            numbers = [(name, float(cell)) for name, cell in zip(header[1:], row[1:]) if cell]
            step = float(row[0]) if numbers else 0.0
        except ValueError as error:
            raise StoreError(f"{path}: damaged row {one_line(','.join(row))}: {error}.") from None
        for name, number in numbers:
            found[name][0].append(step)
            found[name][1].append(number)
    return found


def _table(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_bytes().decode(), newline="")))


def _line(cells: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UsageError(
            f"task.log: '{name}' is {type(value).__name__} {text_of(value)[:60]!r}, expected a number. Write "
            "text and tables to files in task.folder, and facts with task.record(...)."
        ) from None
