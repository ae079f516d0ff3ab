"""`history.csv`: a row per `task.log(step, **numbers)`; columns may join later, and the file is then written anew,
whole.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from neurofit.errors import StoreError, UsageError
from neurofit.experiments.grids.params import one_line
from neurofit.files import write_whole


class History:
    """The open history of one attempt."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns: list[str] = []
        self.rows = 0
        self._file = None

    def take_up(self, rows: int) -> None:
        """Go on with a file that has `rows` rows already."""
        self.close()
        try:
            with open(self.path, newline="", encoding="utf-8") as file:
                self.columns = next(csv.reader(file), [])[1:]
        except FileNotFoundError:
            self.columns = []
        self.rows = rows

    def add(self, step: int, numbers: dict[str, float]) -> None:
        values = {name: _number(name, value) for name, value in numbers.items()}
        fresh = [name for name in values if name not in self.columns]
        if fresh:
            self._widen(fresh)
        if self._file is None:
            self._file = self.path.open("a", newline="", encoding="utf-8", buffering=1)
        self._file.write(_line([step, *(values.get(name, "") for name in self.columns)]))
        self.rows += 1

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _widen(self, fresh: list[str]) -> None:
        self.close()
        rows = []
        if self.path.exists():
            with open(self.path, newline="", encoding="utf-8") as file:
                rows = list(csv.reader(file))[1:]
        self.columns += fresh
        width = 1 + len(self.columns)
        table = [["step", *self.columns], *(row + [""] * (width - len(row)) for row in rows)]
        write_whole(self.path, "".join(map(_line, table)), durable=False)


def read_history(path: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Column → steps and numbers, of the rows that have one; a torn last row is passed over.

    Raises
    ------
    FileNotFoundError : nothing was logged
    StoreError : the file is damaged
    """
    with open(path, newline="", encoding="utf-8") as file:
        lines = file.read().splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
    header, *rows = list(csv.reader(lines)) or [[]]
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in header[1:]}
    for row in rows:
        try:
            numbers = [(name, float(cell)) for name, cell in zip(header[1:], row[1:]) if cell]
            step = float(row[0]) if numbers else 0.0
        except ValueError as error:
            raise StoreError(f"{path}: damaged in the row {one_line(','.join(row))}: {error}.") from None
        for name, number in numbers:
            found[name][0].append(step)
            found[name][1].append(number)
    return found


def _line(cells: list) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _number(name: str, value) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UsageError(
            f"task.log: '{name}' is {type(value).__name__} {str(value)[:60]!r}, expected a number. Text "
            "and tables go into task.folder, "
            "facts into task.record(...)."
        ) from None
