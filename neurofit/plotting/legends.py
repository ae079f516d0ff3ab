"""Words beside lines: legends that cover no data, names of reference lines that cover no other, ticks."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from neurofit.plotting.references import Reference
from neurofit.plotting.style import GREY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_INSIDE = 4  # entries that find room beside the lines
LONGEST_INSIDE = 36
LETTER = 1.45  # mm, of a legend's letters on average, at most
BESIDE = (
    18.0  # mm, of a figure that its axes do not have: a legend wider than they are would make them smaller
)
LINE = 4.0  # mm, of a legend's lines
HANDLE = 7  # letters that a line's picture takes
MOST_OF_FIGURE = 0.4  # that a legend below may take of a figure that does not grow
NAME = 7.0  # points from one name of a reference to the next


def legend(axes: Axes, *, below: bool = False) -> None:
    """A few short entries beside the lines; others below the axes, in as many columns as find room.

    below : there in any case, as matplotlib's best place inside may lie on error bars and lines of references
    """
    from matplotlib.transforms import ScaledTranslation

    handles, labels = axes.get_legend_handles_labels()
    if not labels:
        return
    if not below and len(labels) <= MOST_INSIDE and max(map(len, labels)) <= LONGEST_INSIDE:
        axes.legend()
        return
    shown, columns = _laid_out(labels, _share(axes) * axes.figure.bbox.width / axes.figure.dpi * 25.4)
    _grow(axes, labels)
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


def _grow(axes: Axes, labels: Sequence[str]) -> None:
    """Makes the figure higher where its only axes would vanish above their legend."""
    wide, high = (
        axes.figure.bbox.width / axes.figure.dpi * 25.4,
        axes.figure.bbox.height / axes.figure.dpi * 25.4,
    )
    needed = room(labels, wide)
    if needed > MOST_OF_FIGURE * high and len(axes.figure.axes) == 1:
        axes.figure.set_size_inches(wide / 25.4, (high + needed) / 25.4)


def room(labels: Sequence[str], width: float) -> float:
    """By how many millimetres a figure this wide has to grow for such a legend below its axes."""
    labels = [f"{label} (n = 99)" for label in labels]
    shown, columns = _laid_out(labels, width)
    deep = [1 + label.count("\n") for label in shown]
    lines = -(-len(deep) // columns)
    return LINE * max(sum(deep[place : place + lines]) for place in range(0, len(deep), lines)) + 2


def apart(places: Sequence[float], gap: float) -> np.ndarray:
    """Places moved as little as possible (least squares), so that each is this far from the next; in their
    order.
    """
    places = np.asarray(places, float)
    order = np.argsort(places, kind="stable")
    pools: list[list[float]] = []  # of neighbours that touch: their mean, and how many
    for rank, place in enumerate(places[order]):
        pools.append([place - gap * rank, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (low, few), (high, more) = pools.pop(-2), pools.pop(-1)
            pools.append([(low * few + high * more) / (few + more), few + more])
    means, counts = zip(*pools) if pools else ((), ())
    moved = np.empty(len(places))
    moved[order] = np.repeat(means, np.array(counts, int)) + gap * np.arange(len(places))
    return moved


def name_references(references: Sequence[Reference], axes: Axes) -> None:
    """Each one's name at the right end of its line, or as near as other names leave room."""
    if len(references) > 1:
        axes.figure.draw_without_rendering()  # only then is it known how high the axes are
    low, high = axes.get_ylim()
    points = axes.get_window_extent().height / axes.figure.dpi * 72 / (high - low)
    lines = [(one.value - low) * points for one in references]
    for one, line, name in zip(references, lines, apart(lines, NAME)):
        axes.annotate(
            one.title,
            (1, one.value),
            xycoords=axes.get_yaxis_transform(),
            xytext=(3, name - line),
            textcoords="offset points",
            va="center",
            fontsize=6,
            color=GREY,
            annotation_clip=False,
        )


def step_axis(axes: Axes, steps: Sequence[np.ndarray], *, whole: bool) -> None:
    """Limits a little beyond the first and the last step; `whole` steps have no fractions as ticks."""
    from matplotlib.ticker import MaxNLocator

    steps = [one for one in steps if len(one)]
    if steps:
        first, last = min(np.min(one) for one in steps), max(np.max(one) for one in steps)
        edge = 0.02 * (last - first) or 0.5 * (1 if whole else max(abs(first), 1e-3))
        axes.set_xlim(first - edge, last + edge)
    if whole:
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))


def dots(values: np.ndarray) -> dict[str, object]:
    """The marker of a line of one value, which would not be seen without."""
    return {"marker": "o", "markersize": 3} if np.isfinite(values).sum() == 1 else {}


def _share(axes: Axes) -> float:
    """How much of the figure's width belongs to the axes, with all that is around them."""
    spec = axes.get_subplotspec()
    return len(spec.colspan) / spec.get_gridspec().ncols if spec else axes.get_position().width


def _laid_out(labels: Sequence[str], width: float) -> tuple[list[str], int]:
    """The labels, broken where one is longer than the figure is wide, and how many columns there are."""
    letters = max(int((width - BESIDE) / LETTER), 30)
    shown = [textwrap.fill(label, letters - HANDLE) for label in labels]
    longest = max(len(line) for label in shown for line in label.split("\n"))
    return shown, min(len(shown), 3, max(1, letters // (longest + HANDLE)))
