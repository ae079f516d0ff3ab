"""A group of tasks that was claimed: what each task gets, and its outcome as far as it is known before it starts."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from neurofit.store.attempts import Claimant
from neurofit.store.layout import AttemptFiles
from neurofit.store.records import STEP_ARGUMENTS, Outcome, RegisteredRun
from neurofit.store.submissions import Planned
from neurofit.store.suggestions import SUGGESTION
from neurofit.worker.assignment import Assignment
from neurofit.worker.outcome import timestamp
from neurofit.worker.pruning import Pruning
from neurofit.worker.task_context import TaskContext
from neurofit.worker.trials import NoSuggestion, Trials


@dataclass(frozen=True)
class Prepared:
    """The tasks of one run that a process does.

    Parameters
    ----------
    run : RegisteredRun
        With all its arguments.
    tasks : list of TaskContext
    records : list of Outcome
        Of the same tasks.
    problem : str or None
        Why they cannot run.
    metric : str or None
        What they must return, if they are of a search.
    """

    run: RegisteredRun
    tasks: list[TaskContext]
    records: list[Outcome]
    problem: str | None
    metric: str | None


def prepare(trials: Trials, claimant: Claimant, claimed: list[tuple[Planned, AttemptFiles]]) -> Prepared:
    """Prepare tasks of one run that were claimed. A trial of a search gets its arguments now, if it has none."""
    assignment = trials.assignment
    run, suggestion, problem = _run(trials, claimed[0][0])
    tasks = [_context(trials, run, task, attempt, suggestion) for task, attempt in claimed]
    log = claimed[0][1]
    records = [_record(assignment, claimant, run, one, log) for one in tasks]
    return Prepared(run, tasks, records, problem or assignment.problem, trials.metric_of(run))


def _run(trials: Trials, task: Planned) -> tuple[RegisteredRun, str | None, str | None]:
    """The run of a task with all its arguments, the hash of their suggestion, and why it has none."""
    run = trials.assignment.run(task.run)
    if run.trial is None or trials.assignment.problem is not None:
        return run, None, None
    try:
        return *trials.with_arguments(run), None
    except NoSuggestion as problem:
        return run, None, str(problem)


def _context(
    trials: Trials, run: RegisteredRun, task: Planned, attempt: AttemptFiles, suggestion: str | None
) -> TaskContext:
    assignment = trials.assignment
    return TaskContext(
        params={**run.params, **run.derived},
        repetition=task.repetition,
        repetitions=assignment.record.repetitions,
        split_by=assignment.record.split_by,
        study=assignment.files.study.root,
        code=assignment.code,
        files=assignment.task_files(task.run, task.repetition),
        attempt=attempt,
        fresh_after=task.last_attempt if assignment.record.fresh else 0,
        facts={SUGGESTION: suggestion} if suggestion else {},
        pruning=_pruning(trials, run, task),
    )


def _pruning(trials: Trials, run: RegisteredRun, task: Planned) -> Pruning | None:
    if task.repetition or trials.assignment.record.scratch:  # the first repetition decides for all
        return None
    arguments = {**trials.assignment.record.steps, **run.params, **run.derived}
    said = [arguments[name] for name in STEP_ARGUMENTS if isinstance(arguments.get(name), (int, float))]
    return trials.pruning(run, int(said[0]) if said else None)


def _record(
    assignment: Assignment, claimant: Claimant, run: RegisteredRun, task: TaskContext, log: AttemptFiles
) -> Outcome:
    record, experiment = assignment.record, assignment.experiment
    now = timestamp(time.time())
    return Outcome(
        experiment=assignment.files.name,
        run=run.number,
        id=run.id,
        architecture=run.architecture,
        params=run.params,
        derived=run.derived,
        on_grid=run.on_grid,
        defaults=experiment.defaults(task.params) if experiment else {},
        repetition=task.repetition,
        repetitions=task.repetitions,
        split_by=task.split_by,
        seeds=task.seeds.record(),
        attempt=task.attempt.number,
        state="failed",
        metrics={},
        facts=dict(task.facts),
        progress=None,
        error=None,
        submission=assignment.submission.name,
        job=claimant.job,
        host=claimant.process.host,
        pid=os.getpid(),
        started=now,
        ended=now,
        wall_seconds=0.0,
        cpu_seconds=0.0,
        peak_memory_gb=0.0,
        code=record.code_hash,
        commit=record.commit,
        dirty=record.dirty,
        versions=record.versions,
        scratch=record.scratch,
        log=log.folder.relative_to(assignment.files.folder).as_posix(),
    )
