"""Which tasks of two values of an axis are paired: same repetition, all other arguments equal, and the same runs
in every repetition.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurofit.tables.table import TaskRow

ARCHITECTURE = "architecture"
Cell = tuple[Hashable, ...]  # values of all other arguments
RunSide = tuple[Cell, int, Hashable]  # cell, side (0 or 1) and run


@dataclass(frozen=True)
class Block:
    """The tasks of a comparison: for each repetition and each cell, the row numbers of both sides.

    A cell is one combination of values of all other arguments. No cell is empty.
    """

    cells: list[dict[Cell, tuple[list[int], list[int]]]]  # one dict per repetition

    def rows(self) -> list[int]:
        return [row for cells in self.cells for sides in cells.values() for side in sides for row in side]

    def pairs(self) -> list[tuple[int, int]]:
        return [(i, j) for cells in self.cells for a, b in cells.values() for i in a for j in b]

    def means(self, values: np.ndarray) -> np.ndarray:
        """Average each side within each cell, then over the cells of each repetition.

        Parameters
        ----------
        values : ndarray, shape (..., task)

        Returns
        -------
        ndarray, shape (..., repetition, 2)
        """
        if not self.cells:
            return np.empty((*values.shape[:-1], 0, 2))
        if all(len(a) == len(b) == 1 for cells in self.cells for a, b in cells.values()):
            places = np.array([[[a[0], b[0]] for a, b in cells.values()] for cells in self.cells])
            of_pairs: np.ndarray = values[..., places].mean(axis=-2)
            return of_pairs
        means = [
            [[values[..., side].mean(axis=-1) for side in sides] for sides in cells.values()]
            for cells in self.cells
        ]
        return np.moveaxis(np.array(means).mean(axis=1), (0, 1), (-2, -1))


def paired_block(
    rows: list[TaskRow],
    axes: dict[str, list[Any]],
    axis: str,
    sides: dict[Hashable, list[int]],
    keys: dict[str, list[Hashable]],
    runs: list[Hashable],
) -> Block:
    """Find the rows of two values of an axis that pair.

    Of two runs that were given the same arguments, the one with more repetitions counts, and of equals the newer
    one. Runs of an architecture that agree in the arguments given to both architectures all count. Repetitions of
    a run with other defaults are treated as another run.

    Parameters
    ----------
    axes : dict of list
        Name of each axis and its value in each row.
    sides : dict of list
        Keys of the two values, and the numbers of their rows.
    keys : dict of list
        `key` of every value of `axes`.
    runs : list
        `run_key` of each row.
    """
    others = [keys[name] for name in _other_axes(rows, axes, axis, sides)]
    tasks: dict[RunSide, dict[Hashable, int]] = {}  # → repetition → row
    for side, chosen in enumerate(sides.values()):
        for i in chosen:
            cell = tuple(of[i] for of in others)
            tasks.setdefault((cell, side, runs[i]), {})[key(rows[i].get("repetition"))] = i
    if axis != ARCHITECTURE:
        counted: dict[tuple[Cell, int], RunSide] = {}
        for one, of_run in tasks.items():  # in the order of runs
            if one[:2] not in counted or len(of_run) >= len(tasks[counted[one[:2]]]):
                counted[one[:2]] = one
        tasks = {one: tasks[one] for one in counted.values()}
    both = _cells_of_both_sides(tasks)
    tasks = {one: of_run for one, of_run in tasks.items() if one[0] in both}
    # What is kept or left out together: one run of an architecture, or a pair of runs.
    units: dict[Hashable, list[RunSide]] = {}
    for one in tasks:
        units.setdefault(one if axis == ARCHITECTURE else one[0], []).append(one)
    repetitions = list(dict.fromkeys(repetition for of_run in tasks.values() for repetition in of_run))
    present = np.array(
        [[all(r in tasks[one] for one in unit) for r in repetitions] for unit in units.values()], dtype=bool
    )
    kept_units, kept_repetitions = full_block(present.reshape(len(units), len(repetitions)))
    kept = [one for place, unit in enumerate(units.values()) if place in kept_units for one in unit]
    both = _cells_of_both_sides(kept)
    if not both:
        return Block([])
    cells = []
    for repetition in (repetitions[place] for place in kept_repetitions):
        filled: dict[Cell, tuple[list[int], list[int]]] = {cell: ([], []) for cell in both}
        for one in kept:
            if one[0] in both:
                filled[one[0]][one[1]].append(tasks[one][repetition])
        cells.append(filled)
    return Block(cells)


def full_block(present: np.ndarray) -> tuple[list[int], list[int]]:
    """Choose rows and columns of a bool matrix between which nothing is missing.

    Those that lack most are left out first; rows before columns, because columns are the units of an interval.
    """
    rows, columns = list(range(present.shape[0])), list(range(present.shape[1]))
    while rows and columns:
        missing = ~present[np.ix_(rows, columns)]
        if not missing.any():
            break
        by_row, by_column = missing.mean(axis=1), missing.mean(axis=0)
        if by_row.max() >= by_column.max():
            del rows[int(by_row.argmax())]
        else:
            del columns[int(by_column.argmax())]
    return rows, columns


def explain_no_pairs(
    rows: list[TaskRow], axes: dict[str, list[Any]], axis: str, sides: dict[Hashable, list[int]]
) -> str:
    """Explain why nothing pairs: a value without a done task, other arguments that differ, or no common
    repetition.
    """
    empty = [
        str(axes[axis][i])
        for i in range(len(rows))
        for level, chosen in sides.items()
        if not chosen and key(axes[axis][i]) == level
    ]
    if empty or not all(sides.values()):
        return f"no task with {axis}={empty[0] if empty else '?'} is done"
    others = _other_axes(rows, axes, axis, sides)
    first, second = (
        {tuple(key(axes[name][i]) for name in others) for i in chosen} for chosen in sides.values()
    )
    if first & second:
        return "no repetition is done in all of their runs"
    for place, name in enumerate(others):
        without = [{cell[:place] + cell[place + 1 :] for cell in cells} for cells in (first, second)]
        if without[0] & without[1]:
            return f"their runs differ in {name} too"
    differing = [
        name
        for place, name in enumerate(others)
        if {cell[place] for cell in first} != {cell[place] for cell in second}
    ]
    return f"their runs differ in {', '.join(differing) or 'several arguments'} too"


def key(value: Any) -> Hashable:
    """A hashable key of a value: 1 equals 1.0, as in the id of a run, but not True."""
    if isinstance(value, (list, tuple)):
        return "list", tuple(map(key, value))
    if isinstance(value, dict):
        return "dict", frozenset((name, key(inner)) for name, inner in value.items())
    return ("bool", value) if isinstance(value, bool) else value


def defaults_key(row: TaskRow) -> Hashable:
    """A key of the defaults that applied to a task; None if they are not recorded."""
    defaults = row.get("defaults")
    return key(dict(defaults)) if isinstance(defaults, Mapping) else None


def _other_axes(
    rows: list[TaskRow], axes: dict[str, list[Any]], axis: str, sides: dict[Hashable, list[int]]
) -> list[str]:
    """Axes that must be equal in a pair; for architectures, only arguments that were given to both."""
    others = [name for name in axes if name != axis]
    if axis == ARCHITECTURE:
        others = [name for name in others if all(_is_given(rows, name, chosen) for chosen in sides.values())]
    return others


def _is_given(rows: list[TaskRow], name: str, chosen: list[int]) -> bool:
    return any(name in params for i in chosen if isinstance(params := rows[i].get("params"), Mapping))


def _cells_of_both_sides(tasks: Iterable[RunSide]) -> set[Cell]:
    sides: tuple[set[Cell], set[Cell]] = (set(), set())
    for cell, side, _ in tasks:
        sides[side].add(cell)
    return sides[0] & sides[1]


def run_key(row: TaskRow) -> Hashable:
    """What the repetitions of a run share: its number, its id and the defaults that applied."""
    return str(row.get("run")), str(row.get("id")), defaults_key(row)
