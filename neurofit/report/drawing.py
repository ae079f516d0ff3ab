"""Which pictures an experiment's report has, and of which runs: all of them, or the best, saying so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from neurofit.errors import NeurofitError
from neurofit.experiments.grid.params import short
from neurofit.plotting.curve_sets import PREFERRED
from neurofit.plotting.curves import Curve, History, over_repetitions
from neurofit.plotting.neurons import NeuronScores, read_neuron_table, read_scores
from neurofit.plotting.pictures import is_loss
from neurofit.plotting.tasks import PlottedTask, step_unit
from neurofit.report.pictures import (
    Figure,
    NeuronPanel,
    curves_figure,
    metric_axis,
    neurons_figure,
    parallel_axis,
    parallel_figure,
    runs_figure,
)
from neurofit.report.tables import DecisiveMetric, RunTable
from neurofit.status.experiment_status import ExperimentStatus
from neurofit.store.history import read_history
from neurofit.tables.trials import is_counted

if TYPE_CHECKING:
    from neurofit.tables.table import TaskRow

MOST_BARS = 20  # runs in the picture of scores
MOST_CURVES = 6
MOST_PANELS = 4
MOST_BEST = 10  # runs in colour, of parallel coordinates
LEAST_AXES = 3  # of parallel coordinates


@dataclass(frozen=True)
class Drawn:
    """The pictures of an experiment, and sentences about what could not be drawn."""

    runs: Figure | None = None
    curves: list[Figure] = field(default_factory=list)
    curve_notes: list[str] = field(default_factory=list)
    neurons: Figure | None = None
    parallel: Figure | None = None
    problems: list[str] = field(default_factory=list)


def draw(
    status: ExperimentStatus, rows: list[TaskRow], table: RunTable, metric: DecisiveMetric | None
) -> Drawn:
    """Make the pictures for which there are numbers."""
    if metric is None or not table.scored:
        return Drawn()
    problems: list[str] = []
    labels = {table.runs[place]: table.scores[place].label for place in reversed(table.scored)}
    tasks = _tasks_of(status, rows, table.best_runs(max(MOST_CURVES, MOST_PANELS)), labels)
    curves, notes = _curves(tasks, len(labels), metric, problems)
    return Drawn(
        _runs(table, metric),
        curves,
        notes,
        _neurons(tasks, len(labels), metric, problems),
        _parallel(table, metric),
        problems,
    )


def _tasks_of(
    status: ExperimentStatus, rows: list[TaskRow], best: Sequence[int], labels: dict[int, str]
) -> dict[str, list[PlottedTask]]:
    """The finished tasks of the best runs, by the label of their run."""
    found: dict[str, list[PlottedTask]] = {labels[run]: [] for run in best}
    for row in rows:
        if is_counted(row) and row["run"] in best:
            files = status.files.task(row["run"], row["id"], row["repetition"]).attempt(row["attempt"] or 0)
            found[labels[row["run"]]].append(PlottedTask(row, {}, files.folder))
    return found


def _best_of(shown: int, runs: int, metric: DecisiveMetric) -> list[str]:
    if shown >= runs:
        return []
    which = "best run is" if shown == 1 else f"best {shown} runs are"
    return [f"Of {runs:,} runs, the {which} shown, by {metric.name} ({metric.better})."]


def _runs(table: RunTable, metric: DecisiveMetric) -> Figure:
    shown = [table.scores[place] for place in table.scored[:MOST_BARS]]
    return runs_figure(shown, metric.name, _best_of(len(shown), len(table.scored), metric))


def _curves(
    tasks: dict[str, list[PlottedTask]], runs: int, metric: DecisiveMetric, problems: list[str]
) -> tuple[list[Figure], list[str]]:
    logged: dict[str, list[PlottedTask]] = {}
    for label, members in list(tasks.items())[:MOST_CURVES]:
        logged[label] = []
        for task in members:
            try:
                logged[label].append(replace(task, history=read_history(task.folder / "history.csv")))
            except FileNotFoundError:
                continue
            except (NeurofitError, OSError) as error:
                problems.append(str(error))
    every = [task for members in logged.values() for task in members]
    figures, drawn = [], []
    for name in _logged_metrics(every, metric.name):
        curves = []
        for label, members in logged.items():
            histories = [
                History(
                    np.array(task.history[name][0]), np.array(task.history[name][1]), task.row["repetition"]
                )
                for task in members
                if task.has_values(name)
            ]
            if any(len(one.steps) for one in histories):
                curves.append(over_repetitions(histories, label, unit=step_unit(members)))
        if curves:
            figures.append(curves_figure(curves, name))
            drawn += curves
    return figures, _notes_of(drawn, len(logged), runs, metric) if drawn else []


def _logged_metrics(tasks: Sequence[PlottedTask], decisive: str) -> list[str]:
    """The score and the loss that most tasks logged, of which each may be missing."""
    counts = Counter(name for task in tasks for name in task.history if task.has_values(name))
    scores = [name for name in (decisive, *PREFERRED) if name in counts and not is_loss(name)]
    scores += [name for name, _ in counts.most_common() if not is_loss(name) and "loss" not in name]
    losses = [name for name in ("validation/loss", "test/loss", "train/loss", "loss") if name in counts]
    losses += [name for name, _ in counts.most_common() if is_loss(name)]
    return [*scores[:1], *losses[:1]]


def _notes_of(curves: Sequence[Curve], shown: int, runs: int, metric: DecisiveMetric) -> list[str]:
    notes = _best_of(shown, runs, metric)
    if any(curve.repetitions > 1 for curve in curves):
        middle, top, bottom = curves[0].percentiles[:3]
        notes.append(
            f"Lines are percentile {middle:g} over repetitions, bands go from percentile {bottom:g} to {top:g}; "
            "the legends have these numbers at the last step of each repetition."
        )
    if any(curve.count.min() < curve.repetitions for curve in curves):
        notes.append("Lines are faint at steps that not all repetitions reached.")
    return notes


def _neurons(
    tasks: dict[str, list[PlottedTask]], runs: int, metric: DecisiveMetric, problems: list[str]
) -> Figure | None:
    chosen = dict(list(tasks.items())[:MOST_PANELS])
    try:
        tables = [table for of in chosen.values() for task in of if (table := read_neuron_table(task.folder))]
        if not tables:
            return None
        wanted = metric.name if all(metric.name in table for table in tables) else None
        name, panels, notes = read_scores(chosen, wanted)
        ceiling = f"{name}_ceiling"
        has_ceilings = all(ceiling in table for table in tables)
        ceilings = {one.label: one for one in read_scores(chosen, ceiling)[1]} if has_ceilings else {}
    except (NeurofitError, OSError) as error:
        problems.append(str(error))
        return None
    shown = [_panel(panel, ceilings.get(panel.label)) for panel in panels]
    several = any(len(panel.scores) > 1 for panel in panels)
    notes = [*_best_of(len(shown), runs, metric), *notes]
    if several:
        notes.append("Each dot is the median of a neuron over repetitions.")
    return neurons_figure(shown, name, notes)


def _panel(panel: NeuronScores, ceiling: NeuronScores | None) -> NeuronPanel:
    if ceiling is None or ceiling.neurons != panel.neurons:
        return NeuronPanel(panel.label, panel.medians, None)
    return NeuronPanel(panel.label, panel.medians, ceiling.medians)


def _parallel(table: RunTable, metric: DecisiveMetric) -> Figure | None:
    if len(table.varied) < LEAST_AXES or len(table.scored) < LEAST_AXES:
        return None
    frame, chosen = table.frame, table.scored
    axes = []
    for name in table.varied:
        values = [_or_none(value) for value in frame[name].tolist()]
        values = [values[place] for place in chosen]
        axes.append(parallel_axis(name, values, [short(value, 24) for value in values]))
    axes.append(metric_axis(metric.name, [table.scores[place].mean for place in chosen]))
    best = list(range(min(MOST_BEST, len(chosen) - 1)))
    notes = [
        f"The best {len(best)} of {len(chosen):,} runs are in colour, by {metric.name} ({metric.better})."
    ]
    return parallel_figure(axes, best, notes)


def _or_none(value: object) -> object:
    return None if str(value) in ("nan", "<NA>") else value
