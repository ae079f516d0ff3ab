"""The pictures of `neurofit plot` that compare scores per neuron: over an argument, of two runs, and histograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neurofit.errors import UsageError
from neurofit.plotting.distributions import draw_histogram, draw_scatter
from neurofit.plotting.groups import OFF_GRID, SELECTOR, labels_by, labels_by_run
from neurofit.plotting.lines import legend_fits, legend_height
from neurofit.plotting.neurons import read_scores
from neurofit.plotting.over_axis import draw_over_axis, read_over_axis, summarise
from neurofit.plotting.pictures import Picture
from neurofit.plotting.style import COLOURS, figure as new_figure
from neurofit.plotting.tasks import PlottedTask

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_HISTOGRAMS = len(COLOURS)
LEGEND_WIDTH = 45  # mm, of a legend beside the axes


def over_axis_picture(
    tasks: Sequence[PlottedTask], axis: str, by: str | None, metric: str | None, average: str
) -> Picture:
    """Scores against an argument, averaged over neurons, one panel per metric; a row per point of a line."""
    panels, notes = read_over_axis(tasks, axis, by, metric, average)
    rows: list[list[Any]] = []
    facts = []
    for panel in panels:
        for line in panel.lines:
            middles, tops, bottoms = summarise(line.scores)
            points = []
            for place, (value, scores) in enumerate(zip(panel.values, line.scores)):
                if not len(scores):
                    continue
                numbers = [float(one[place]) for one in (middles, tops, bottoms)]
                counted = sorted(set(line.neurons[place]))
                shown = str(counted[0]) if len(counted) == 1 else f"{counted[0]}-{counted[-1]}"
                rows.append(
                    [
                        value,
                        *([panel.metric] if len(panels) > 1 else []),
                        line.label or "-",
                        shown,
                        len(scores),
                        *(f"{number:.3f}" for number in numbers),
                    ]
                )
                points.append(
                    {
                        "value": value,
                        "scores": scores.tolist(),
                        "neurons": line.neurons[place],
                        **dict(zip(("middle", "top", "bottom"), numbers)),
                    }
                )
            facts.append({"metric": panel.metric, "label": line.label, "points": points})

    def draw() -> Figure:
        figure, axes = new_figure(1, len(panels), width=120 if len(panels) == 1 else 190, height=90)
        for one, panel in zip(axes[0], panels):
            name = f"{panel.metric}\n{average} over neurons"
            lines = {line.label: line.scores for line in panel.lines}
            draw_over_axis(lines, one, values=panel.values, axis=axis, metric=name)
        if not legend_fits([line.label for line in panels[0].lines]):  # of all panels: one legend beside them
            for one in axes[0, :-1]:
                one.get_legend().remove()
            figure.set_size_inches(figure.get_figwidth() + LEGEND_WIDTH / 25.4, figure.get_figheight())
        return figure

    headers = [axis, *(["metric"] if len(panels) > 1 else []), "line", "neurons", "n", "p50", "p90", "p10"]
    facts_of_all = {"what": "over-axis", "axis": axis, "average": average, "lines": facts}
    return Picture(facts_of_all, headers, rows, draw, notes, tasks[0])


def scatter_picture(tasks: Sequence[PlottedTask], metric: str | None, *, by_selector: bool) -> Picture:
    """The score of each neuron in one run against its score in another.

    Parameters
    ----------
    by_selector : bool
        Whether a selector is a run, so that two repetitions of one run can be compared.

    Raises
    ------
    UsageError
        There are not two runs, or they share no neuron.
    """
    groups = _by_label(tasks, by_selector)
    if len(groups) != 2 or any(len({task.run for task in members}) > 1 for members in groups.values()):
        runs = list(dict.fromkeys(task.run for task in tasks))
        other = runs[1] if len(runs) > 1 else f"{tasks[0].row['experiment']}:1"
        raise UsageError(
            f"--what scatter compares two runs, but {len(runs)} {'is' if len(runs) == 1 else 'are'} selected. "
            f"Select two, such as {runs[0]} {other}."
        )
    name, panels, notes = read_scores(groups, metric)
    if len(panels) != 2:
        raise UsageError(f"Only {panels[0].label} has scores '{name}' per neuron. Select another run.")
    x, y = panels
    of_y = dict(zip(y.neurons, y.medians))
    shared = [neuron for neuron in x.neurons if neuron in of_y]
    of_x = dict(zip(x.neurons, x.medians))
    pairs = np.array([[of_x[neuron], of_y[neuron]] for neuron in shared]).reshape(-1, 2)
    both = np.isfinite(pairs).all(axis=1)
    if not both.any():
        raise UsageError(f"{x.label} and {y.label} share no neuron that has a score '{name}'.")
    if left_out := len({*x.neurons, *y.neurons}) - int(both.sum()):
        are = (
            "neuron without a score in both runs is"
            if left_out == 1
            else "neurons without a score in both runs are"
        )
        notes.append(f"{left_out} {are} left out.")
    pairs, neurons = pairs[both], [neuron for neuron, has in zip(shared, both) if has]
    rows = [
        [panel.label, len(panel.scores), len(pairs), *(f"{of(column):.3f}" for of in (np.mean, np.median))]
        for panel, column in zip(panels, pairs.T)
    ]
    above = int(np.sum(pairs[:, 1] > pairs[:, 0]))
    facts = {
        "what": "scatter",
        "metric": name,
        "x": x.label,
        "y": y.label,
        "above": above,
        "neurons": [
            {"recording": recording, "number": number, "x": one, "y": other}
            for (recording, number), (one, other) in zip(neurons, pairs.tolist())
        ],
    }

    def draw() -> Figure:
        figure, axes = new_figure(width=100, height=100)
        draw_scatter(pairs[:, 0], pairs[:, 1], axes[0, 0], x_label=x.label, y_label=y.label, metric=name)
        return figure

    headers = ["run", "repetitions", "neurons", "mean", "median"]
    return Picture(facts, headers, rows, draw, notes, tasks[0])


def histogram_picture(tasks: Sequence[PlottedTask], metric: str | None) -> Picture:
    """How many neurons have which score (the median over repetitions), an outline per run.

    Raises
    ------
    UsageError
        There are more runs than can be distinguished.
    """
    groups = _by_label(tasks, False)
    if len(groups) > MAX_HISTOGRAMS:
        raise UsageError(
            f"{len(groups)} runs cannot be distinguished in one histogram (at most {MAX_HISTOGRAMS}). Select "
            f"fewer runs, such as {tasks[0].run}."
        )
    name, panels, notes = read_scores(groups, metric)
    scores = {panel.label: panel.medians[np.isfinite(panel.medians)] for panel in panels}
    rows = [
        [
            panel.label,
            len(panel.scores),
            len(scores[panel.label]),
            *(f"{of(scores[panel.label]):.3f}" for of in (np.mean, np.median, np.min, np.max)),
        ]
        for panel in panels
    ]
    facts = {
        "what": "histogram",
        "metric": name,
        "runs": [{"label": label, "scores": of.tolist()} for label, of in scores.items()],
    }

    def draw() -> Figure:
        height = 75 + legend_height([f"{label}, median 0.000" for label in scores], 120)
        figure, axes = new_figure(width=120, height=height)
        draw_histogram(scores, axes[0, 0], metric=name)
        return figure

    headers = ["run", "repetitions", "neurons", "mean", "median", "lowest", "highest"]
    return Picture(facts, headers, rows, draw, notes, panels[0].task)


def _by_label(tasks: Sequence[PlottedTask], by_selector: bool) -> dict[str, list[PlottedTask]]:
    """The tasks of each run, by what tells it apart from the others; or the tasks of each selector."""
    groups: dict[str, list[PlottedTask]] = {}
    for task, label in zip(tasks, labels_by(SELECTOR, tasks) if by_selector else labels_by_run(tasks)):
        groups.setdefault(label, []).append(task)
    if not by_selector:
        return groups
    named = dict(zip((task.run for task in tasks), labels_by_run(tasks)))
    runs = [members[0].run for members in groups.values()]
    if len(set(runs)) < len(runs):
        return groups
    return {  # exp3:0 (filters=4)
        f"{label.removesuffix(OFF_GRID)} ({named[members[0].run]})": members
        for label, members in groups.items()
    }
