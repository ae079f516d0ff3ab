"""Scores against one argument, such as the layers of a network: mean or median over neurons, then over repetitions."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from neurofit.errors import ShapeError, UsageError, nearest
from neurofit.experiments.grid.params import short
from neurofit.plotting.groups import labels_by, labels_by_run, values_of
from neurofit.plotting.lines import LETTER_WIDTH, MARGINS, legend_fits
from neurofit.plotting.neurons import CORRELATION, read_neuron_table, scores_of
from neurofit.plotting.style import line_style, styled
from neurofit.plotting.tasks import PlottedTask
from neurofit.tables.table import describe_differences, join_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = (CORRELATION, "test/explained_variance")  # without --metric
PERCENTILES = (50, 90, 10)
MAX_LINES = 14
BESIDE_LETTERS = 32  # of a line of the legend beside the axes


@dataclass(frozen=True)
class AxisLine:
    """One line: its label, and a score per repetition (or pooled task) at each value of the axis.

    Parameters
    ----------
    label : str
    scores : list of ndarray
        Per value of the axis; empty where no task has it.
    neurons : list of list of int
        How many neurons were scored, in the order of the scores.
    """

    label: str
    scores: list[np.ndarray]
    neurons: list[list[int]]


@dataclass(frozen=True)
class AxisScores:
    """The scores of one metric against an axis: its values, as text, and the lines."""

    axis: str
    metric: str
    average: str
    values: list[str]
    lines: list[AxisLine]


def read_over_axis(
    tasks: Sequence[PlottedTask], axis: str, by: str | None, metric: str | None, average: str
) -> tuple[list[AxisScores], list[str]]:
    """Read scores per neuron and average them over neurons, for every value of an argument.

    Parameters
    ----------
    axis : str
        The argument on the x axis.
    by : str, optional
        A line per value of this argument. Default: a line per combination of all arguments but the axis.
    metric : str, optional
        A column of `neurons.csv`. Default: correlation and explained variance of the test set, as far as there.
    average : str
        "mean" or "median" over neurons.

    Returns
    -------
    scores : list of AxisScores
        One per metric.
    notes : list of str

    Raises
    ------
    UsageError
        No task has such an argument or score, or there are too many lines.
    """
    places, texts = _ordered(values_of(axis, tasks))
    if by == axis:
        raise UsageError(f"--by {by} and --over {axis} are the same argument. Give another one to --by.")
    labels = labels_by(by, tasks) if by else labels_by_run(tasks, left_out=axis)
    tables = [read_neuron_table(task.folder) for task in tasks]
    columns = list(dict.fromkeys(name for table in tables for name in table or ()))
    known = [name for name in columns if name not in ("recording", "number")]
    if not known:
        raise UsageError(f"{tasks[0].folder} has no neurons.csv: the fit saved no scores per neuron.")
    if metric and metric not in known:
        raise UsageError(
            f"There is no score '{metric}' per neuron.{nearest(metric, known)} Scores: {', '.join(known)}."
        )
    metrics = [metric] if metric else [name for name in SHOWN if name in known] or known[:1]
    if len(names := list(dict.fromkeys(labels))) > MAX_LINES:
        raise UsageError(
            f"{len(names)} lines do not fit in one picture (at most {MAX_LINES}). Give a line per value of one "
            "argument with --by AXIS, or select fewer runs."
        )
    found = []
    for name in metrics:
        lines = []
        for label in names:
            scores: list[list[float]] = [[] for _ in texts]
            counts: list[list[int]] = [[] for _ in texts]
            for task, table, place, own in zip(tasks, tables, places, labels):
                if own != label or not table:
                    continue
                values = np.array(list(scores_of(table, name, task.folder).values()))
                values = values[np.isfinite(values)]
                if len(values):
                    scores[place].append(float(np.median(values) if average == "median" else np.mean(values)))
                    counts[place].append(len(values))
            lines.append(AxisLine(label, [np.array(one) for one in scores], counts))
        if not any(len(one) for line in lines for one in line.scores):
            raise UsageError(f"{tasks[0].name}: no neuron has a score '{name}'.")
        found.append(AxisScores(axis, name, average, texts, lines))
    return found, _notes(tasks, labels, places, tables, by, axis)


def _ordered(values: Sequence[Any]) -> tuple[list[int], list[str]]:
    """The place of each value on the axis, and the text of each place: numbers ascend, others keep their order."""
    by_key = {repr(value): value for value in values}
    if all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in by_key.values()):
        by_key = dict(sorted(by_key.items(), key=lambda item: item[1]))
    keys = list(by_key)
    return [keys.index(repr(value)) for value in values], [short(value) for value in by_key.values()]


def _notes(
    tasks: Sequence[PlottedTask],
    labels: Sequence[str],
    places: Sequence[int],
    tables: Sequence[Any],
    by: str | None,
    axis: str,
) -> list[str]:
    notes = []
    if missing := sum(not table for table in tables):
        have = "1 task has" if missing == 1 else f"{missing} tasks have"
        notes.append(f"{have} no scores per neuron and {'is' if missing == 1 else 'are'} left out.")
    pools: dict[tuple[str, int], list[PlottedTask]] = {}
    for task, label, place in zip(tasks, labels, places):
        pools.setdefault((label, place), []).append(task)
    if pooled := [pool for pool in pools.values() if len({task.run for task in pool}) > 1]:
        labels_of_pools = join_words(
            dict.fromkeys(labels[tasks.index(pool[0])] or "the line" for pool in pooled)
        )
        differ = describe_differences([task.row for task in pooled[0]])
        remedy = f"Give a line to each with --by, or select fewer runs (--where). {differ}".strip()
        notes.append(f"{labels_of_pools}: several runs have the same {axis} and are pooled. {remedy}")
    return notes


@styled
def draw_over_axis(
    lines: Mapping[str, Sequence[ArrayLike]],
    axes: Axes,
    *,
    values: Sequence[str],
    axis: str = "",
    metric: str = "",
    title: str = "",
) -> Axes:
    """Draw scores against the values of an argument, such as layers in the order of depth: a line with points
    for each value of another argument, such as weights, with a band over repetitions.

    The line is the median over repetitions; the band reaches from the 10th to the 90th percentile.

    Parameters
    ----------
    lines : dict of str to sequence
        By label: for each value, its scores, one per repetition. Their numbers may differ; an empty one leaves
        a gap.
    axes : matplotlib.axes.Axes
        Where to draw.
    values : sequence of str
        The texts of the x axis, in their order, at equal distances.
    axis, metric : str
        Texts of the axes. Say in `metric` what the scores are averaged over.
    title : str
        Above the axes.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ShapeError
        A line has scores for more or fewer values than there are.
    """
    places = np.arange(len(values))
    for number, (label, scores) in enumerate(lines.items()):
        if len(scores) != len(values):
            raise ShapeError(
                f"The line '{label}' has scores for {len(scores)} values, expected {len(values)}."
            )
        middle, top, bottom = summarise(scores)
        most = max(np.size(one) for one in scores)
        style = line_style(number)
        shown = f"{label} (n = {most})" if label else f"n = {most}"
        axes.plot(places, middle, marker="o", markersize=3.5, label=shown, **style)
        if most > 1:
            axes.fill_between(places, bottom, top, color=style["color"], alpha=0.18, linewidth=0)
    axes.set_xticks(places, [str(value) for value in values])
    spec = axes.get_subplotspec()
    columns = spec.get_gridspec().ncols if spec else 1
    room = axes.figure.bbox.width / axes.figure.dpi * 25.4 / columns - MARGINS
    if max(len(str(value)) + 2 for value in values) * LETTER_WIDTH > room / len(values):
        for text in axes.get_xticklabels():
            text.set(rotation=35, ha="right", rotation_mode="anchor")
    axes.set(xlabel=axis, ylabel=metric.replace("/", " ").replace("_", " "), title=title)
    axes.set_xlim(-0.4, len(values) - 0.6)
    if axes.get_ylim()[0] < 0:
        axes.axhline(0, color="black", linewidth=0.6, zorder=0)
    if legend_fits(lines):
        axes.legend()
    else:
        handles, labels = axes.get_legend_handles_labels()
        wrapped = [textwrap.fill(label, BESIDE_LETTERS) for label in labels]
        axes.legend(handles, wrapped, loc="upper left", bbox_to_anchor=(1, 1))
    return axes


def summarise(scores: Sequence[ArrayLike]) -> np.ndarray:
    """Median, 90th and 10th percentile over repetitions at each value, nan where there is none: shape (3, value)."""
    arrays = [np.asarray(one, float).ravel() for one in scores]
    arrays = [one[np.isfinite(one)] for one in arrays]
    return np.array(
        [np.percentile(one, PERCENTILES) if len(one) else np.full(len(PERCENTILES), np.nan) for one in arrays]
    ).T
