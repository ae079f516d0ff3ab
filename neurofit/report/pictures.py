"""The pictures of a report: states, the best runs, curves, neurons, comparisons, parallel coordinates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurofit.plotting.curves import Curve
from neurofit.report.svg import (
    Scale,
    Svg,
    dots,
    line,
    number,
    polyline,
    svg,
    tag,
    text,
    title,
    x_axis,
    y_axis,
)
from neurofit.text import cell_width, cut

WIDTH = 760.0
CURVES_WIDTH = 540.0  # two side by side
LETTER = 6.7  # pixels of a letter of a label, about
MAX_POINTS = 150  # of a curve
MAX_NEURONS = 2000  # of a panel
MAX_TICKS = 12  # values of an axis that are all named
LONGEST_LABEL = 76
LONGEST_VALUE = 12
CURVE_CLASSES = 8
MANY = 150  # lines between two axes, which are drawn fainter


@dataclass(frozen=True)
class Entry:
    """A line of a legend: the class of its colour, what it is, and a number."""

    swatch: str
    text: str
    value: str = ""


@dataclass(frozen=True)
class Figure:
    """A picture with its heading, its legend and sentences about it."""

    heading: str
    svg: Svg
    legend: tuple[Entry, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunScore:
    """The score of a run: the mean over its repetitions and its interval, nan where there is none."""

    label: str
    mean: float
    low: float
    high: float


def states_bar(counts: Mapping[str, int]) -> Svg:
    """One bar, divided by the number of tasks in each state."""
    total, x, parts = sum(counts.values()) or 1, 0.0, []
    for state, count in counts.items():
        width = WIDTH * count / total
        shape = tag("rect", title(f"{count:,} {state}"), x=x, y=0.0, width=max(width, 1.0), height=14.0)
        parts.append(tag("g", shape, class_=f"state {state}"))
        x += width
    listed = ", ".join(f"{count} {state}" for state, count in counts.items())
    return svg(WIDTH, 14, parts, f"tasks by state: {listed}", "states")


def runs_figure(scores: Sequence[RunScore], metric: str, notes: Sequence[str]) -> Figure:
    """A dot per run with its interval below its name, the best above."""
    left, right, row = 16.0, CURVES_WIDTH - 16, 34.0
    bottom = 12 + row * len(scores)
    x = Scale.over([value for one in scores for value in (one.mean, one.low, one.high)], left, right)
    parts = [x_axis(x, bottom, 4, metric)]
    for place, one in enumerate(scores):
        y = 28 + row * place
        told = f"{one.label}: {number(one.mean)}"
        shapes = []
        if math.isfinite(one.low) and math.isfinite(one.high):
            told += f" [{number(one.low)}, {number(one.high)}]"
            shapes.append(line(x(one.low), y, x(one.high), y, "interval"))
        shapes.append(tag("circle", cx=x(one.mean), cy=y, r=4.0, class_="mean"))
        shapes.append(text(left, y - 9, cut(one.label, LONGEST_LABEL, 24), class_="halo"))
        parts.append(tag("g", title(told) + "".join(shapes)))
    picture = svg(CURVES_WIDTH, bottom + 48, parts, f"{metric} of runs")
    return Figure(f"Runs by {metric}", picture, notes=tuple(notes))


def curves_figure(curves: Sequence[Curve], metric: str) -> Figure:
    """A line per curve with a band from its low to its high percentile; faint where repetitions are missing."""
    left, right, top, bottom = 60.0, CURVES_WIDTH - 16, 36.0, 300.0
    unit = curves[0].unit if len({one.unit for one in curves}) == 1 else "step"
    x = Scale.over([step for one in curves for step in (one.steps[0], one.steps[-1])], left, right, margin=0)
    y = Scale.over(_shown_range(curves), bottom, top)
    are_whole = all(step == int(step) for one in curves for step in one.steps)
    parts = [x_axis(x, bottom, top, unit, whole=are_whole), y_axis(y, left, right, metric)]
    lines, legend = [], []
    for place, curve in enumerate(curves):
        thin = _thinned(len(curve.steps))
        steps, middle, count = curve.steps[thin], curve.middle[thin], curve.count[thin]
        drawn = [(x(one), y(value)) for one, value in zip(steps, middle)]
        whole = [(a, b if n == curve.repetitions else math.nan) for (a, b), n in zip(drawn, count)]
        colour = place % CURVE_CLASSES
        if curve.repetitions > 1 and len(steps) > 1:
            upper = [(x(one), y(value)) for one, value in zip(steps, curve.top[thin])]
            lower = [(x(one), y(value)) for one, value in zip(steps, curve.bottom[thin])]
            parts.append(tag("path", d=f"{polyline([*upper, *reversed(lower)])}Z", class_=f"band b{colour}"))
        shapes = [tag("path", d=polyline(drawn), class_=f"curve faint s{colour}")]
        shapes.append(tag("path", d=polyline(whole), class_=f"curve s{colour}"))
        if len(steps) == 1:
            shapes.append(tag("path", d=dots(drawn), class_=f"dot s{colour}"))
        lines.append(tag("g", title(curve.label) + "".join(shapes)))
        legend.append(Entry(f"s{colour}", curve.label, _at_last_step(curve)))
    frame = {"x": left, "y": top, "width": right - left, "height": bottom - top}
    box = f"{left:g} {top:g} {right - left:g} {bottom - top:g}"
    body = tag("svg", "".join([*parts[2:], *lines]), **frame, viewBox=box)  # cuts what is outside the frame
    heading = f"{metric} during training"
    return Figure(heading, svg(CURVES_WIDTH, bottom + 48, [*parts[:2], body], heading), tuple(legend))


def _shown_range(curves: Sequence[Curve]) -> list[float]:
    """The numbers that the frame must show: single early outliers of a loss would hide everything else."""
    every = np.concatenate([np.concatenate([one.top, one.bottom, one.middle]) for one in curves])
    every = every[np.isfinite(every)]
    if not len(every):
        return []
    low, high = float(every.min()), float(every.max())
    near_low, near_high = np.percentile(every, (2, 98))
    width = near_high - near_low
    last = [value for one in curves for value in (one.top[-1], one.bottom[-1], one.middle[-1])]
    low, high = max(low, near_low - 0.5 * width), min(high, near_high + 0.5 * width)
    return [low, high, *map(float, last)]


def _thinned(length: int) -> np.ndarray:
    places: np.ndarray = np.unique(np.round(np.linspace(0, length - 1, min(length, MAX_POINTS))).astype(int))
    return places


def _at_last_step(curve: Curve) -> str:
    middle, top, bottom = np.percentile(curve.last, curve.percentiles[:3])
    if len(curve.last) == 1:
        return number(float(middle))
    return f"{number(float(middle))} [{number(float(bottom))}, {number(float(top))}]"


@dataclass(frozen=True)
class NeuronPanel:
    """Scores of the neurons of one run, (neuron,), and their ceilings if the outcome has them."""

    label: str
    scores: np.ndarray
    ceilings: np.ndarray | None


def neurons_figure(panels: Sequence[NeuronPanel], metric: str, notes: Sequence[str]) -> Figure:
    """A dot per neuron in a panel per run: score against ceiling, or score by rank if there is no ceiling."""
    has_ceilings = all(one.ceilings is not None for one in panels)
    side, gap, left, top = 260.0, 72.0, 56.0, 58.0
    scores = np.concatenate([one.scores for one in panels])
    parts = []
    if has_ceilings:
        ceilings = np.concatenate([one.ceilings for one in panels if one.ceilings is not None])
        limits = [0.0, *scores, *ceilings]
    else:
        limits = [0.0, *scores]
    for place, panel in enumerate(panels):
        row, column = divmod(place, 2)
        start, above = left + column * (side + gap + 24), top + row * (side + 116)
        y = Scale.over(limits, above + side, above)
        if panel.ceilings is not None and has_ceilings:
            x = Scale.over(limits, start, start + side)
            points = list(zip(panel.ceilings, panel.scores))
            parts.append(line(x(y.low), y(y.low), x(y.high), y(y.high), "equal"))
            x_label = f"{metric}_ceiling"
        else:
            x = Scale(0, max(len(panel.scores), 2), start, start + side)
            ranked = np.sort(panel.scores[np.isfinite(panel.scores)])[::-1]
            points = [(rank + 0.5, value) for rank, value in enumerate(ranked)]
            x_label = "neuron, by its score"
        every = -(-len(points) // MAX_NEURONS) or 1
        places = [(x(float(a)), y(float(b))) for a, b in points[::every]]
        label = cut(panel.label, 34, 12)
        parts += [
            x_axis(x, above + side, above, x_label, 5),
            y_axis(y, start, start + side, metric, 5),
            text(start - 8, above - 32, label, class_="panel"),
            tag("g", title(panel.label) + tag("path", d=dots(places), class_="dot neuron")),
        ]
    columns, rows = min(len(panels), 2), -(-len(panels) // 2)
    width, height = left + columns * (side + gap + 24) - gap, top + rows * (side + 116) - 60
    heading = f"{metric} of each neuron" + (" against its ceiling" if has_ceilings else "")
    return Figure(heading, svg(width, height, parts, heading), notes=tuple(notes))


def difference_pictures(rows: Sequence[tuple[float, float, float]]) -> list[Svg]:
    """A picture per difference: its mean and interval (mean, low, high), all on one scale that includes 0."""
    width = 150.0
    known = [value for row in rows for value in row if math.isfinite(value)]
    x = Scale.over([0.0, *known], 4, width - 4)
    pictures = []
    for mean, low, high in rows:
        parts, label = [line(x(0), 0, x(0), 20, "zero")], "no difference known"
        if math.isfinite(low) and math.isfinite(high):
            parts.append(line(x(low), 10, x(high), 10, "interval"))
        if math.isfinite(mean):
            parts.append(tag("circle", cx=x(mean), cy=10.0, r=3.5, class_="mean"))
            label = f"difference {number(mean)}"
        pictures.append(svg(width, 20, parts, label, "small"))
    return pictures


@dataclass(frozen=True)
class ParallelAxis:
    """A vertical line: places of its values in [0, 1], bottom to top, and the labels of some places."""

    name: str
    places: list[float]  # of each run; nan if it has no value
    labels: list[tuple[float, str]]


def parallel_axis(name: str, values: Sequence[Any], short: Sequence[str]) -> ParallelAxis:
    """An axis of one argument.

    Parameters
    ----------
    name : str
    values : sequence
        The value of each run; None if it has none.
    short : sequence of str
        The same as short texts.
    """
    known: dict[str, Any] = {one: value for one, value in zip(short, values) if value is not None}
    numeric = all(type(value) in (int, float) for value in known.values())
    names = sorted(known, key=lambda one: known[one]) if numeric else list(known)
    if numeric and len(names) > MAX_TICKS:
        logarithmic = min(known.values()) > 0 and max(known.values()) > 50 * min(known.values())
        scale = Scale.over(map(float, known.values()), 0, 1, logarithmic=logarithmic)
        places = [math.nan if value is None else scale(float(value)) for value in values]
        return ParallelAxis(name, places, [(scale(tick), number(tick)) for tick in scale.ticks()])
    at = {one: 0.5 if len(names) == 1 else place / (len(names) - 1) for place, one in enumerate(names)}
    every = -(-len(names) // MAX_TICKS)
    labels = [(at[one], one) for place, one in enumerate(names) if place % every == 0]
    places = [math.nan if value is None else at[one] for value, one in zip(values, short)]
    return ParallelAxis(name, places, labels)


def metric_axis(name: str, means: Sequence[float]) -> ParallelAxis:
    """The axis of a metric, from the means of the runs."""
    scale = Scale.over(means, 0, 1)
    places = [scale(one) if math.isfinite(one) else math.nan for one in means]
    return ParallelAxis(name, places, [(scale(tick), number(tick)) for tick in scale.ticks()])


def parallel_figure(axes: Sequence[ParallelAxis], best: Sequence[int], notes: Sequence[str]) -> Figure:
    """A line per run through its value on each axis: all of them in grey, the best in colour."""
    names = [cut(one.name, 18, 8) for one in axes]
    apart = max(110.0, (WIDTH - 130) / max(len(axes) - 1, 1), *(_width(name) + 12 for name in names))
    left, top, bottom = 30.0 + _width(names[0]) / 2, 36.0, 330.0
    x = [left + apart * place for place in range(len(axes))]
    places = np.array([one.places for one in axes])
    y = bottom - places * (bottom - top)
    between = [
        dict.fromkeys(
            polyline([(x[a], one), (x[a + 1], other)])
            for one, other in zip(y[a], y[a + 1])
            if math.isfinite(one) and math.isfinite(other)
        )
        for a in range(len(axes) - 1)
    ]
    chosen = [polyline(zip(x, y[:, run])) for run in best]
    parts = [
        *(
            tag("path", d="".join(of), class_="all-runs many" if len(of) > MANY else "all-runs")
            for of in between
        ),
        *(tag("path", d=path, class_="best-run") for path in chosen),
    ]
    for place, (axis, name) in enumerate(zip(axes, names)):
        parts += [
            line(x[place], top, x[place], bottom, "axis"),
            text(x[place], 18, name, class_="label middle"),
        ]
        parts += [
            text(x[place] + 5, bottom - at * (bottom - top) + 4, cut(label, LONGEST_VALUE, 4), class_="halo")
            for at, label in axis.labels
        ]
    width = x[-1] + 24 + max(_width(names[-1]) / 2, 70.0)
    heading = "Arguments and score of each run"
    legend = (Entry("line-best", f"the best {len(best)}"), Entry("line-all", "all runs"))
    return Figure(heading, svg(width, bottom + 16, parts, heading), legend, tuple(notes))


def _width(label: str) -> float:
    return LETTER * cell_width(label)
