"""The curves of selected tasks: which metric, which tasks belong to one curve, and notes about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from neurofit import study as studies
from neurofit.errors import UsageError, nearest
from neurofit.plotting.curves import MEDIAN, Curve, History, ensemble, over_repetitions
from neurofit.plotting.groups import SELECTOR, join_populations, labels_by, labels_by_run
from neurofit.plotting.tasks import PlottedTask, select_tasks, step_unit
from neurofit.tables.table import describe_differences

PREFERRED = ("test/correlation", "validation/correlation", "validation/loss", "test/loss")
MAX_CURVES = 28  # as many as colours and dashes can distinguish


@dataclass(frozen=True)
class CurveOptions:
    """How curves are computed.

    Parameters
    ----------
    metric, by, ensemble, percentiles, normalise_steps, limit
        See `curves`.
    names : tuple of str
        Names of the curves, in their order; empty for the default labels.
    """

    metric: str | None = None
    by: str | None = None
    ensemble: str | None = None
    percentiles: tuple[float, float, float, float] = MEDIAN
    normalise_steps: bool = False
    limit: tuple[float, float] | None = None
    names: tuple[str, ...] = ()

    def curve(self, histories: Sequence[History], label: str, unit: str = "step") -> Curve:
        return over_repetitions(
            histories,
            label,
            percentiles=self.percentiles,
            normalise_steps=self.normalise_steps,
            limit=self.limit,
            unit=unit,
        )


@dataclass(frozen=True)
class CurveSet:
    """The curves of one picture.

    Parameters
    ----------
    metric : str
    curves : list of Curve
    notes : list of str
        What a reader must know about them.
    first_task : PlottedTask, optional
        The first task of the first curve; None for files of other programs.
    """

    metric: str
    curves: list[Curve]
    notes: list[str]
    first_task: PlottedTask | None = None


@dataclass(frozen=True)
class CurveGroup:
    """The tasks of one curve; if populations are joined, the tasks of each."""

    label: str
    parts: list[list[PlottedTask]]

    @property
    def tasks(self) -> list[PlottedTask]:
        return [task for part in self.parts for task in part]


def curves(
    *selectors: str,
    metric: str | None = None,
    by: str | None = None,
    ensemble: str | None = None,
    percentiles: tuple[float, float, float, float] = MEDIAN,
    normalise_steps: bool = False,
    limit: tuple[float, float] | None = None,
    study: Path | str | None = None,
) -> list[Curve]:
    """Compute a metric over repetitions, one curve per run; `plotting.draw_curves` draws them.

    Parameters
    ----------
    *selectors : str
        Selectors of experiments or runs: "exp3", "exp3:0-4". Only finished tasks count, each of them once.
    metric : str, optional
        A column of `history.csv`. Default: the one of PREFERRED that most tasks have.
    by : str, optional
        An argument, for one curve per value, of all runs that share it; or "selector", for one curve per
        selector. Default: one curve per run.
    ensemble : str, optional
        An argument whose values are separate populations (regions). Runs that differ in it alone and share no
        neuron become one curve, weighted by neurons, paired by repetition.
    percentiles : tuple of float
        See `over_repetitions`.
    normalise_steps : bool
        See `over_repetitions`.
    limit : tuple of float, optional
        See `over_repetitions`.
    study : Path or str, optional
        A folder in the study. Default: the current folder.

    Returns
    -------
    list of Curve
    """
    home = studies.find(Path(study) if study else Path.cwd())
    tasks, _ = select_tasks(home, selectors, per_selector=by == SELECTOR)
    options = CurveOptions(metric, by, ensemble, percentiles, normalise_steps, limit)
    return make_curves(tasks, options).curves


def make_curves(tasks: Sequence[PlottedTask], options: CurveOptions) -> CurveSet:
    """Compute the curves of these tasks; tasks that did not log the metric are left out, with a note.

    Raises
    ------
    UsageError
        There is no such metric or argument, or more curves than can be distinguished.
    """
    metric = _choose_metric(tasks, options.metric)
    groups = _group_tasks(tasks, options)
    if len(groups) > MAX_CURVES:
        raise UsageError(
            f"{len(groups)} curves cannot be distinguished in one picture (at most {MAX_CURVES}). Select runs, "
            "such as exp3:0-9, or pool them with --by AXIS."
        )
    notes = [] if options.metric else [f"The metric shown is {metric}. Choose another with --metric."]
    found: list[tuple[CurveGroup, Curve]] = []
    failed: dict[str, list[str]] = {}  # reason → labels
    for group in groups:
        try:
            histories = _histories(group, metric)
            found.append((group, options.curve(histories, group.label, step_unit(group.tasks))))
        except UsageError as error:
            failed.setdefault(str(error).removeprefix(f"'{group.label}': "), []).append(group.label)
    if not found:
        raise UsageError("; ".join(f"'{labels[0]}': {reason}" for reason, labels in failed.items()))
    for reason, labels in failed.items():
        notes.append(f"Left out ({reason.rstrip('.')}): {'; '.join(labels)}.")
    curves = rename_curves([curve for _, curve in found], options.names)
    for (group, _), curve in zip(found, curves):
        notes += _notes(group, curve, metric, pooled=options.by is not None)
    return CurveSet(metric, curves, notes, found[0][0].tasks[0])


def rename_curves(curves: Sequence[Curve], names: Sequence[str]) -> list[Curve]:
    """Give curves other names, if there are any.

    Raises
    ------
    UsageError
        There are more or fewer names than curves.
    """
    if names and len(names) != len(curves):
        listed = "; ".join(curve.label for curve in curves)
        raise UsageError(
            f"--label needs one name per curve, got {len(names)} for {len(curves)} curves. In this order, they "
            f"are: {listed}."
        )
    return [replace(curve, label=name) for curve, name in zip(curves, names)] if names else list(curves)


def _choose_metric(tasks: Sequence[PlottedTask], metric: str | None) -> str:
    """The given metric, or else the one of PREFERRED that most tasks logged, or the most frequent of all."""
    logged = [[name for name in task.history if task.has_values(name)] for task in tasks]
    known = list(dict.fromkeys(name for names in logged for name in names))
    if metric is None:
        candidates = [name for name in PREFERRED if name in known] or known
        return max(candidates, key=lambda name: sum(name in names for names in logged))
    if metric not in known:
        raise UsageError(
            f"No task logged '{metric}'.{nearest(metric, known)} Logged metrics: {', '.join(known)}."
        )
    return metric


def _group_tasks(tasks: Sequence[PlottedTask], options: CurveOptions) -> list[CurveGroup]:
    """The tasks of each curve, in the order of runs."""
    if options.ensemble:
        rest = labels_by_run(tasks, left_out=options.ensemble)
        return [CurveGroup(label, parts) for label, parts in join_populations(options.ensemble, tasks, rest)]
    members: dict[str, list[PlottedTask]] = {}
    for label, task in zip(labels_by(options.by, tasks) if options.by else labels_by_run(tasks), tasks):
        members.setdefault(label, []).append(task)
    return [CurveGroup(label, [part]) for label, part in members.items()]


def _histories(group: CurveGroup, metric: str) -> list[History]:
    parts = [[_history(task, metric) for task in part if task.has_values(metric)] for part in group.parts]
    if not all(parts):
        raise UsageError(f"'{group.label}': no task logged {metric}.")
    return parts[0] if len(parts) == 1 else ensemble(parts)


def _history(task: PlottedTask, metric: str) -> History:
    steps, values = task.history[metric]
    neurons = task.fact("neurons_scored")
    repetition: int = task.row["repetition"]
    return History(
        np.array(steps), np.array(values), repetition, neurons if isinstance(neurons, int) else None
    )


def _notes(group: CurveGroup, curve: Curve, metric: str, *, pooled: bool) -> list[str]:
    tasks = group.tasks
    notes = []
    if pooled and (differences := describe_differences([task.row for task in tasks])):
        # Within a run, `neurofit results` has the note already.
        notes.append(f"{curve.label}: its tasks differ in more than their seed: {differences}.")
    if pooled and len(runs := {task.run for task in tasks}) > 1:
        notes.append(
            f"{curve.label}: percentiles are over {len(tasks)} tasks of {len(runs)} runs, which differ in more "
            "than their seed."
        )
    if missing := sum(not task.has_values(metric) for task in tasks):
        notes.append(f"{curve.label}: {missing} of {len(tasks)} tasks did not log {metric}.")
    if curve.count.min() < curve.repetitions:
        notes.append(f"{curve.label}: faint at steps that not all {curve.repetitions} repetitions reached.")
    if len(curve.steps) == 1:
        notes.append(f"{curve.label} has a single value. For a curve, fit with a smaller --validate-every.")
    return notes
