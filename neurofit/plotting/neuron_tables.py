"""Files of finished tasks that pictures read: `neurons.csv` and `predictions.npz`."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from neurofit.errors import StoreError, UsageError

Table = dict[str, list[str]]
Neuron = tuple[str, str]  # recording, or nothing, and number


def neurons_table(folder: Path) -> Table | None:
    """Column → cells of `neurons.csv`; None where the fit saved none.

    Raises
    ------
    StoreError : its rows are not of one length
    """
    path = folder / "neurons.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = list(csv.reader(file)) or [[]]
    except FileNotFoundError:
        return None
    if not header or any(len(row) != len(header) for row in rows):
        raise StoreError(f"{path}: damaged: not every row has the {len(header)} columns of its first line.")
    return {name: [row[place] for row in rows] for place, name in enumerate(header)}


def neurons(table: Table) -> list[Neuron]:
    """Recording and number of each; places in a table without numbers, or whose numbers tell them not
    apart.
    """
    places = [str(place) for place in range(len(next(iter(table.values()))))]
    recordings = table.get("recording") or [""] * len(places)
    found = list(zip(recordings, table.get("number") or places))
    return found if len(set(found)) == len(found) else list(zip(recordings, places))


def neurons_of(folder: Path) -> frozenset[Neuron]:
    """The recorded neurons of a finished task; none where it does not tell of which recording they are."""
    table = neurons_table(folder)
    return frozenset(neurons(table)) if table and "recording" in table else frozenset()


def scores_of(table: Table, metric: str, folder: Path) -> dict[Neuron, float]:
    """
    Raises
    ------
    StoreError : a cell is no number
    """
    try:
        return {one: float(cell or "nan") for one, cell in zip(neurons(table), table.get(metric, ()))}
    except ValueError as error:
        raise StoreError(f"{folder / 'neurons.csv'}: damaged: column {metric}: {error}.") from None


def predicted(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Test responses, nan where they do not count, and predictions: (image, neuron) each.

    Raises
    ------
    UsageError : the fit saved none
    """
    try:
        with np.load(folder / "predictions.npz") as file:
            test = file["part"] == "test"
            return np.where(file["mask"], file["responses"], np.nan)[test], file["predictions"][test]
    except FileNotFoundError:
        raise UsageError(f"{folder} has no predictions.npz: its fit saved no predictions.") from None
