"""Lines: curves over repetitions, training progress, tuning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from neurofit.reports.curves import Curve, History, error_bar_places
from neurofit.reports.references import Reference
from neurofit.reports.style import COLOURS, GREY, line_style, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FAINT = 0.35


@styled
def draw_curves(
    curves: Sequence[Curve], axes: Axes, *, metric: str = "", references: Sequence[Reference] = (), bands: bool = False
) -> Axes:
    """A line per curve, with error bars (or bands) from bottom to top; faint where not all repetitions came so far.

    Parameters
    ----------
    metric : what the values are, for the axis
    references : lines and bands beside them
    bands : shaded, in place of error bars
    """
    for place, curve in enumerate(curves):
        style = line_style(place)
        complete = np.where(curve.count == curve.repetitions, curve.middle, np.nan)
        axes.plot(curve.steps, curve.middle, alpha=FAINT, **style)
        axes.plot(curve.steps, complete, label=_labelled(curve), **style)
        if curve.repetitions > 1:
            _spread(curve, axes, style["color"], bands)
    draw_references(references, axes)
    axes.set_xlabel("share of the training" if any(one.normalised for one in curves) else "epoch")
    axes.set_ylabel(metric.replace("/", " "))
    first, last = min(one.steps[0] for one in curves), max(one.steps[-1] for one in curves)
    if first < last:
        axes.set_xlim(first, last)
    _fine_ticks(axes)
    _legend(axes)
    return axes


@styled
def draw_references(references: Sequence[Reference], axes: Axes) -> Axes:
    """A grey line each, with its name at the right end, and its band."""
    for reference in references:
        axes.axhline(reference.value, color=GREY, linewidth=0.8, linestyle=(0, (4, 2)), zorder=0)
        if reference.top is not None:
            axes.axhspan(reference.bottom, reference.top, color=GREY, alpha=0.15, linewidth=0, zorder=0)
        axes.annotate(
            reference.title, (1, reference.value), xycoords=axes.get_yaxis_transform(), xytext=(2, 0),
            textcoords="offset points", va="center", fontsize=6, color=GREY, annotation_clip=False,
        )  # fmt: skip
    return axes


@styled
def draw_progress(
    histories: Mapping[str, Sequence[History]], axes: Axes, *, stops: Sequence[float | None] = (), metric: str = "loss",
    title: str = "",
) -> Axes:  # fmt: skip
    """A colour per part ("train", "validation") and a line per repetition; a dot where each one's weights were kept.

    stops : (repetition,) the step whose weights each one kept, marked on the last part; None where there is none
    """
    for place, (name, repetitions) in enumerate(histories.items()):
        for number, history in enumerate(repetitions):
            label = name if number == 0 else None
            axes.plot(history.steps, history.values, color=COLOURS[place], alpha=0.8, label=label, linewidth=0.9)
    *_, monitored = histories.values()
    kept = [(stop, np.interp(stop, one.steps, one.values)) for one, stop in zip(monitored, stops) if stop is not None]
    if kept:
        axes.plot(*zip(*kept), "o", color="black", markersize=3.5, label="weights kept", zorder=5)
    if len(kept) == 1:
        axes.axvline(kept[0][0], color="black", linewidth=0.6, linestyle=":")
    axes.set(xlabel="epoch", ylabel=metric, title=title)
    _legend(axes)
    return axes


@styled
def draw_lines(
    x: np.ndarray, y: np.ndarray, axes: Axes, *, labels: Sequence[str] = (), x_label: str = "", y_label: str = "",
    title: str = "", x_scale: str = "linear", x_ticks: Sequence[float] | None = None,
) -> Axes:  # fmt: skip
    """One line per row of y, (line, x): in colours and with names beside up to seven, else grey, the median black."""
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
        _legend(axes)
    return axes


def _labelled(curve: Curve) -> str:
    return f"{curve.label} (n = {curve.repetitions})" if curve.label else f"n = {curve.repetitions}"


def _spread(curve: Curve, axes: Axes, colour: str, bands: bool) -> None:
    if bands:
        axes.fill_between(curve.steps, curve.bottom, curve.top, color=colour, alpha=0.15, linewidth=0)
        return
    some = error_bar_places(len(curve.steps))
    lengths = np.maximum(0, [curve.middle[some] - curve.bottom[some], curve.top[some] - curve.middle[some]])
    axes.errorbar(curve.steps[some], curve.middle[some], yerr=lengths, fmt="none", ecolor=colour, elinewidth=0.5,
                  alpha=0.6)  # fmt: skip


def _fine_ticks(axes: Axes) -> None:
    """Every .02 where the picture is small enough for it."""
    low, high = axes.get_ylim()
    if high - low <= 0.3:
        axes.set_yticks(np.arange(np.ceil(low / 0.02), np.floor(high / 0.02) + 1) * 0.02)


def _plain_log_ticks(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _legend(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[1]:
        axes.legend()
