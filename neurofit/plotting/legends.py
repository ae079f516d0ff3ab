"""Text beside lines: legends that cover no data, labels of references that do not overlap, ticks of steps."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neurofit.plotting.references import Reference
from neurofit.plotting.style import GREY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_INSIDE = 4  # entries of a legend inside the axes
MAX_INSIDE_LETTERS = 36  # of each of them
LETTER_WIDTH = 1.45  # mm, upper bound of the average
MARGINS = 18.0  # mm of a figure's width outside its axes: a legend wider than the axes would shrink them
LINE_HEIGHT = 4.0  # mm
HANDLE_LETTERS = 7  # width of the line before an entry, in letters
MAX_SHARE = 0.4  # of a figure's height that a legend may take before the figure grows
LABEL_GAP = 7.0  # points from one label of a reference to the next


def legend(axes: Axes, *, below: bool = False) -> None:
    """Draw a legend: inside the axes if it has few short entries, otherwise below, in as many columns as fit.

    Parameters
    ----------
    below : bool
        Always draw it below, because inside it might cover error bars and lines of references.
    """
    from matplotlib.transforms import ScaledTranslation

    handles, labels = axes.get_legend_handles_labels()
    if not labels:
        return
    if not below and len(labels) <= MAX_INSIDE and max(map(len, labels)) <= MAX_INSIDE_LETTERS:
        axes.legend()
        return
    shown, columns = _lay_out(labels, _width_share(axes) * axes.figure.bbox.width / axes.figure.dpi * 25.4)
    _grow_figure(axes, labels)
    under = axes.transAxes + ScaledTranslation(0, -30 / 72, axes.figure.dpi_scale_trans)
    axes.legend(
        handles,
        shown,
        loc="upper left",
        bbox_to_anchor=(0, 0),
        bbox_transform=under,
        borderaxespad=0,
        ncols=columns,
    )


def _grow_figure(axes: Axes, labels: Sequence[str]) -> None:
    """Make a figure with single axes higher if the legend would take too much of it."""
    figure = axes.figure.figure  # the whole figure, even from a subfigure
    if len(figure.axes) != 1:
        return
    width, height = (figure.bbox.width / figure.dpi * 25.4, figure.bbox.height / figure.dpi * 25.4)
    needed = legend_height(labels, width)
    if needed > MAX_SHARE * height:
        figure.set_size_inches(width / 25.4, (height + needed) / 25.4)


def legend_height(labels: Sequence[str], width: float) -> float:
    """Height of a legend below the axes of a figure.

    Parameters
    ----------
    labels : sequence of str
        Without numbers of repetitions.
    width : float
        Of the figure [mm].

    Returns
    -------
    float
        In mm.
    """
    shown, columns = _lay_out([f"{label} (n = 99)" for label in labels], width)
    lines = [1 + label.count("\n") for label in shown]
    per_column = -(-len(lines) // columns)
    highest = max(sum(lines[place : place + per_column]) for place in range(0, len(lines), per_column))
    return LINE_HEIGHT * highest + 2


def move_apart(places: Sequence[float], gap: float) -> np.ndarray:
    """Move places as little as possible (least squares) so that neighbours are at least a gap apart, in the same
    order.
    """
    given = np.asarray(places, float)
    order = np.argsort(given, kind="stable")
    pools: list[list[float]] = []  # mean and number of neighbours that touch
    for rank, place in enumerate(given[order]):
        pools.append([place - gap * rank, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (low, few), (high, more) = pools.pop(-2), pools.pop(-1)
            pools.append([(low * few + high * more) / (few + more), few + more])
    means, counts = zip(*pools) if pools else ((), ())
    moved = np.empty(len(given))
    moved[order] = np.repeat(means, np.array(counts, int)) + gap * np.arange(len(given))
    return moved


def label_references(references: Sequence[Reference], axes: Axes) -> None:
    """Write the title of each reference at the right end of its line, moved so that titles do not overlap."""
    if len(references) > 1:
        axes.figure.figure.draw_without_rendering()  # computes the height of the axes
    low, high = axes.get_ylim()
    points = axes.get_window_extent().height / axes.figure.dpi * 72 / (high - low)
    lines = [(one.value - low) * points for one in references]
    for one, line, moved in zip(references, lines, move_apart(lines, LABEL_GAP)):
        axes.annotate(
            one.title,
            (1, one.value),
            xycoords=axes.get_yaxis_transform(),
            xytext=(3, moved - line),
            textcoords="offset points",
            va="center",
            fontsize=6,
            color=GREY,
            annotation_clip=False,
        )


def set_step_axis(axes: Axes, steps: Sequence[np.ndarray], *, whole: bool) -> None:
    """Set the limits slightly beyond the first and the last step; if steps are `whole`, ticks are integers."""
    from matplotlib.ticker import MaxNLocator

    steps = [one for one in steps if len(one)]
    if steps:
        first, last = min(np.min(one) for one in steps), max(np.max(one) for one in steps)
        edge = 0.02 * (last - first) or 0.5 * (1 if whole else max(abs(first), 1e-3))
        axes.set_xlim(first - edge, last + edge)
    if whole:
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))


def single_point_marker(values: np.ndarray) -> dict[str, Any]:
    """The marker of a line with a single value, which would be invisible without one."""
    return {"marker": "o", "markersize": 3} if np.isfinite(values).sum() == 1 else {}


def _width_share(axes: Axes) -> float:
    """The share of the figure's width that its axes take, with their margins."""
    spec = axes.get_subplotspec()
    return len(spec.colspan) / spec.get_gridspec().ncols if spec else axes.get_position().width


def _lay_out(labels: Sequence[str], width: float) -> tuple[list[str], int]:
    """Wrap labels that are wider than the figure, and choose the number of columns."""
    letters = max(int((width - MARGINS) / LETTER_WIDTH), 30)
    shown = [textwrap.fill(label, letters - HANDLE_LETTERS) for label in labels]
    longest = max(len(line) for label in shown for line in label.split("\n"))
    return shown, min(len(shown), 3, max(1, letters // (longest + HANDLE_LETTERS)))
