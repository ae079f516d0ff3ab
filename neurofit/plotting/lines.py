"""Drawing lines: curves over repetitions, training progress, tuning curves; their legends and ticks."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neurofit.errors import UsageError
from neurofit.plotting.curves import Curve, History, error_bar_places
from neurofit.plotting.references import Reference
from neurofit.plotting.style import COLOURS, GREY, line_style, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes


FAINT = 0.35


@styled
def draw_curves(
    curves: Sequence[Curve],
    axes: Axes,
    *,
    metric: str = "",
    references: Sequence[Reference] = (),
    bands: bool = False,
) -> Axes:
    """Draw a line per curve, with bars from bottom to top; faint at steps that not all repetitions reached.

    Parameters
    ----------
    curves : sequence of Curve
        What to draw.
    axes : matplotlib.axes.Axes
        Where to draw.
    metric : str
        What the values are, for the axis.
    references : sequence of Reference
        Lines and bands beside the curves.
    bands : bool
        Whether to shade areas instead of drawing bars.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    UsageError
        There are no curves.
    """
    if not curves:
        raise UsageError(
            "There are no curves to draw. Make some with `neurofit.curves(...)` or `over_repetitions(...)`."
        )
    for place, curve in enumerate(curves):
        style = line_style(place)
        complete = np.where(curve.count == curve.repetitions, curve.middle, np.nan)
        axes.plot(curve.steps, curve.middle, alpha=FAINT, **style, **single_point_marker(curve.middle))
        axes.plot(curve.steps, complete, label=_label(curve), **style, **single_point_marker(complete))
        if curve.repetitions > 1:
            _draw_spread(curve, axes, style["color"], bands)
    normalised = any(one.normalised for one in curves)
    units = {one.unit for one in curves}
    axes.set_xlabel("share of the training" if normalised else units.pop() if len(units) == 1 else "step")
    axes.set_ylabel(metric.replace("/", " "))
    _draw_reference_lines(references, axes)
    set_step_axis(
        axes,
        [one.steps for one in curves],
        whole=not normalised and all(_are_whole(one.steps) for one in curves),
    )
    _fine_ticks(axes)
    legend(axes, below=True)
    label_references(references, axes)
    return axes


@styled
def draw_references(references: Sequence[Reference], axes: Axes) -> Axes:
    """Draw a grey line per published result, with its title at the right end, and its band if it has one.

    Parameters
    ----------
    references : sequence of Reference
        What to draw.
    axes : matplotlib.axes.Axes
        Where to draw.

    Returns
    -------
    matplotlib.axes.Axes
    """
    _draw_reference_lines(references, axes)
    label_references(references, axes)
    return axes


@styled
def draw_progress(
    histories: Mapping[str, Sequence[History]],
    axes: Axes,
    *,
    stops: Sequence[float | None] = (),
    metric: str = "loss",
    title: str = "",
    unit: str = "step",
) -> Axes:
    """Draw a colour per part and a line per repetition, with a ring at the step whose weights were kept.

    Parameters
    ----------
    histories : dict of str to sequence of History
        By part: "train", "validation".
    axes : matplotlib.axes.Axes
        Where to draw.
    stops : sequence of float or None
        Per repetition, the step whose weights it kept, marked on the last part.
    metric : str
        What the values are, for the axis.
    title : str
        Above the axes.
    unit : str
        What steps are, for the axis.

    Returns
    -------
    matplotlib.axes.Axes
    """
    for place, (name, repetitions) in enumerate(histories.items()):
        for number, history in enumerate(repetitions):
            label = name if number == 0 else None
            axes.plot(
                history.steps,
                history.values,
                color=COLOURS[place],
                alpha=0.8,
                label=label,
                linewidth=0.9,
                **single_point_marker(history.values),
            )
    monitored = list(histories.values())[-1]
    kept = [
        (stop, np.interp(stop, one.steps, one.values))
        for one, stop in zip(monitored, stops)
        if stop is not None
    ]
    if kept:
        axes.plot(
            *zip(*kept), "o", color="black", fillstyle="none", markersize=6, label="weights kept", zorder=5
        )
    if len(kept) == 1:
        axes.axvline(kept[0][0], color="black", linewidth=0.6, linestyle=":")
    axes.set(xlabel=unit, ylabel=metric, title=title)
    steps = [one.steps for repetitions in histories.values() for one in repetitions]
    set_step_axis(axes, steps, whole=all(_are_whole(one) for one in steps))
    legend(axes)
    return axes


@styled
def draw_lines(
    x: np.ndarray,
    y: np.ndarray,
    axes: Axes,
    *,
    labels: Sequence[str] = (),
    x_label: str = "",
    y_label: str = "",
    title: str = "",
    x_scale: str = "linear",
    x_ticks: Sequence[float] | None = None,
) -> Axes:
    """Draw one line per row of y: up to seven in colours with a legend, more in grey with a black median.

    Parameters
    ----------
    x : ndarray of shape (x,)
        Shared by all lines.
    y : ndarray of shape (line, x)
        The lines.
    axes : matplotlib.axes.Axes
        Where to draw.
    labels : sequence of str
        A name per line.
    x_label, y_label, title : str
        Texts of the axes.
    x_scale : str
        A scale of matplotlib: "linear", "log", …
    x_ticks : sequence of float, optional
        Where x has ticks.

    Returns
    -------
    matplotlib.axes.Axes
    """
    few = len(y) <= len(COLOURS)
    for place, row in enumerate(y):
        style = line_style(place) if few else {"color": GREY, "alpha": 0.4, "linewidth": 0.6}
        label = labels[place] if few and len(labels) else None
        axes.plot(x, row, marker=".", markersize=3, label=label, **style)
    if not few:
        axes.plot(x, np.nanmedian(y, axis=0), color="black", label=f"median of {len(y)}")
    axes.set(xlabel=x_label, ylabel=y_label, title=title, xscale=x_scale)
    if x_scale == "log":
        _plain_log_ticks(axes)
    if x_ticks is not None:
        axes.set_xticks(x_ticks)
    axes.set_ylim(bottom=min(0, np.nanmin(y)))
    if few and len(labels):
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    else:
        legend(axes)
    return axes


def _draw_reference_lines(references: Sequence[Reference], axes: Axes) -> None:
    for reference in references:
        axes.axhline(reference.value, color=GREY, linewidth=0.8, linestyle=(0, (4, 2)), zorder=0)
        if reference.top is not None and reference.bottom is not None:
            axes.axhspan(reference.bottom, reference.top, color=GREY, alpha=0.15, linewidth=0, zorder=0)


def _are_whole(steps: np.ndarray) -> bool:
    return bool(np.all(steps == np.round(steps)))


def _label(curve: Curve) -> str:
    return f"{curve.label} (n = {curve.repetitions})" if curve.label else f"n = {curve.repetitions}"


def _draw_spread(curve: Curve, axes: Axes, colour: str, bands: bool) -> None:
    if bands:
        axes.fill_between(curve.steps, curve.bottom, curve.top, color=colour, alpha=0.15, linewidth=0)
        return
    some = error_bar_places(len(curve.steps))
    lengths = np.maximum(0, [curve.middle[some] - curve.bottom[some], curve.top[some] - curve.middle[some]])
    axes.errorbar(
        curve.steps[some],
        curve.middle[some],
        yerr=lengths,
        fmt="none",
        ecolor=colour,
        elinewidth=0.5,
        alpha=0.6,
    )


def _fine_ticks(axes: Axes) -> None:
    """Put a tick every 0.02 if the range is between 0.06 and 0.3."""
    low, high = axes.get_ylim()
    if 0.06 <= high - low <= 0.3:
        axes.set_yticks(np.arange(np.ceil(low / 0.02), np.floor(high / 0.02) + 1) * 0.02)


def _plain_log_ticks(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


MAX_INSIDE = 4  # entries of a legend inside the axes
MAX_INSIDE_LETTERS = 36  # of each of them
LETTER_WIDTH = 1.45  # mm, upper bound of the average
MARGINS = 18.0  # mm of a figure's width outside its axes: a legend wider than the axes would shrink them
LINE_HEIGHT = 4.0  # mm
HANDLE_LETTERS = 7  # width of the line before an entry, in letters
MAX_SHARE = 0.4  # of a figure's height that a legend may take before the figure grows
LABEL_GAP = 7.0  # points from one label of a reference to the next


def legend_fits(labels: Collection[str]) -> bool:
    """Whether a legend is inside the axes: it has few short entries."""
    return len(labels) <= MAX_INSIDE and max(map(len, labels), default=0) <= MAX_INSIDE_LETTERS


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
    if not below and legend_fits(labels):
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
