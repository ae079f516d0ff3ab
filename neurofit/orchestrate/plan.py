"""The plan of a submit: which tasks of the grid will be queued, and why the others will not."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from neurofit.errors import NeurofitError, UsageError
from neurofit.experiments import scripts, snapshot
from neurofit.experiments.numbering import numbered
from neurofit.experiments.selector import Selection, Where, where
from neurofit.orchestrate import inodes, job_sizes, searches
from neurofit.orchestrate.outdated import Outdated, outdated
from neurofit.orchestrate.trials import entry, off_grid, tried_before, varied_runs
from neurofit.status.experiment_status import ExperimentStatus, read_status
from neurofit.store.records import RegisteredRun
from neurofit.store.registry import Registry
from neurofit.store.state import ACTIVE, State
from neurofit.store.submissions import Planned, TaskKey
from neurofit.study import Study
from neurofit.tables.query import nothing_matches, nothing_meets

if TYPE_CHECKING:
    from neurofit.backends.base import Backend
    from neurofit.backends.runner import Runner
    from neurofit.experiments.experiment import Experiment, Run

GO_ON = frozenset({State.NEW, State.STOPPED, State.LOST})
RETRIED = frozenset({State.FAILED, State.CANCELLED})


@dataclass(frozen=True)
class SubmitOptions:
    """What to queue, from the options of `submit`."""

    selection: Selection | None = None
    where: Where | None = None
    repetitions: int | None = None  # overrides the experiment's own number
    retry: bool = False  # also tasks that failed or were cancelled
    rerun: bool = False  # also tasks that are done; all from scratch
    keep_going: bool = False  # also after identical failures of the first tasks
    tasks_per_job: int | None = None
    trials: int | None = None  # of a search; None: as many as the script says
    changes: Mapping[str, Any] = field(default_factory=dict)  # arguments to replace in every run: a trial
    best: int | None = None  # trials of a search to repeat with other seeds
    only: frozenset[TaskKey] | None = None  # of what the other options select


@dataclass
class Plan:
    """What a submit will do."""

    study: Study
    experiment: Experiment
    options: SubmitOptions
    runs: list[Run]  # the grid's, or those of a trial
    grid: list[Run]
    repetitions: int
    counts: Counter[State]  # of the tasks that the options cover
    outdated: Outdated  # tasks that were done with other code or data
    tasks: list[Planned]  # that will be queued
    removed: int  # registered runs that the grid no longer has
    code_hash: str
    covered: list[TaskKey] = field(repr=False)
    status: ExperimentStatus = field(repr=False)
    first: int = 0  # repetition of each run

    @property
    def other_code(self) -> int:
        return self.outdated.code

    @cached_property
    def data_problem(self) -> NeurofitError | None:
        """Why a task that would be queued would not find its data, which is looked for once.

        What an experiment needs may make the data first: then they are not looked for.
        """
        if not self.tasks or self.experiment.needs:
            return None
        queued = {task.run for task in self.tasks}
        arguments = [run.arguments for run in self.runs if run.registered_number in queued]
        try:
            self.experiment.adapter.check_data(self.study.root, arguments)
        except NeurofitError as problem:
            return problem
        return None

    @cached_property
    def outside(self) -> int:
        """How many finished trials of a search lie outside the ranges that the script has now; read once."""
        if self.experiment.search is None or not self.counts[State.DONE] + self.counts[State.FAILED]:
            return 0
        return searches.outside(self.status.files, self.experiment)

    def check_data(self) -> None:
        """Raise NeurofitError if a task that would be queued would not find its data."""
        if self.data_problem is not None:
            raise self.data_problem

    def files(self, jobs: int) -> int:
        """About how many files and folders the tasks that will be queued will make."""
        return inodes.estimate(self.status, self.tasks, jobs)

    def keys(self) -> list[TaskKey]:
        """All tasks that the options cover."""
        return list(self.covered)

    @property
    def is_trial(self) -> bool:
        """Whether arguments are replaced, or trials of a search repeated, so that tasks may be off the grid."""
        return bool(self.options.changes) or self.options.best is not None

    def off_grid(self) -> list[Run]:
        """The runs that the grid does not have."""
        return off_grid(self.runs, self.grid)

    def registered(self) -> list[RegisteredRun]:
        """The entries of `runs.jsonl` after this plan was queued: the grid, earlier runs, and a trial's."""
        off_grid = [entry(run, on_grid=False) for run in self.off_grid()]
        entries = [*registered(self.grid, self.status.registry), *off_grid]
        return list({run.number: run for run in entries}.values())

    def jobs(self, tasks_per_job: int | None) -> list[list[Planned]]:
        """Tasks by job: one run per job, its repetitions in sequence, or `tasks_per_job` tasks per job.

        Made once, since a submit asks several times: a list that is not to be changed.
        """
        if tasks_per_job not in self._jobs:
            self._jobs[tasks_per_job] = self._divided(tasks_per_job)
        return self._jobs[tasks_per_job]

    @cached_property
    def _jobs(self) -> dict[int | None, list[list[Planned]]]:
        return {}

    def _divided(self, tasks_per_job: int | None) -> list[list[Planned]]:
        if tasks_per_job is None:
            return [list(group) for _, group in itertools.groupby(self.tasks, key=lambda task: task.run)]
        found: list[list[Planned]] = []
        for group in self.groups():
            if not found or len(found[-1]) + len(group) > tasks_per_job:
                found.append([])
            found[-1] += group
        return found

    def groups(self) -> Iterable[list[Planned]]:
        """Tasks that cannot be divided: of a run whose repetitions are trained together, those of a group."""
        return (list(group) for _, group in itertools.groupby(self.tasks, key=self._group_of))

    def _group_of(self, task: Planned) -> tuple[int, int]:
        return task.group(self.trained_together.get(task.run, 1))

    @cached_property
    def trained_together(self) -> dict[int, int]:
        """How many repetitions one process trains together, of the runs that have more than one; run → number."""
        return {run: size for run, size in self._sizes.items() if size is not None and size > 1}

    @cached_property
    def _sizes(self) -> dict[int, int | None]:
        """How many repetitions of each run one process trains together, None for all that a job has; run → number."""
        of = self.experiment.adapter.repetitions_together
        return {run.registered_number: of(run.arguments) for run in self.runs}

    def trained(self, tasks: Sequence[Planned]) -> int:
        """How many repetitions are trained for these tasks: of groups, all."""
        sizes = self.trained_together
        if not sizes:
            return len(tasks)
        folds = self.repetitions if self.experiment.split_by == "fold" else None
        total = 0
        for run, group in {self._group_of(task) for task in tasks}:
            size = sizes.get(run, 1)
            total += size if folds is None else min(size, folds - group * size)
        return total

    @property
    def not_kept(self) -> int:
        """How many repetitions of groups are trained although no task needs them."""
        return self.trained(self.tasks) - len(self.tasks)

    def jobs_of(self, backend: Backend) -> list[list[Planned]]:
        """Tasks by job, as this backend runs them.

        A run per job; enough runs to fill a GPU that tasks share; parts of runs, where this machine's pool would have
        fewer jobs than workers.
        """
        per_job = self.options.tasks_per_job or backend.tasks_per_job
        if per_job is not None:
            return self.jobs(per_job)
        search = None if self.is_trial else self.experiment.search
        runs = self.jobs(None)
        if search is None and job_sizes.leave_workers_idle(runs, backend):
            can_be_divided = all(size is not None for size in self._sizes.values())
            return self.jobs(1) if can_be_divided else runs
        most_runs = None if search is None else search.at_once
        return job_sizes.filled(runs, backend, self.processes, most_runs=most_runs)

    def processes(self, tasks: list[Planned]) -> int:
        """In how many processes a job runs these tasks: one each, unless the fit trains repetitions together."""
        return len({task.group(self._sizes.get(task.run, 1)) for task in tasks})

    def throttled(self, runner: Runner) -> Runner:
        """The runner, with at most as many jobs at a time as a search has trials at once."""
        search = self.experiment.search
        if search is None or self.is_trial:
            return runner
        in_a_job = job_sizes.trials_at_a_time(self.jobs_of(runner.backend), runner.backend)
        jobs = max(1, search.at_once // in_a_job)
        most = min(jobs, runner.backend.max_running or jobs)
        return replace(runner, backend=replace(runner.backend, max_running=most))

    def summary(self, jobs: int) -> dict[str, Any]:
        """Counts of tasks, as `submit --dry-run --json` prints them."""
        counts = {str(state): self.counts[state] for state in State}
        trial: dict[str, Any] = {"off_grid": len(self.off_grid())} if self.is_trial else {}
        if self.options.changes:
            trial = {"set": dict(self.options.changes), **trial}
        if self.options.best is not None:
            trial = {"best": self.options.best, "first_repetition": self.first, **trial}
        if (search := searches.summary(self.experiment)) is not None:
            trial["search"] = {**search, "finished_outside": self.outside}
        return {
            "experiment": self.experiment.name,
            **trial,
            **counts,
            "done_other_code": self.outdated.code,
            "done_other_data": self.outdated.data,
            "to_queue": len(self.tasks),
            "jobs": jobs,
            "files": self.files(jobs),
            "runs": len(self.runs),
            "repetitions": self.repetitions,
            "removed_runs": self.removed,
            "problems": self.status.problems + self.status.unanswered,
        }


def load(study: Study, name: str) -> Experiment:
    """The experiment of this name, loaded from its script."""
    entry = scripts.find(study, name)
    return scripts.load(study, entry.path, entry.name)


def condition(experiment: Experiment, text: str) -> Where:
    """The condition `--where` on the arguments of the experiment's runs. Raises UsageError."""
    names = [name for run in experiment.runs() for name in run.arguments]
    return where(text, dict.fromkeys(["architecture", *names, *experiment.grid.names]))


def make(
    study: Study, experiment: Experiment, options: SubmitOptions, status: ExperimentStatus | None = None
) -> Plan:
    """Compare the grid with what is done and queued. Raises UsageError if the options select no task."""
    # `status` imports this module, and makes no plan
    from neurofit.experiments.experiment import must_be_manageable

    status = status or read_status(study, experiment.name)
    experiment = searches.with_trials(experiment, status.registry, options.trials)
    grid = runs_of(experiment, status.registry)
    repetitions = options.repetitions or experiment.repetitions
    must_be_manageable(len(grid), repetitions)
    if experiment.split_by == "fold" and repetitions != experiment.repetitions and options.best is None:
        raise UsageError(
            f"--repetitions {repetitions}: each repetition of {experiment.name} is one of {experiment.repetitions} "
            "folds of the data (split_by='fold'), and other folds make other runs. Set repetitions in the script, or "
            f"select some of the folds, such as {experiment.name}:all/0."
        )
    code = snapshot.code_hash(study.root, experiment.script, experiment.adapter.code)
    first = 0
    if options.best is not None:
        from neurofit.orchestrate.best_trials import confirmation  # loads NumPy

        _check_best(options)
        found = confirmation(experiment, status, options.best, options.repetitions, grid, options.where)
        runs, keys, first, repetitions = found.runs, found.keys(), found.first, found.repetitions
        must_be_manageable(len(runs), first + repetitions)
    else:
        earlier = (
            [] if options.changes else tried_before(experiment, options.selection, grid, status.registry)
        )
        keys = list(_covered(grid, earlier, repetitions, options, status))
        runs = grid + earlier
    if not keys:
        numbers = [run.registered_number for run in grid]
        unconditional = replace(options, where=None)
        if options.where and any(_covered(grid, earlier, repetitions, unconditional, status)):
            raise UsageError(nothing_meets(experiment.name, options.where.text))
        raise UsageError(nothing_matches(experiment.name, numbers, repetitions))
    if options.changes:
        of_grid = {run.number: run for run in grid}
        selected = [of_grid[number] for number in dict.fromkeys(number for number, _ in keys)]
        bases = [searches.with_suggested(experiment, status.files, run) for run in selected]
        runs = varied_runs(experiment, bases, options.changes, grid, status.registry)
        tried = sorted({repetition for _, repetition in keys})
        keys = [(run.registered_number, repetition) for run in runs for repetition in tried]
    states = dict(zip(keys, status.of_each(keys)))
    other = outdated(study, (task for task in states.values() if task.state is State.DONE), code)
    wanted = _wanted(options)
    tasks = [
        Planned(*key, task.newest)
        for key, task in states.items()
        if task.state in wanted and (options.only is None or key in options.only)
    ]
    if experiment.search is not None and tasks and options.best is None:  # what is repeated has its arguments
        searches.check_sampler(experiment.search)
    on_grid = {run.number for run in grid}
    removed = sum(run.on_grid and number not in on_grid for number, run in status.registry.runs.items())
    counts = Counter(task.state for task in states.values())
    return Plan(
        study,
        experiment,
        options,
        runs,
        grid,
        repetitions,
        counts,
        other,
        tasks,
        removed,
        code,
        keys,
        status,
        first,
    )


def _check_best(options: SubmitOptions) -> None:
    """Raise UsageError if other options choose or change the runs that --best chooses."""
    selection = options.selection
    for name, is_given in (
        ("--set", bool(options.changes)),
        ("--trials", options.trials is not None),
        ("a selection of tasks", selection is not None and (selection.runs or selection.repetitions)),
    ):
        if is_given:
            raise UsageError(
                f"--best {options.best} chooses the trials and repeats them as they are: it does not go with {name}. "
                "Use --where to choose among fewer trials."
            )


def runs_of(experiment: Experiment, registry: Registry) -> list[Run]:
    """The grid's runs under their registered numbers, by number; also trials beyond those that the script asks for."""
    runs = searches.with_trials(experiment, registry, None).runs()
    return sorted(numbered(runs, registry.pairs()), key=lambda run: run.registered_number)


def registered(runs: Iterable[Run], registry: Registry) -> list[RegisteredRun]:
    """The entries of `runs.jsonl`: these runs, and earlier runs marked as no longer in the grid."""
    now = [entry(run) for run in runs]
    numbers = {run.number for run in now}
    left = [run for number, run in registry.runs.items() if number not in numbers and run.on_grid]
    return now + [msgspec.structs.replace(run, on_grid=False, unknown={}) for run in left]


def chosen(experiment: Experiment, runs: list[Run], selection: Selection, where: Where | None) -> list[Run]:
    """The runs that a selector and a condition select. Raises UsageError if there are none."""
    numbers = [run.registered_number for run in runs]
    some = replace(selection, runs=None)
    of_runs = replace(selection, repetitions=None)
    found = [run for run in runs if of_runs.matches(run.registered_number, 0, numbers)]
    if not found or not any(some.matches(0, number, ()) for number in range(experiment.repetitions)):
        raise UsageError(nothing_matches(experiment.name, numbers, experiment.repetitions))
    if where is None:
        return found
    found = [run for run in found if where({"architecture": run.architecture, **run.arguments})]
    if not found:
        raise UsageError(nothing_meets(experiment.name, where.text))
    return found


def _covered(
    grid: list[Run],
    earlier: list[Run],
    repetitions: int,
    options: SubmitOptions,
    status: ExperimentStatus,
) -> Iterable[tuple[int, int]]:
    numbers = [run.registered_number for run in grid]
    for run in grid + earlier:
        number = run.registered_number
        if options.where is not None and not options.where(_arguments(run, status)):
            continue
        for repetition in range(repetitions):
            if options.selection is None or options.selection.matches(number, repetition, numbers):
                yield number, repetition


def _arguments(run: Run, status: ExperimentStatus) -> dict[str, Any]:
    """All arguments of a run; those of a trial only if they are suggested already."""
    if run.trial is not None and run.number in status.registry.runs:
        return status.arguments(run.number)
    return {"architecture": run.architecture, **run.arguments}


def _wanted(options: SubmitOptions) -> frozenset[State]:
    if options.rerun:
        return frozenset(State) - ACTIVE
    return GO_ON | RETRIED if options.retry else GO_ON
