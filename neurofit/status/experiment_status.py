"""How an experiment stands: the state of every task, from its files and its queues.

Never loads the script.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from neurofit.errors import StoreError
from neurofit.experiments.selector import naming
from neurofit.status.queues import JobsView, ask
from neurofit.status.suggestions import runner_option
from neurofit.store import index, storage
from neurofit.store.choices import counting, read_choices
from neurofit.store.evidence import (
    Facts,
    TaskFacts,
    heartbeats,
    job_has_ended,
    look_at_attempts,
    read_journals,
)
from neurofit.store.layout import ExperimentFiles, SubmissionFiles
from neurofit.store.records import Cancellation, SubmissionRecord
from neurofit.store.registry import Registry, read_registry
from neurofit.store.state import ACTIVE, FAILED_OR_LOST, Evidence, Heartbeat, State, decide
from neurofit.store.submissions import (
    Planned,
    TaskKey,
    is_at_home,
    read_jobs,
    read_stops,
    read_submission,
)
from neurofit.study import Study

QUIET_SECONDS = (
    300.0  # for so long a queue answers without jobs that were cancelled, before it is asked no more
)


@dataclass(slots=True)
class TaskStatus:
    """The state of one task and where to look for more.

    Of several attempts, the newest that is done counts, or the one that was chosen: the task is *done*, and
    `newer` is what came of an attempt since. While it is queued or running again, it is that, and `result` is
    what counts.
    """

    state: State
    attempt: int = 0
    submission: str | None = None
    job: int | None = None
    cause: str | None = None  # why a job ended that left no outcome, or why it waits
    code: str | None = None
    inputs: dict[str, str] | None = None  # file → digest, of the data that it says it read
    newest: int = 0  # number of the newest attempt, whatever became of it
    newer: TaskStatus | None = None  # a newer attempt than the one that counts
    result: TaskStatus | None = None  # the attempt that counts, of a task that is at work again

    @property
    def counted(self) -> TaskStatus | None:
        """The attempt whose results are the task's; None as long as none is done."""
        return self if self.state is State.DONE else self.result

    @property
    def latest(self) -> TaskStatus:
        """What happened last."""
        return self.newer or self


@dataclass
class SubmissionStatus:
    """One submission, as far as its files tell."""

    files: SubmissionFiles
    record: SubmissionRecord
    jobs: list[list[Planned]]
    facts: Facts
    stops: list[Cancellation]
    at_home: bool
    lock: Path  # of the experiment


@dataclass
class ExperimentStatus:
    """How an experiment stands."""

    name: str
    files: ExperimentFiles
    registry: Registry
    repetitions: int = 0
    tasks: dict[TaskKey, TaskStatus] = field(default_factory=dict)
    done: dict[TaskKey, dict[int, TaskStatus]] = field(
        default_factory=dict
    )  # by number: attempts that are done
    submissions: list[SubmissionStatus] = field(default_factory=list)
    queues: dict[str, JobsView] = field(default_factory=dict)  # by submission
    problems: list[str] = field(default_factory=list)  # what could not be read or asked, in words

    def of(self, key: TaskKey) -> TaskStatus:
        return self.tasks.get(key) or TaskStatus(State.NEW)

    def counts(self) -> Counter[State]:
        """Tasks by state: those of the grid, and those off it that were ever submitted."""
        return Counter(self.of(key).state for key in self.all_keys())

    def displaced(self, keys: Collection[TaskKey] | None = None) -> Counter[State]:
        """What became of newer attempts than those that count, of tasks that are done."""
        found = (self.of(key) for key in (self.tasks if keys is None else keys))
        return Counter(task.newer.state for task in found if task.newer)

    def all_keys(self) -> list[TaskKey]:
        grid = {
            (run.number, rep)
            for run in self.registry.runs.values()
            if run.on_grid
            for rep in range(self.repetitions)
        }
        return sorted(grid | self.tasks.keys())

    @property
    def unanswered(self) -> list[str]:
        return [view.problem for view in self.queues.values() if view.problem]

    def runner_of(self, keys: Collection[TaskKey]) -> str | None:
        """The `--backend` that the newest submission of any of these tasks needs; None for the default."""
        names = {self.of(key).submission for key in keys}
        newest = next((part for part in reversed(self.submissions) if part.files.name in names), None)
        return runner_option(newest.record.runner) if newest else None


def read_status(
    study: Study, name: str, *, runners: Path | None = None, cache: Path | None = None, asking: bool = True
) -> ExperimentStatus:
    """Read the files, ask the queues, decide. A file that is damaged is named in `problems`, and the rest
    still counts.

    Without `asking`, the queues are left alone, and what is not in the files is as it was when it was queued.
    """
    storage.require(study)
    files = ExperimentFiles(study, name)
    try:
        status = ExperimentStatus(name, files, read_registry(files.registry))
    except StoreError as error:
        status = ExperimentStatus(name, files, Registry({}, 1), problems=[str(error)])
    if status.registry.damaged:
        status.problems.append(f"{files.registry}: {status.registry.damaged} damaged line(s) passed over.")
    folder = cache or index.cache_folder()
    known = index.load(files, folder)
    before = {name: _kept(facts) for name, facts in known.items()}
    for submission in files.submissions():
        _add_part(status, submission, known.get(submission.name) or Facts())
    status.problems += [
        f"{path}: not named as a submission is, so it was passed over." for path in files.misnamed()
    ]
    later = _begun_later(status.submissions)
    open_parts = [part for part in status.submissions if not _is_over(part, later)]
    status.queues = (
        ask(open_parts, runners or study.runners)
        if asking
        else {part.files.name: JobsView() for part in open_parts}
    )
    if (
        unknown := {task.run for part in status.submissions for job in part.jobs for task in job}
        - status.registry.runs.keys()
    ):
        runs = naming("", [(run, 0) for run in unknown]).lstrip(":") or "many"
        status.problems.append(
            f"{files.registry}: damaged, it lacks run(s) {runs}, whose results cannot be shown."
        )
    for part in status.submissions:
        _decide_part(status, part, later)
        status.problems += sorted(
            f"{path}: damaged; unreadable lines were skipped." for path in part.facts.damaged
        )
        status.problems += part.facts.problems
    _choose_among_done(status)
    facts = {part.files.name: part.facts for part in status.submissions}
    if {name: _kept(fact) for name, fact in facts.items()} != before:
        index.save(files, folder, facts)
    return status


def _kept(facts: Facts) -> tuple[Any, ...]:
    """What tells whether the index has to be written again."""
    return dict(facts.read), facts.settled, facts.quiet


@dataclass(frozen=True)
class Later:
    """What later submissions made of tasks, as far as journals say."""

    begun: dict[TaskKey, str]  # the last submission with an attempt of its own
    done: frozenset[TaskKey]


def _begun_later(parts: list[SubmissionStatus]) -> Later:
    begun, done = {}, set()
    for part in parts:
        for task in chain.from_iterable(part.jobs):
            facts = part.facts.tasks.get(task.key)
            if facts is not None and facts.attempt > task.last_attempt:
                begun[task.key] = part.files.name
                if facts.ended == "done":
                    done.add(task.key)
    return Later(begun, frozenset(done))


def _is_over(part: SubmissionStatus, later: Later) -> bool:
    """Whether nothing that its queue could say of a submission matters any more."""
    quiet = part.facts.quiet is not None and time.time() - part.facts.quiet > QUIET_SECONDS
    return part.facts.settled or all(
        _is_ended(part, task)
        or later.begun.get(task.key, "") > part.files.name
        or (_will_not_begin(part, task) and (quiet or task.key in later.done))
        for task in chain.from_iterable(part.jobs)
    )


def _is_ended(part: SubmissionStatus, task: Planned) -> bool:
    facts = part.facts.tasks.get(task.key)
    return facts is not None and facts.attempt > task.last_attempt and facts.ended in ("done", "failed")


def _will_not_begin(part: SubmissionStatus, task: Planned) -> bool:
    """Whether a task was cancelled and no worker is at it: from then on none begins it."""
    facts = part.facts.tasks.get(task.key)
    idle = facts is None or facts.attempt <= task.last_attempt or facts.ended is not None
    return idle and any(stop.covers(task.key) for stop in part.stops)


def _add_part(status: ExperimentStatus, files: SubmissionFiles, facts: Facts) -> None:
    try:
        record, jobs = read_submission(files), read_jobs(files)
        if len(jobs) != record.jobs:
            raise StoreError(f"{files.jobs}: damaged, it has {len(jobs)} line(s) for {record.jobs} job(s).")
        stops, damaged = read_stops(files)
    except (StoreError, OSError) as error:
        status.problems.append(str(error))
        return
    status.submissions.append(
        SubmissionStatus(files, record, jobs, facts, stops, is_at_home(files, record), status.files.lock)
    )
    status.problems += [f"{path}: damaged, so that this cancellation was passed over." for path in damaged]
    status.repetitions = record.repetitions if record.whole_grid else status.repetitions or record.repetitions
    if not facts.settled:
        read_journals(files, facts)


def _decide_part(status: ExperimentStatus, part: SubmissionStatus, later: Later) -> None:
    view = status.queues.get(part.files.name) or JobsView(answered=True)
    planned = [(number, task) for number, tasks in enumerate(part.jobs) for task in tasks]
    doubtful = [task for number, task in planned if _in_doubt(part, view, number, task, later)]
    if doubtful:
        ids = {number: run.id for number, run in status.registry.runs.items()}
        others = {other.files.name for other in status.submissions} - {part.files.name}
        look_at_attempts(status.files, part.files.name, others, ids, doubtful, part.facts)
    beats = heartbeats(part.files, part.facts, at_home=part.at_home)
    settled = True
    for number, task in planned:
        facts = part.facts.tasks.get(task.key) or TaskFacts()
        state = decide(_evidence(part, view, beats, number, task, facts))
        settled = settled and facts.ended in ("done", "failed")
        _note(status, part, view, number, task, facts, state)
    part.facts.settled = settled
    if part.files.name in status.queues and view.answered:
        part.facts.quiet = (part.facts.quiet or time.time()) if _is_quiet(part, view) else None


def _is_quiet(part: SubmissionStatus, view: JobsView) -> bool:
    """Whether the queue answered, has none of the jobs, and what is left of them was cancelled."""
    left = (task for task in chain.from_iterable(part.jobs) if not _is_ended(part, task))
    return not view.live and not view.unknown and all(_will_not_begin(part, task) for task in left)


def _in_doubt(part: SubmissionStatus, view: JobsView, number: int, task: Planned, later: Later) -> bool:
    """Whether the attempt folders have to be looked at: the journals say nothing final, and nobody is at
    it.
    """
    facts = part.facts.tasks.get(task.key)
    if facts is None or facts.attempt == 0:
        return number not in view.live and not later.begun.get(task.key, "") > part.files.name
    if facts.ended is not None:
        return False
    return number not in view.live or job_has_ended(part.facts, number) or _is_dead(part, facts)


def _is_dead(part: SubmissionStatus, facts: TaskFacts) -> bool:
    worker = part.facts.workers.get(facts.by) if facts.by else None
    return worker is not None and worker.is_alive() is False


def _evidence(
    part: SubmissionStatus, view: JobsView, beats: Mapping, number: int, task: Planned, facts: TaskFacts
) -> Evidence:
    heartbeat = None
    if facts.attempt > task.last_attempt and facts.ended is None:
        heartbeat = beats.get(facts.by, Heartbeat.STALE if part.at_home else Heartbeat.DEAD)
    ended = facts.ended if facts.attempt > task.last_attempt else None
    return Evidence(
        ended="damaged" if ended is None and task.key in part.facts.broken else ended,
        heartbeat=heartbeat,
        job=view.of(number),
        cancelled=any(stop.covers(task.key) for stop in part.stops),
        grace_over=number not in view.in_grace,
        cause=view.causes.get(number),
        unread=task.key in part.facts.unread,
    )


def _note(
    status: ExperimentStatus,
    part: SubmissionStatus,
    view: JobsView,
    number: int,
    task: Planned,
    facts: TaskFacts,
    state: State,
) -> None:
    """What this submission says counts, unless it left the task as it was."""
    before = status.tasks.get(task.key)
    untouched = facts.attempt <= task.last_attempt
    if untouched and before is not None and state in (State.NEW, State.CANCELLED):
        return
    cause = view.causes.get(number) or view.reasons.get(number)
    attempt = max(facts.attempt, task.last_attempt)
    newest = max(attempt, before.newest if before else 0)
    noted = TaskStatus(state, attempt, part.files.name, number, cause, facts.code, facts.inputs, newest)
    status.tasks[task.key] = noted
    if state is State.DONE:
        status.done.setdefault(task.key, {})[attempt] = noted


def _choose_among_done(status: ExperimentStatus) -> None:
    """Of each task that was ever done, which attempt counts, beside what happened last."""
    choices, damaged = read_choices(status.files)
    if damaged:
        status.problems.append(f"{status.files.chosen}: {damaged} damaged line(s) passed over.")
    for key, done in status.done.items():
        counts, latest = done[counting(done, choices.get(key))], status.tasks[key]
        if latest is counts:
            continue
        if latest.state in ACTIVE:
            latest.result = counts
            continue
        newest = max(latest.newest, *(one.newest for one in done.values()))
        since = latest.attempt > counts.attempt or (
            latest.attempt == counts.attempt and latest.state in FAILED_OR_LOST
        )
        status.tasks[key] = replace(counts, newest=newest, newer=latest if since else None)
