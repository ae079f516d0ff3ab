"""Scores and predictions per neuron: read from `neurons.csv` and `predictions.npz` of finished tasks, and drawn."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neurofit import packed
from neurofit.errors import StoreError, UsageError, nearest
from neurofit.plotting.style import COLOURS, GREY, styled
from neurofit.plotting.tasks import PlottedTask

if TYPE_CHECKING:
    from matplotlib.axes import Axes


CORRELATION = "test/correlation"
NeuronTable = dict[str, list[str]]  # column → cells
Neuron = tuple[str, str]  # recording, or "", and number


@dataclass(frozen=True)
class NeuronScores:
    """The scores of one panel.

    Parameters
    ----------
    label : str
        Title of the panel.
    task : PlottedTask
        The first task with scores.
    neurons : list of (recording, number)
    scores : ndarray, shape (repetition, neuron)
        nan where a neuron was not scored.
    """

    label: str
    task: PlottedTask
    neurons: list[Neuron]
    scores: np.ndarray

    @property
    def names(self) -> list[str]:
        """The number of each neuron, with its recording if there are several recordings."""
        several = len({recording for recording, _ in self.neurons}) > 1
        return [f"{recording}/{number}" if several else number for recording, number in self.neurons]

    @property
    def medians(self) -> np.ndarray:
        """Median over repetitions, shape (neuron,)."""
        scored = np.isfinite(self.scores).any(axis=0)
        medians = np.full(self.scores.shape[1], np.nan)
        medians[scored] = np.nanmedian(self.scores[:, scored], axis=0)
        return medians


def read_scores(
    panels: Mapping[str, Sequence[PlottedTask]], metric: str | None
) -> tuple[str, list[NeuronScores], list[str]]:
    """Read the scores per neuron of each panel.

    Parameters
    ----------
    panels : mapping of str to sequence of PlottedTask
        The tasks of each panel by its title.
    metric : str, optional
        A column of `neurons.csv`. Default: the correlation, or the first that all tasks have.

    Returns
    -------
    metric : str
    scores : list of NeuronScores
    notes : list of str
        What was left out.

    Raises
    ------
    UsageError
        No task has such a score.
    """
    tables = {
        label: [(task, table) for task in members if (table := read_neuron_table(task.folder))]
        for label, members in panels.items()
    }
    every = [table for members in tables.values() for _, table in members]
    tasks = [task for members in panels.values() for task in members]
    if not every:
        raise UsageError(f"{tasks[0].folder} has no neurons.csv: the fit saved no scores per neuron.")
    chosen = _choose_score(
        [[name for name in table if name not in ("recording", "number")] for table in every], metric
    )
    notes = []
    if missing := len(tasks) - len(every):
        have = "1 task has" if missing == 1 else f"{missing} tasks have"
        notes.append(f"{have} no scores per neuron and {'is' if missing == 1 else 'are'} left out.")
    found = []
    for label, members in tables.items():
        scored = [(task, scores_of(table, chosen, task.folder)) for task, table in members]
        scored = [(task, scores) for task, scores in scored if np.isfinite(list(scores.values())).any()]
        if scored:
            neurons = list(dict.fromkeys(neuron for _, table in members for neuron in neurons_in(table)))
            matrix = np.array([[scores.get(neuron, np.nan) for neuron in neurons] for _, scores in scored])
            found.append(NeuronScores(label, scored[0][0], neurons, matrix))
        elif members:
            notes.append(f"{label} is left out: no neuron has a score '{chosen}'.")
    if not found:
        raise UsageError(f"{tasks[0].name}: no neuron has a score '{chosen}'.")
    return chosen, found, notes


def read_neuron_table(folder: Path) -> NeuronTable | None:
    """Read the columns of `neurons.csv`; None if the fit saved none.

    Raises
    ------
    StoreError
        It is not a table, or its rows differ in length.
    """
    path = folder / "neurons.csv"
    try:
        text = io.StringIO(packed.read(path).decode("utf-8"), newline="")
        header, *rows = list(csv.reader(text)) or [[]]
    except FileNotFoundError:
        return None
    except (UnicodeDecodeError, csv.Error) as error:
        raise StoreError(f"{path} is damaged: expected comma-separated text ({error}).") from None
    if not header or any(len(row) != len(header) for row in rows):
        raise StoreError(
            f"{path} is damaged: expected {len(header)} cells in every row, as in the first line."
        )
    return {name: [row[place] for row in rows] for place, name in enumerate(header)}


def neurons_in(table: NeuronTable) -> list[Neuron]:
    """Recording and number of each neuron; its place in the table if numbers are missing or not unique."""
    places = [str(place) for place in range(len(next(iter(table.values()))))]
    recordings = table.get("recording") or [""] * len(places)
    numbered = list(zip(recordings, table.get("number") or places))
    return numbered if len(set(numbered)) == len(numbered) else list(zip(recordings, places))


def neurons_of(folder: Path) -> frozenset[Neuron]:
    """The neurons of a finished task; empty if their recordings are not known."""
    table = read_neuron_table(folder)
    return frozenset(neurons_in(table)) if table and "recording" in table else frozenset()


def scores_of(table: NeuronTable, metric: str, folder: Path) -> dict[Neuron, float]:
    """The score of each neuron; nan for an empty cell.

    Raises
    ------
    StoreError
        A cell is not a number.
    """
    try:
        return {
            neuron: float(cell or "nan") for neuron, cell in zip(neurons_in(table), table.get(metric, ()))
        }
    except ValueError as error:
        raise StoreError(f"{folder / 'neurons.csv'} is damaged in the column {metric}: {error}.") from None


def read_predictions(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read responses and predictions of the test set, shape (image, neuron) each; responses that do not count
    are nan.

    Raises
    ------
    UsageError
        The fit saved none.
    """
    try:
        with packed.opened(folder / "predictions.npz") as raw, np.load(raw) as file:
            test = file["part"] == "test"
            return np.where(file["mask"], file["responses"], np.nan)[test], file["predictions"][test]
    except FileNotFoundError:
        raise UsageError(f"{folder} has no predictions.npz: the fit saved no predictions.") from None


def _choose_score(tables: Sequence[Sequence[str]], metric: str | None) -> str:
    """The given score, or else the correlation or the first score that all tables have, or that any has."""
    every = list(dict.fromkeys(name for names in tables for name in names))
    shared = [name for name in every if all(name in names for names in tables)]
    candidates = shared or every
    chosen = metric or next((name for name in (CORRELATION, *candidates) if name in candidates), "")
    if chosen not in every:
        raise UsageError(
            f"There is no score '{chosen}' per neuron.{nearest(chosen, every)} Scores: {', '.join(every)}."
        )
    return chosen


MAX_TICKS = 25
LETTERS = 110  # that fit side by side above the axes


@styled
def draw_neurons(
    scores: np.ndarray,
    axes: Axes,
    *,
    metric: str = "",
    numbers: Sequence[str] = (),
    recordings: Sequence[str] = (),
    title: str = "",
) -> Axes:
    """Draw a bar per neuron, its median over repetitions, with a whisker from the 10th to the 90th percentile.

    Parameters
    ----------
    scores : ndarray of shape (neuron,) or (repetition, neuron)
        nan if a neuron was not scored, which leaves its place empty.
    axes : matplotlib.axes.Axes
        Where to draw.
    metric : str
        What the scores are, for the axis.
    numbers : sequence of str
        A name per neuron. By default their places.
    recordings : sequence of str
        The recording of each neuron. Neighbours of one recording are drawn together, with its name above and
        lines between recordings.
    title : str
        Above the axes.

    Returns
    -------
    matplotlib.axes.Axes
    """
    from matplotlib.transforms import ScaledTranslation

    scores = np.atleast_2d(np.asarray(scores, float))
    scored = np.isfinite(scores).any(axis=0)
    place, known = np.arange(scores.shape[1])[scored], scores[:, scored]
    middle, top, bottom = np.nanpercentile(known, (50, 90, 10), axis=0)
    axes.bar(place, middle, width=0.8, color=COLOURS[0], linewidth=0)
    if len(scores) > 1:
        axes.errorbar(
            place, middle, yerr=[middle - bottom, top - middle], fmt="none", ecolor="black", elinewidth=0.6
        )
    mean = float(np.mean(middle)) if len(middle) else np.nan
    of = "mean of medians" if len(scores) > 1 else "mean"
    axes.axhline(mean, color="black", linewidth=0.8, linestyle="--", label=f"{of} {mean:.3f}")
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set(xlabel="neuron", ylabel=metric.replace("/", " "), xlim=(-0.8, scores.shape[1] - 0.2))
    if len(numbers):
        every = -(-scores.shape[1] // MAX_TICKS)
        axes.set_xticks(np.arange(0, scores.shape[1], every), [str(one) for one in numbers[::every]])
    above = _recordings([str(one) for one in recordings], axes)
    axes.set_title(title, pad=above + 4)
    over = axes.transAxes + ScaledTranslation(0, (above + 2) / 72, axes.figure.dpi_scale_trans)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), bbox_transform=over, borderaxespad=0)
    return axes


def _recordings(recordings: Sequence[str], axes: Axes) -> float:
    """Draw lines between recordings and their names above, without a shared folder; return the height in points."""
    starts = [
        place for place in range(len(recordings)) if not place or recordings[place] != recordings[place - 1]
    ]
    if len(starts) < 2:
        return 0.0
    folders = {one.rpartition("/")[0] for one in recordings}
    names = [
        recordings[start].rpartition("/")[2] if len(folders) == 1 else recordings[start] for start in starts
    ]
    if len(folders) == 1 and folders != {""}:
        axes.set_xlabel(f"neuron of {folders.pop()}/…")
    longest, narrowest = max(map(len, names)), min(np.diff([*starts, len(recordings)])) / len(recordings)
    tilt = 30 if narrowest * LETTERS < longest else 0
    for start, name in zip(starts, names):
        if start:
            axes.axvline(start - 0.5, color=GREY, linewidth=0.6, linestyle=":")
        axes.annotate(
            name,
            (start - 0.5, 1),
            xycoords=axes.get_xaxis_transform(),
            xytext=(1, 2),
            textcoords="offset points",
            fontsize=6,
            color=GREY,
            rotation=tilt,
            annotation_clip=False,
        )
    return 8.0 + (1.8 * longest if tilt else 0.0)  # half of a letter's 3.6 points is height


@styled
def draw_predictions(responses: np.ndarray, predictions: np.ndarray, axes: Axes, *, title: str = "") -> Axes:
    """Draw the responses of one neuron as dots and its predictions as a line, images ordered by prediction.

    Parameters
    ----------
    responses, predictions : ndarray of shape (image,)
        A response that is nan is left out.
    axes : matplotlib.axes.Axes
        Where to draw.
    title : str
        Above the axes.

    Returns
    -------
    matplotlib.axes.Axes
    """
    responses, predictions = np.asarray(responses, float), np.asarray(predictions, float)
    order = np.argsort(predictions, kind="stable")
    axes.plot(responses[order], ".", color=GREY, markersize=3, label="response")
    axes.plot(predictions[order], color=COLOURS[1], label="prediction")
    axes.set(xlabel="image, by its prediction", ylabel="response", title=title)
    axes.legend(loc="upper left")
    return axes
