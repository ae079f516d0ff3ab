"""Stages: the experiments that an experiment needs, and what a submit has to queue of them first."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from neurofit.backends.base import Gate
from neurofit.backends.runner import Runner
from neurofit.errors import NameUnknown, UsageError
from neurofit.experiments import scripts
from neurofit.experiments.experiment import Experiment
from neurofit.orchestrate.plan import Plan, SubmitOptions, make, runs_of
from neurofit.orchestrate.raises import Part, parts, summary
from neurofit.status.needs import NeedView, look
from neurofit.store.layout import ExperimentFiles, SubmissionFiles
from neurofit.store.records import Need
from neurofit.store.registry import read_registry
from neurofit.store.state import State
from neurofit.store.submissions import need_stop_text
from neurofit.study import Study
from neurofit.text import command

ID = "ID"  # stands for ids that a queue has not given yet
GATE_BROKEN = "what it needs could not be read again and again; see logs/pool.log of the submission"


@dataclass(frozen=True)
class Needed:
    """All that an experiment needs, directly or not, with every script loaded once."""

    experiments: Mapping[str, Experiment]  # by name, each after what it needs itself
    names: Mapping[str, tuple[str, ...]]  # of an experiment → the whole names of what it needs directly

    def of(self, name: str) -> list[Experiment]:
        """What an experiment needs directly."""
        return [self.experiments[one] for one in self.names[name]]


@dataclass(frozen=True)
class Stage:
    """A needed experiment, what of it will be queued, and where."""

    plan: Plan
    runner: Runner
    needed: Needed
    parts: Sequence[Part] = ()  # of the plan

    def summary(self) -> dict[str, object]:
        jobs = sum(part.jobs for part in self.parts)
        return {**self.plan.summary(jobs), "runner": self.runner.name, **summary(self.parts)}


def order(study: Study, experiment: Experiment) -> Needed:
    """All that the experiment needs, directly or not.

    Raises
    ------
    UsageError
        Experiments need each other in a circle.
    NameUnknown
        The study has no experiment of a needed name.
    """
    found: dict[str, Experiment] = {}
    names: dict[str, tuple[str, ...]] = {}

    def visit(one: Experiment, path: tuple[str, ...]) -> None:
        entries = _entries(study, one)
        names[one.name] = tuple(entries)
        for name, entry in entries.items():
            if name in path:
                circle = " → ".join([*path[path.index(name) :], name])
                raise UsageError(
                    f"Experiments need each other in a circle: {circle}. Remove one of these `needs`."
                )
            if name not in found:
                needed = scripts.load(study, entry.path, name)
                visit(needed, (*path, name))
                found[name] = needed

    visit(experiment, (experiment.name,))
    return Needed(found, names)


def _entries(study: Study, experiment: Experiment) -> dict[str, scripts.Entry]:
    """The scripts of what an experiment needs directly, by their whole names."""
    entries = {}
    for name in experiment.needed():
        try:
            entry = scripts.find(study, name)
        except NameUnknown as error:
            raise NameUnknown(f"{experiment.script}: needs={name!r}: {error}") from error
        entries[entry.name] = entry
    return entries


def stages(
    plan: Plan,
    needed: Needed,
    default: Runner,
    runners: Mapping[str, Runner],
    given: Collection[str] = (),
) -> list[Stage]:
    """What has to be queued before the tasks of a plan, in this order; also stages that have nothing to queue.

    Parameters
    ----------
    plan : Plan
    needed : Needed
        What its experiment needs.
    default : Runner
        The runner of stages that have none of their own.
    runners : mapping of str to Runner
        Runners by the name of a stage.
    given : collection of str
        Requests that the command line sets, which are not raised; see `raises.parts`.

    Raises
    ------
    UsageError
        A needed experiment has failed or cancelled tasks and the options do not repeat them, or a runner is given
        for an experiment that is not needed, or a runner cannot wait.
    """
    known = [plan.experiment.name, *needed.experiments]
    for name in runners:
        if name not in known:
            raise UsageError(
                f"--backend {name}=…: '{name}' is no stage of this submit. Its stages: {', '.join(known)}."
            )
    plans = {
        name: make(plan.study, one, SubmitOptions(retry=plan.options.retry))
        for name, one in needed.experiments.items()
    } | {plan.experiment.name: plan}
    asked = _asked(plan, plans, needed)
    names = [name for name in needed.experiments if name in asked]
    for name in names:
        must_be_possible(plans[name])
    for name in [*names, plan.experiment.name]:
        if plans[name].tasks:
            views = [look(plan.study, need) for need in needs_of(plan.study, needed.of(name))]
            must_wait(views, runners.get(name, default))
    found = []
    for name in names:
        runner = runners.get(name, default)
        found.append(Stage(plans[name], runner, needed, parts(plans[name], runner, given)))
    return found


def _asked(plan: Plan, plans: Mapping[str, Plan], needed: Needed) -> set[str]:
    """The stages that somebody with tasks to queue needs: what needs nothing is not looked at further."""
    asked: set[str] = set()
    left = [plan] if plan.tasks else []
    while left:
        for name in needed.names[left.pop().experiment.name]:
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


def needs_of(study: Study, experiments: Iterable[Experiment]) -> list[Need]:
    """The tasks of these experiments that must be done before another one starts, by the grids as they are now."""
    needs = []
    for needed in experiments:
        runs = runs_of(needed, read_registry(ExperimentFiles(study, needed.name).registry))
        spans: list[tuple[int, int]] = []
        for number in (run.registered_number for run in runs):
            if spans and spans[-1][1] == number - 1:
                spans[-1] = (spans[-1][0], number)
            else:
                spans.append((number, number))
        needs.append(
            Need(experiment=needed.name, runs=[list(span) for span in spans], repetitions=needed.repetitions)
        )
    return needs


def must_wait(views: Iterable[NeedView], runner: Runner) -> list[NeedView]:
    """Those of the needed experiments that are not done. Raises UsageError if the runner's jobs cannot wait."""
    left = [view for view in views if not view.is_done]
    if left and not runner.backend.waits_for_needs():
        first = left[0]
        raise UsageError(
            f"{first.progress} is needed first, and jobs of the runner {runner.name} do not wait for other "
            f"experiments. Run `{command('submit', first.name)}` first, and this command when that is done."
        )
    return left


def must_be_done(study: Study, experiment: Experiment) -> None:
    """Raise UsageError unless what the experiment needs is done, for a task that runs at once."""
    for need in needs_of(study, order(study, experiment).of(experiment.name)):
        view = look(study, need, asking=False)
        if not view.is_done:
            raise UsageError(
                f"{view.progress} is needed first. Run `{command('submit', view.name)}`, and this command when that "
                f"is done; or `{command('submit', experiment.name)}`, which does both in order."
            )


def dependencies(left: Iterable[NeedView], runner: Runner) -> tuple[str, ...]:
    """Ids of the jobs of the runner's own queue that new jobs have to wait for."""
    calls = [call for view in left for kind, call in view.calls() if kind == runner.kind]
    return runner.backend.dependencies(calls) if calls else ()


def foreseen(plan: Plan, runner: Runner, needed: Needed, before: Iterable[Stage]) -> tuple[str, ...]:
    """The dependencies that `submit` would have: ids, and ID for jobs of the stages that it would queue first."""
    direct = needed.of(plan.experiment.name)
    left = [view for need in needs_of(plan.study, direct) if not (view := look(plan.study, need)).is_done]
    names = {one.name for one in direct}
    ours = (stage for stage in before if stage.plan.experiment.name in names and stage.plan.tasks)
    is_first = any(stage.runner.kind == runner.kind for stage in ours)
    return (*dependencies(left, runner), *([ID] if is_first else []))


def gate(files: SubmissionFiles) -> Gate:
    """What keeps the jobs of a pool waiting for what a submission needs."""
    words = (sys.executable, "-m", "neurofit.orchestrate.gate", str(files.folder))
    return Gate(words, files.need_stop, need_stop_text(GATE_BROKEN))
