"""Which tasks of two values of an axis pair: alike in repetition and in all else, and as many in every
repetition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurofit.tables.table import Row

ARCHITECTURE = "architecture"


@dataclass(frozen=True)
class Block:
    """The tasks of a comparison: for each repetition and each cell, the rows of either side. All cells are
    full.

    A cell is what both sides were given but for the axis.
    """

    cells: list[dict[Any, tuple[list[int], list[int]]]]  # of each repetition

    def rows(self) -> list[int]:
        return [i for of in self.cells for sides in of.values() for side in sides for i in side]

    def pairs(self) -> list[tuple[int, int]]:
        return [(i, j) for of in self.cells for a, b in of.values() for i in a for j in b]

    def means(self, values: np.ndarray) -> np.ndarray:
        """Means of either side, within each cell, then over the cells of each repetition.

        Parameters
        ----------
        values : ndarray, shape (..., task)

        Returns
        -------
        ndarray, shape (..., repetition, 2)
        """
        if not self.cells:
            return np.empty((*values.shape[:-1], 0, 2))
        found = [
            [[values[..., side].mean(axis=-1) for side in sides] for sides in of.values()]
            for of in self.cells
        ]
        return np.moveaxis(np.array(found).mean(axis=1), (0, 1), (-2, -1))


def block(rows: list[Row], axes: dict[str, list], axis: str, sides: dict[Any, list[int]]) -> Block:
    """The rows of two values of an axis that pair.

    Where two runs differ in nothing that was given, the one with the higher number counts, as a whole; runs
    of an architecture that agree in what both architectures were given all count. Repetitions of a run with
    other defaults are another run.

    Parameters
    ----------
    axes : dict of list
        Name of each axis and its value in each row.
    sides : dict of list
        The two values' keys and the numbers of their rows.
    """
    others = _others(rows, axes, axis, sides)
    tasks: dict[Any, dict[Any, int]] = {}  # (cell, side, run) → repetition → row
    for side, chosen in enumerate(sides.values()):
        for i in chosen:
            cell = tuple(key(axes[name][i]) for name in others)
            tasks.setdefault((cell, side, _run(rows[i])), {})[key(rows[i].get("repetition"))] = i
    if axis != ARCHITECTURE:
        counted: dict[Any, Any] = {}
        for one, of in tasks.items():  # in the order of runs
            if one[:2] not in counted or len(of) >= len(tasks[counted[one[:2]]]):
                counted[one[:2]] = one
        tasks = {one: tasks[one] for one in counted.values()}
    both = _of_both_sides(tasks)
    tasks = {one: of for one, of in tasks.items() if one[0] in both}
    items: dict[
        Any, list[Any]
    ] = {}  # what is kept or left out as one: a run of an architecture, or a pair of runs
    for one in tasks:
        items.setdefault(one if axis == ARCHITECTURE else one[0], []).append(one)
    repetitions = list(dict.fromkeys(repetition for of in tasks.values() for repetition in of))
    there = np.array(
        [[all(r in tasks[one] for one in of) for r in repetitions] for of in items.values()], dtype=bool
    )
    rows_kept, columns_kept = full_block(there.reshape(len(items), len(repetitions)))
    kept = [one for place, of in enumerate(items.values()) if place in rows_kept for one in of]
    both = _of_both_sides(kept)
    cells = []
    for repetition in (repetitions[place] for place in columns_kept):
        of: dict[Any, tuple[list[int], list[int]]] = {cell: ([], []) for cell in both}
        for one in kept:
            if one[0] in both:
                of[one[0]][one[1]].append(tasks[one][repetition])
        cells.append(of)
    return Block(cells if both else [])


def full_block(there: np.ndarray) -> tuple[list[int], list[int]]:
    """Rows and columns of a matrix of bool between which nothing is missing: those that lack most are left
    out, rows before columns, which are the units of an interval.
    """
    rows, columns = list(range(there.shape[0])), list(range(there.shape[1]))
    while rows and columns:
        lacking = ~there[np.ix_(rows, columns)]
        if not lacking.any():
            break
        by_row, by_column = lacking.mean(axis=1), lacking.mean(axis=0)
        if by_row.max() >= by_column.max():
            del rows[int(by_row.argmax())]
        else:
            del columns[int(by_column.argmax())]
    return rows, columns


def why_nothing_pairs(rows: list[Row], axes: dict[str, list], axis: str, sides: dict[Any, list[int]]) -> str:
    """The first of: a value without a done task, other arguments that differ, no common repetition."""
    empty = [
        str(axes[axis][i])
        for i in range(len(rows))
        for level, of in sides.items()
        if not of and key(axes[axis][i]) == level
    ]
    if empty or not all(sides.values()):
        return f"no task with {axis}={empty[0] if empty else '?'} is done"
    others = _others(rows, axes, axis, sides)
    first, second = ({tuple(key(axes[name][i]) for name in others) for i in of} for of in sides.values())
    if first & second:
        return "no repetition is done in all of their runs"
    for place, name in enumerate(others):
        without = [{cell[:place] + cell[place + 1 :] for cell in of} for of in (first, second)]
        if without[0] & without[1]:
            return f"their runs differ in {name} too"
    differing = [
        name
        for place, name in enumerate(others)
        if {cell[place] for cell in first} != {cell[place] for cell in second}
    ]
    return f"their runs differ in {', '.join(differing) or 'several arguments'} too"


def _is_given(rows: list[Row], name: str, chosen: list[int]) -> bool:
    return any(name in params for i in chosen if isinstance(params := rows[i].get("params"), Mapping))


def _others(rows: list[Row], axes: dict[str, list], axis: str, sides: dict[Any, list[int]]) -> list[str]:
    """What must be equal in a pair; of architectures, what both were given."""
    others = [name for name in axes if name != axis]
    if axis == ARCHITECTURE:
        others = [name for name in others if all(_is_given(rows, name, chosen) for chosen in sides.values())]
    return others


def _of_both_sides(tasks: Any) -> set:
    return {cell for cell, side, _ in tasks if side == 0} & {cell for cell, side, _ in tasks if side == 1}


def _run(row: Row) -> tuple:
    defaults = row.get("defaults")
    applied = key(dict(defaults)) if isinstance(defaults, Mapping) else None
    return str(row.get("run")), str(row.get("id")), applied


def key(value: Any) -> Any:
    """Something to compare and hash values by: 1 equals 1.0, as in a run's id, but not True."""
    if isinstance(value, (list, tuple)):
        return "list", tuple(map(key, value))
    if isinstance(value, dict):
        return "dict", frozenset((name, key(inner)) for name, inner in value.items())
    return ("bool", value) if isinstance(value, bool) else value
