"""Stages: the experiments that an experiment needs, and what a submit has to queue of them first."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from neurofit.backends.runner import Runner
from neurofit.errors import NameUnknown, UsageError
from neurofit.experiments import scripts
from neurofit.experiments.experiment import Experiment
from neurofit.orchestrate.plan import Plan, SubmitOptions, load, make, runs_of
from neurofit.status.needs import look
from neurofit.store.layout import ExperimentFiles
from neurofit.store.records import Need
from neurofit.store.registry import read_registry
from neurofit.store.state import State
from neurofit.study import Study
from neurofit.text import command


@dataclass(frozen=True)
class Stage:
    """A needed experiment, what of it will be queued, and where."""

    plan: Plan
    runner: Runner

    def summary(self) -> dict[str, object]:
        jobs = self.plan.jobs(self.plan.options.tasks_per_job or self.runner.backend.tasks_per_job)
        return {**self.plan.summary(len(jobs)), "runner": self.runner.name}


def order(study: Study, experiment: Experiment) -> list[Experiment]:
    """All that the experiment needs, directly or not, each after what it needs itself.

    Raises
    ------
    UsageError
        Experiments need each other in a circle.
    NameUnknown
        The study has no experiment of a needed name.
    """
    found: dict[str, Experiment] = {}

    def visit(one: Experiment, path: tuple[str, ...]) -> None:
        for name in _names(study, one):
            if name in path:
                circle = " → ".join([*path[path.index(name) :], name])
                raise UsageError(
                    f"Experiments need each other in a circle: {circle}. Remove one of these `needs`."
                )
            if name not in found:
                needed = load(study, name)
                visit(needed, (*path, name))
                found[name] = needed

    visit(experiment, (experiment.name,))
    return list(found.values())


def _names(study: Study, experiment: Experiment) -> list[str]:
    """The whole names of what an experiment needs directly."""
    names = []
    for name in experiment.needed():
        try:
            names.append(scripts.find(study, name).name)
        except NameUnknown as error:
            raise NameUnknown(f"{experiment.script}: needs={name!r}: {error}") from error
    return list(dict.fromkeys(names))


def stages(plan: Plan, default: Runner, runners: Mapping[str, Runner]) -> list[Stage]:
    """What has to be queued before the tasks of a plan, in this order; also stages that have nothing to queue.

    Parameters
    ----------
    plan : Plan
    default : Runner
        The runner of stages that have none of their own.
    runners : mapping of str to Runner
        Runners by the name of a stage.

    Raises
    ------
    UsageError
        A needed experiment has failed or cancelled tasks and the options do not repeat them, or a runner is given
        for an experiment that is not needed, or a runner cannot wait.
    """
    experiments = order(plan.study, plan.experiment)
    known = [plan.experiment.name, *(one.name for one in experiments)]
    for name in runners:
        if name not in known:
            raise UsageError(
                f"--backend {name}=…: '{name}' is no stage of this submit. Its stages: {', '.join(known)}."
            )
    plans = {
        one.name: make(plan.study, one, SubmitOptions(retry=plan.options.retry)) for one in experiments
    } | {plan.experiment.name: plan}
    asked = _asked(plan, plans)
    found = [
        Stage(plans[one.name], runners.get(one.name, default)) for one in experiments if one.name in asked
    ]
    for stage in found:
        must_be_possible(stage.plan)
    for stage in [*found, Stage(plan, runners.get(plan.experiment.name, default))]:
        if stage.plan.tasks:
            must_wait(stage.plan.study, needs_of(stage.plan.study, stage.plan.experiment), stage.runner)
    return found


def _asked(plan: Plan, plans: Mapping[str, Plan]) -> set[str]:
    """The stages that somebody with tasks to queue needs: what needs nothing is not looked at further."""
    asked: set[str] = set()
    left = [plan] if plan.tasks else []
    while left:
        one = left.pop()
        for name in _names(one.study, one.experiment):
            if name not in asked:
                asked.add(name)
                if plans[name].tasks:
                    left.append(plans[name])
    return asked


def must_be_possible(plan: Plan) -> None:
    """Raise UsageError if an experiment will not be done after what this plan queues."""
    failed = sum(plan.counts[state] for state in (State.FAILED, State.CANCELLED))
    if failed and not plan.options.retry:
        name = plan.experiment.name
        raise UsageError(
            f"{name} is needed first, and {failed:,} of its tasks failed or were cancelled. Add --retry to repeat "
            f"them; `{command('failures', name)}` shows why."
        )


def needs_of(study: Study, experiment: Experiment) -> list[Need]:
    """The tasks that must be done before the experiment starts, by the grids as they are now."""
    needs = []
    for name in _names(study, experiment):
        needed = load(study, name)
        runs = runs_of(needed, read_registry(ExperimentFiles(study, name).registry))
        spans: list[tuple[int, int]] = []
        for number in (run.registered_number for run in runs):
            if spans and spans[-1][1] == number - 1:
                spans[-1] = (spans[-1][0], number)
            else:
                spans.append((number, number))
        needs.append(
            Need(experiment=name, runs=[list(span) for span in spans], repetitions=needed.repetitions)
        )
    return needs


def must_wait(study: Study, needs: list[Need], runner: Runner) -> bool:
    """Whether the jobs have to wait for what they need. Raises UsageError if the runner's jobs cannot wait."""
    left = [view for need in needs if not (view := look(study, need)).is_done]
    if left and not runner.backend.waits_for_needs():
        first = left[0]
        raise UsageError(
            f"{first.progress} is needed first, and jobs of the runner {runner.name} do not wait for other "
            f"experiments. Run `{command('submit', first.name)}` first, and this command when that is done."
        )
    return bool(left)


def gate(folder: str) -> tuple[str, ...]:
    """The command that waits for what a submission needs."""
    return (sys.executable, "-m", "neurofit.orchestrate.gate", folder)
