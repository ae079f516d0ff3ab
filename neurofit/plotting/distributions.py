"""Scores of neurons, one run against another, and how they are distributed."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from neurofit.errors import ShapeError
from neurofit.plotting.lines import legend
from neurofit.plotting.style import COLOURS, GREY, line_style, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = 20
WRAP = 46  # letters of an axis's text in one line


@styled
def draw_scatter(
    x: ArrayLike,
    y: ArrayLike,
    axes: Axes,
    *,
    x_label: str = "",
    y_label: str = "",
    metric: str = "",
    title: str = "",
) -> Axes:
    """Draw a dot per neuron, its score in one run against its score in another, and the line where they are equal.

    Parameters
    ----------
    x, y : array_like, shape (neuron,)
        Scores of the same neurons. A neuron without one of the two is left out.
    axes : matplotlib.axes.Axes
        Where to draw.
    x_label, y_label : str
        Names of the runs.
    metric : str
        What the scores are, before the names.
    title : str
        Above the axes. Default: how many neurons are above the line.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ShapeError
        The two are not of the same neurons.
    """
    xs, ys = np.asarray(x, float), np.asarray(y, float)
    if xs.shape != ys.shape or xs.ndim != 1:
        raise ShapeError(f"x has shape {xs.shape} and y {ys.shape}, expected (neuron,) and the same neurons.")
    both = np.isfinite(xs) & np.isfinite(ys)
    xs, ys = xs[both], ys[both]
    low = min([0.0, *xs, *ys])
    high = max([low + 0.1, *xs, *ys])
    edge = 0.05 * (high - low)
    limits = (low - edge * (low < 0), high + edge)
    axes.plot(limits, limits, color=GREY, linewidth=0.8, linestyle="--", zorder=0)
    axes.scatter(xs, ys, s=12, color=COLOURS[0], alpha=0.7, linewidths=0)
    names = [" of ".join(filter(None, [metric.replace("/", " "), name])) for name in (x_label, y_label)]
    shown = [textwrap.fill(name, WRAP) for name in names]
    title = title or f"{np.sum(ys > xs)} of {len(xs)} neurons above the line"
    axes.set(xlim=limits, ylim=limits, aspect="equal", xlabel=shown[0], ylabel=shown[1], title=title)
    return axes


@styled
def draw_histogram(
    scores: Mapping[str, ArrayLike], axes: Axes, *, metric: str = "", bins: int = BINS, title: str = ""
) -> Axes:
    """Draw how many neurons have which score: an outline per run, and a dashed line at its median.

    Parameters
    ----------
    scores : dict of str to array_like, shape (neuron,)
        By name of the run. nan if a neuron was not scored.
    axes : matplotlib.axes.Axes
        Where to draw.
    metric : str
        What the scores are, for the axis.
    bins : int
        Shared by all runs, from the lowest to the highest score.
    title : str
        Above the axes.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ShapeError
        There is no score.
    """
    from matplotlib.ticker import MaxNLocator

    known = {name: np.asarray(one, float).ravel() for name, one in scores.items()}
    known = {name: one[np.isfinite(one)] for name, one in known.items()}
    every = np.concatenate([*known.values(), np.empty(0)])
    if not len(every):
        raise ShapeError("There is no score to draw.")
    edges = np.histogram_bin_edges(every, bins).tolist()
    for place, (name, one) in enumerate(known.items()):
        if not len(one):
            continue
        style, median = line_style(place), float(np.median(one))
        label = f"{name}, median {median:.3f} (n = {len(one)})" if name else f"median {median:.3f}"
        axes.hist(one, edges, histtype="stepfilled", color=style["color"], alpha=0.2, linewidth=0)
        axes.hist(one, edges, histtype="step", label=label, linewidth=1.0, **style)
        axes.axvline(median, color=style["color"], linewidth=0.8, linestyle="--")
    axes.set(xlabel=metric.replace("/", " "), ylabel="neurons", title=title)
    axes.yaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axes.set_ylim(top=1.08 * axes.get_ylim()[1])
    legend(axes, below=True)
    return axes
