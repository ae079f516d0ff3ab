"""Drawing a search: its history, the importance and a slice of each argument, and parallel coordinates."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neurofit.experiments.grid.params import short
from neurofit.experiments.grid.search import Choices
from neurofit.plotting.search_numbers import SearchNumbers, place, share
from neurofit.plotting.style import COLOURS, GREY, SEQUENTIAL, styled
from neurofit.suggestions.axes import Axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.ticker import Locator

WIDTH = 180  # mm
COLUMNS = 4  # of slices
TOP, SLICE, LINES, TITLE = 58, 46, 68, 6  # heights, in mm
LONGEST = 14  # letters of a choice
MOST_CHOICES = 12  # whose names are written at an axis
VALUES, BEST, FAILED = COLOURS[0], COLOURS[1], COLOURS[6]
_MARGIN = 0.06  # of the range of values
_SPREAD = 0.05  # of equal choices among parallel coordinates, as a share of the axis
_ABSENT = -0.14  # height of trials that do not have a conditional argument, as a share of the axis
_STRIP = 0.035  # height of the marks of trials without a value, as a share of the panel


@styled
def draw_searches(searches: Sequence[SearchNumbers]) -> Figure:
    """A figure with the panels of each search, one search below the other.

    Parameters
    ----------
    searches : sequence of SearchNumbers
        Each has a finished trial.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    heights = [_height(one) for one in searches]
    figure = Figure(figsize=(WIDTH / 25.4, sum(heights) / 25.4))
    parts = figure.subfigures(len(searches), 1, squeeze=False, height_ratios=heights)
    for part, one in zip(parts[:, 0], searches):
        _draw_search(part, one)
    return figure


def _height(one: SearchNumbers) -> float:
    return TOP + SLICE * _slice_rows(one) + LINES * _has_lines(one) + TITLE * bool(one.label)


def _has_lines(one: SearchNumbers) -> bool:
    """Whether there are parallel coordinates: of a single argument, the slice shows the same."""
    return len(one.axes) > 1


def _slice_rows(one: SearchNumbers) -> int:
    return -(-len(one.axes) // COLUMNS)


def _draw_search(figure: SubFigure, one: SearchNumbers) -> None:
    if one.label:
        figure.suptitle(one.label, x=0.01, ha="left", fontsize=10)
    rows = _slice_rows(one)
    heights = (TOP, SLICE * rows, *([LINES] if _has_lines(one) else []))
    parts = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)
    top, middle = parts[:2, 0]
    history, bars = top.subplots(1, 2, width_ratios=(1.7, 1))
    draw_history(one, history)
    draw_importances(one, bars)
    columns = min(COLUMNS, len(one.axes))
    panels = middle.subplots(rows, columns, squeeze=False, sharey=True)
    last = None
    for panel, axis in zip(panels.flat, one.axes):
        last = draw_slice(one, axis, panel) or last
    for number, panel in enumerate(panels.flat):
        panel.set_visible(number < len(one.axes))
        if number % columns == 0:
            panel.set_ylabel(_wrapped(one.metric, 24))
    if last is not None:
        bar = middle.colorbar(last, ax=list(panels.flat), label="trial", aspect=25, fraction=0.03, pad=0.01)
        bar.ax.yaxis.set_major_locator(_integers(6))
    for part in parts[2:, 0]:
        draw_parallel(one, part.subplots(1, 1))


@styled
def draw_history(one: SearchNumbers, axes: Axes) -> Axes:
    """Draw the value of each trial against its number, the best so far as a line, and trials without a value below.

    Parameters
    ----------
    one : SearchNumbers
    axes : matplotlib.axes.Axes

    Returns
    -------
    matplotlib.axes.Axes
    """
    numbers = [trial.number for trial in one.finished()]
    _limited(one, axes, strip=bool(one.numbers("pruned") or one.numbers("failed")))
    axes.scatter(numbers, _drawn(one), s=_size(one), color=VALUES, alpha=0.7, linewidths=0, label="finished")
    end = max([*numbers, *(trial.number for trial in one.point.trials)])
    so_far = one.best_so_far()
    axes.step([*numbers, end], [*so_far, so_far[-1]], where="post", color=BEST, label="best so far")
    strip = axes.get_xaxis_transform()  # heights are shares of the panel
    for state, marker, colour, height in (("pruned", "|", GREY, _STRIP), ("failed", "x", FAILED, 3 * _STRIP)):
        if marked := one.numbers(state):
            axes.scatter(
                marked,
                [height] * len(marked),
                s=24,
                marker=marker,
                color=colour,
                linewidths=0.9,
                transform=strip,
                label=state,
            )
    axes.set(xlabel="trial", ylabel=_wrapped(one.metric, 36), title="Optimisation history")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=4, handletextpad=0.3, columnspacing=1.2)
    axes.xaxis.set_major_locator(_integers(8))
    return axes


@styled
def draw_importances(one: SearchNumbers, axes: Axes) -> Axes:
    """Draw the importance of each argument as a bar, the largest on top; or say why there is none.

    Parameters
    ----------
    one : SearchNumbers
    axes : matplotlib.axes.Axes

    Returns
    -------
    matplotlib.axes.Axes
    """
    axes.set_title("Importances (fANOVA)")
    if not one.importances:
        axes.set_axis_off()
        axes.text(
            0, 0.9, textwrap.fill(one.no_importances, 40), va="top", color=GREY, transform=axes.transAxes
        )
        return axes
    names = [_cut(name, 22) for name in one.importances]
    shares = list(one.importances.values())
    heights = range(len(names))
    axes.barh(heights, shares, height=0.65, color=VALUES)
    for height, amount in zip(heights, shares):
        axes.text(amount, height, f" {amount:.2f}", va="center", fontsize=6.5)
    axes.set_yticks(list(heights), names)
    axes.invert_yaxis()
    axes.set(
        xlim=(0, 1.18 * max(shares)), xlabel="share of the variance", ylim=(max(len(names), 4) - 0.5, -0.5)
    )
    axes.tick_params(axis="y", length=0)
    return axes


@styled
def draw_slice(one: SearchNumbers, axis: Axis, axes: Axes) -> Any:
    """Draw the value of each finished trial against one argument; the colour is the number of the trial.

    Parameters
    ----------
    one : SearchNumbers
    axis : Axis
        The argument.
    axes : matplotlib.axes.Axes

    Returns
    -------
    matplotlib.collections.PathCollection or None
        The points, for a colour bar; None if no finished trial has the argument.
    """
    _limited(one, axes)
    axes.set_xlabel(_cut(axis.name, 26))
    _x_axis(axis, axes)
    chosen = [trial for trial in one.finished() if trial.number in axis.values]
    if not chosen:
        return None
    heights = dict(zip((trial.number for trial in one.finished()), _drawn(one)))
    x = [_across(axis, axis.values[trial.number], trial.number) for trial in chosen]
    y = [heights[trial.number] for trial in chosen]
    colours = [trial.number for trial in chosen]
    last = max(trial.number for trial in one.point.trials)
    points = axes.scatter(
        x, y, c=colours, cmap=SEQUENTIAL, vmin=0, vmax=max(last, 1), s=_size(one), linewidths=0, alpha=0.85
    )
    best = one.best()
    if best is not None and best.number in axis.values:
        axes.scatter(
            [_across(axis, axis.values[best.number], best.number)],
            [heights[best.number]],
            s=3 * _size(one) + 12,
            facecolors="none",
            edgecolors=BEST,
            linewidths=1.2,
        )
    return points


@styled
def draw_parallel(one: SearchNumbers, axes: Axes) -> Axes:
    """Draw a line per finished trial through its arguments: the darker the better, and the best one on top.

    Parameters
    ----------
    one : SearchNumbers
    axes : matplotlib.axes.Axes

    Returns
    -------
    matplotlib.axes.Axes
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.collections import LineCollection
    from matplotlib.colors import Normalize

    places = list(range(len(one.axes)))
    low, high = one.limits()
    colours = ScalarMappable(Normalize(low, high if high > low else low + 1), _darker_is_better(one))
    worst_first = one.point.best_first()[::-1]
    lines = [_line(one, trial.number) for trial in worst_first]
    width = float(np.interp(len(lines), (10, 300), (1.2, 0.5)))
    axes.add_collection(
        LineCollection(
            lines[:-1],
            colors=colours.to_rgba(np.clip([trial.score or 0.0 for trial in worst_first[:-1]], low, high)),
            linewidths=width,
            alpha=0.75,
        )
    )
    axes.plot(*lines[-1].T, color=BEST, linewidth=2, marker="o", markersize=3, zorder=4)
    for number, axis in zip(places, one.axes):
        axes.vlines(number, -0.04, 1.04, color="black", linewidth=0.6, zorder=3)
        is_partial = any(trial.number not in axis.values for trial in one.finished())
        marks = _marks(axis, LONGEST if len(places) <= 6 else LONGEST // 2)
        _write_scale(number, [(_ABSENT, "none"), *marks] if is_partial else marks, axes)
    margin = 0.35 if len(places) > 1 else 0.5
    is_absent = any(line[:, 1].min() <= _ABSENT for line in lines)
    lowest = _ABSENT - 0.05 if is_absent else -0.07
    axes.set(xlim=(-margin, places[-1] + margin + 0.25), ylim=(lowest, 1.07), yticks=[])
    crowded = len(places) > 6
    axes.set_xticks(
        places,
        [_cut(axis.name, 18) for axis in one.axes],
        rotation=25 if crowded else 0,
        ha="right" if crowded else "center",
    )
    axes.tick_params(axis="x", length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
    best = one.best()
    assert best is not None and best.score is not None  # there is a finished trial
    axes.set_title(f"Finished trials; the best is trial {best.number}, run {best.run}, with {best.score:.4g}")
    bar = axes.figure.colorbar(colours, ax=axes, aspect=25, fraction=0.03, pad=0.01)
    bar.set_label(f"{_wrapped(one.metric, 30)}\n(dark is better)")
    if not one.maximizes:
        bar.ax.invert_yaxis()
    return axes


def _darker_is_better(one: SearchNumbers) -> Colormap:
    """Without the lightest colours, which are hard to see as lines on white."""
    import matplotlib
    from matplotlib.colors import ListedColormap

    shades = matplotlib.colormaps[SEQUENTIAL](np.linspace(0, 0.93, 256))
    return ListedColormap(shades[::-1] if one.maximizes else shades)


def _line(one: SearchNumbers, number: int) -> np.ndarray:
    """The corners of a trial's line, below an axis that it has no value on. Equal choices are spread a little."""
    heights = [
        share(axis, axis.values[number]) + _SPREAD * axis.is_list * _aside(number)
        if number in axis.values
        else _ABSENT
        for axis in one.axes
    ]
    return np.column_stack([np.arange(len(heights)), heights])


def _marks(axis: Axis, longest: int) -> list[tuple[float, str]]:
    """The ends of an argument's range, or its choices, with their heights."""
    if isinstance(axis.range, Choices):
        values = axis.range.values
        shown = values if len(values) <= MOST_CHOICES else (values[0], values[-1])
        return [(share(axis, value), _cut(_text(value), longest)) for value in shown]
    ends = (float(axis.range.low), float(axis.range.high))
    return [(height, f"{end:.4g}".replace("e-0", "e-")) for height, end in zip((0.0, 1.0), ends)]


def _write_scale(number: int, marks: Sequence[tuple[float, str]], axes: Axes) -> None:
    for height, text in marks:
        axes.annotate(
            text,
            (number, height),
            (3, 0),
            textcoords="offset points",
            fontsize=6,
            va="center",
            zorder=5,
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6},
        )


def _x_axis(axis: Axis, axes: Axes) -> None:
    if isinstance(axis.range, Choices):
        texts = [_cut(_text(value), LONGEST) for value in axis.range.values]
        axes.set_xlim(-0.5, len(texts) - 0.5)
        if len(texts) <= MOST_CHOICES:
            crowded = sum(map(len, texts)) > 22
            axes.set_xticks(
                range(len(texts)), texts, rotation=35 if crowded else 0, ha="right" if crowded else "center"
            )
        return
    low, high = float(axis.range.low), float(axis.range.high)
    if axis.is_log:
        axes.set_xscale("log")
        margin = (high / low) ** 0.04 if high > low else 1.1
        axes.set_xlim(low / margin, high * margin)
        _log_ticks(axes, low, high)
    else:
        margin = 0.04 * (high - low) or 0.5
        axes.set_xlim(low - margin, high + margin)


def _log_ticks(axes: Axes, low: float, high: float) -> None:
    """Ticks at powers of ten; within less than two of them, at a few plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if high / low < 100:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _across(axis: Axis, value: Any, number: int) -> float:
    """Where a value is drawn; equal choices are spread a little, each trial at its own place."""
    if isinstance(axis.range, Choices):
        return place(axis, value) + 0.5 * _aside(number)
    return float(value)


def _aside(number: int) -> float:
    """Where a trial is drawn among those with the same choice, from -1/2 to 1/2: spread evenly, always the same."""
    return number * 0.618 % 1 - 0.5


def _limited(one: SearchNumbers, axes: Axes, *, strip: bool = False) -> None:
    """Limits of the values; `strip` leaves room for the marks of trials without one."""
    low, high = one.limits()
    extent = _extent(low, high)
    axes.set_ylim(low - (_MARGIN + 0.16 * strip) * extent, high + _MARGIN * extent)


def _drawn(one: SearchNumbers) -> np.ndarray:
    """The values of the finished trials; those far away at the edge of what is drawn."""
    low, high = one.limits()
    edge = _MARGIN * _extent(low, high) / 2
    values = one.values()
    return np.where(values > high, high + edge, np.where(values < low, low - edge, values))


def _extent(low: float, high: float) -> float:
    """The distance of two values; for equal ones, some distance that can be drawn."""
    return high - low or max(abs(high), 1e-9)


def _size(one: SearchNumbers) -> float:
    """The area of a point, smaller where there are many."""
    return float(np.interp(len(one.point.trials), (20, 400), (16, 5)))


def _integers(most: int) -> Locator:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(integer=True, nbins=most)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else short(value)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _wrapped(text: str, width: int) -> str:
    return "\n".join(textwrap.wrap(text, width)) or text
