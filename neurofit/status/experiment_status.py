"""The status of an experiment: the state of every task, from its files and its queues.

Never loads the script.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain, product
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec

from neurofit import collector, recording
from neurofit.errors import StoreError
from neurofit.experiments.selector import naming
from neurofit.status.queues import JobsView, ask
from neurofit.status.submission_status import SubmissionStatus
from neurofit.store import index, storage
from neurofit.store.choices import counting, read_choices
from neurofit.store.evidence import (
    Facts,
    TaskFacts,
    heartbeats,
    look_at_attempts,
    newest_ends,
    read_journals,
)
from neurofit.store.layout import ExperimentFiles, SubmissionFiles
from neurofit.store.records import RegisteredRun
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
from neurofit.store.suggestions import with_suggestion
from neurofit.study import Study

# After a queue has answered without any cancelled job for this long, it is not asked about them again.
QUIET_SECONDS = 300.0
_FINISHED: dict[str | None, State] = {
    "done": State.DONE,
    "failed": State.FAILED,
}  # outcomes that settle a task's state


class TaskStatus(msgspec.Struct, gc=False):
    """The state of one task, and where to find more about it.

    If any attempt is done, the newest of those counts, or the one that the user chose. The task is then
    *done*, and `newer` describes a later attempt, if there is one. While the task is queued or running again,
    its state says so, and `result` is the attempt that counts.
    """

    state: State
    attempt: int = 0
    submission: str | None = None
    job: int | None = None
    cause: str | None = None  # why a job ended without an outcome, or why it waits
    code: str | None = None  # hash of the code that the attempt ran
    inputs: dict[str, str] | None = None  # file → digest, of the data that the attempt read
    newest: int = 0  # number of the newest attempt, in whatever state
    newer: TaskStatus | None = None  # an attempt after the one that counts
    result: TaskStatus | None = None  # the attempt that counts, while the task is queued or running again

    @property
    def counted(self) -> TaskStatus | None:
        """The attempt that counts; None if no attempt is done."""
        return self if self.state is State.DONE else self.result

    @property
    def latest(self) -> TaskStatus:
        """The newest attempt."""
        return self.newer or self


@dataclass
class ExperimentStatus:
    """The status of an experiment at one moment."""

    name: str
    files: ExperimentFiles
    registry: Registry
    repetitions: int = 0
    tasks: dict[TaskKey, TaskStatus] = field(default_factory=dict)
    # attempts that are done, by number, of tasks that were queued again after one was
    repeated: dict[TaskKey, dict[int, TaskStatus]] = field(default_factory=dict)
    submissions: list[SubmissionStatus] = field(default_factory=list)
    queues: dict[str, JobsView] = field(default_factory=dict)  # by submission
    problems: list[str] = field(default_factory=list)  # sentences: what could not be read
    _runs: dict[int, RegisteredRun] = field(default_factory=dict)  # trials with their arguments

    def of(self, key: TaskKey) -> TaskStatus:
        return self.tasks.get(key) or TaskStatus(State.NEW)

    def of_each(self, keys: Iterable[TaskKey]) -> list[TaskStatus]:
        """As `of`, for many tasks. Those that are new may be one object."""
        known, new = self.tasks.get, TaskStatus(State.NEW)
        return [known(key) or new for key in keys]

    def done_attempts(self, key: TaskKey) -> list[int]:
        """The numbers of a task's attempts that are done, in order."""
        task = self.of(key)
        return sorted(self.repeated.get(key) or ([task.attempt] if task.state is State.DONE else ()))

    def is_on_grid(self, key: TaskKey) -> bool:
        """Whether the grid has the task's run; True for a run whose entry is damaged."""
        run = self.registry.runs.get(key[0])
        return run is None or run.on_grid

    def run(self, number: int) -> RegisteredRun | None:
        """A registered run with all its arguments, also those that a search has suggested."""
        run = self.registry.runs.get(number)
        if run is None or run.trial is None:
            return run
        if number not in self._runs:
            self._runs[number] = with_suggestion(self.files, run)
        return self._runs[number]

    def arguments(self, number: int) -> dict[str, Any]:
        """The arguments of a registered run, those derived from others, and `architecture`."""
        run = self.run(number)
        return {"architecture": run.architecture, **run.params, **run.derived} if run is not None else {}

    def submission(self, name: str | None) -> SubmissionStatus | None:
        return next((one for one in self.submissions if one.name == name), None)

    def counts(self) -> Counter[State]:
        """Number of tasks by state: tasks of the grid, and tasks off the grid that were ever submitted."""
        counts = Counter([task.state for task in self.tasks.values()])
        new = len(self._never_submitted())
        return counts + Counter({State.NEW: new})

    def newer_states(self) -> Counter[State]:
        """Number of tasks that are done and have a newer attempt, by the state of that attempt."""
        return Counter(task.newer.state for task in self.tasks.values() if task.newer)

    def all_keys(self) -> list[TaskKey]:
        """Run and repetition of each task of the grid, and of each that was ever submitted, sorted."""
        return sorted([*self.tasks, *self._never_submitted()])  # quick, because nearly all are in order

    def _never_submitted(self) -> list[TaskKey]:
        """Run and repetition of each task of the grid that was never submitted."""
        on_grid = [run.number for run in self.registry.runs.values() if run.on_grid]
        return [key for key in product(on_grid, range(self.repetitions)) if key not in self.tasks]

    @property
    def unanswered(self) -> list[str]:
        """Sentences: which queues could not be asked, and why."""
        return [view.problem for view in self.queues.values() if view.problem]

    def runner_of(self, keys: Collection[TaskKey]) -> str | None:
        """The value of `--backend` for the newest submission of any of these tasks; None for the default."""
        names = {self.of(key).submission for key in keys}
        newest = next((one for one in reversed(self.submissions) if one.name in names), None)
        return newest.runner_option if newest else None


@collector.paused()
def read_status(
    study: Study,
    name: str,
    *,
    runners: Path | None = None,
    cache: Path | None = None,
    asking: bool = True,
    noting: bool = True,
) -> ExperimentStatus:
    """Read the files, ask the queues, and decide the state of every task.

    A damaged file is named in `problems`; everything else still counts.

    Parameters
    ----------
    name : str
        The experiment.
    runners : Path or None
        Folder of the profiles. None: the study's.
    cache : Path or None
        Folder of the index. None: the user's cache folder.
    asking : bool
        False: do not ask the queues; a task without an outcome keeps the state in which it was queued.
    noting : bool
        False: do not write down what the queues answer, because this is a node, where many ask at a time.
    """
    storage.require(study)
    files = ExperimentFiles(study, name)
    noting = noting and recording.is_on()
    try:
        status = ExperimentStatus(name, files, read_registry(files.registry))
    except StoreError as error:
        status = ExperimentStatus(name, files, Registry({}, 1), problems=[str(error)])
    if status.registry.damaged:
        status.problems.append(f"{files.registry}: skipped {status.registry.damaged} damaged line(s).")
    folder = cache or index.cache_folder()
    known = index.load(files, folder)
    saved = index.extents(known)
    for submission_files in files.submissions():
        _add_submission(status, submission_files, known.get(submission_files.name) or Facts())
    status.problems += [
        f"{path}: skipped, because its name is not the name of a submission." for path in files.misnamed()
    ]
    later = _later_submissions(status.submissions)
    unfinished = [submission for submission in status.submissions if not _is_over(submission, later)]
    status.queues = (
        ask(unfinished, study, runners=runners, noting=noting)
        if asking and study.copy_of is None
        else {one.name: JobsView(problem=_not_asked(study, one.name)) for one in unfinished}
    )
    _report_unknown_runs(status)
    for submission in status.submissions:
        _decide_states(status, submission, later)
        status.problems += sorted(
            f"{path}: damaged; unreadable lines were skipped." for path in submission.facts.damaged
        )
        status.problems += submission.facts.problems
    _choose_among_done(status)
    facts = {submission.name: submission.facts for submission in status.submissions}
    if study.copy_of is None and index.is_worth_saving(facts, saved):
        index.save(files, folder, facts)
    return status


def _not_asked(study: Study, name: str) -> str | None:
    """That the queue of a submission was not asked, if only copies of its files are here."""
    return study.copy_of and (
        f"{name}: its queue was not asked, because these are copies of the files in {study.copy_of}. The states of its "
        "tasks are those last written to its files."
    )


def _add_submission(status: ExperimentStatus, files: SubmissionFiles, facts: Facts) -> None:
    try:
        record, jobs = read_submission(files), read_jobs(files)
        if len(jobs) != record.jobs:
            raise StoreError(f"{files.jobs}: damaged; expected {record.jobs} line(s), found {len(jobs)}.")
        stops, damaged = read_stops(files)
    except (StoreError, OSError) as error:
        status.problems.append(str(error))
        return
    at_home = status.files.study.copy_of is not None or is_at_home(files, record)
    status.submissions.append(SubmissionStatus(files, record, jobs, facts, stops, at_home, status.files.lock))
    status.problems += [f"{path}: damaged, so this cancellation was ignored." for path in damaged]
    status.repetitions = record.repetitions if record.whole_grid else status.repetitions or record.repetitions
    if not facts.settled:
        read_journals(files, facts)


def _report_unknown_runs(status: ExperimentStatus) -> None:
    jobs = chain.from_iterable(submission.jobs for submission in status.submissions)
    runs = set(map(itemgetter(0), chain.from_iterable(jobs)))
    if unknown := runs - status.registry.runs.keys():
        numbers = naming("", [(run, 0) for run in unknown]).lstrip(":") or "many"
        status.problems.append(
            f"{status.files.registry}: damaged; run(s) {numbers} are missing, so their results cannot be shown."
        )


@dataclass(frozen=True)
class Later:
    """What later submissions did with tasks, from their journals."""

    started: dict[TaskKey, str]  # the last submission that made an attempt of its own
    done: frozenset[TaskKey]


def _later_submissions(submissions: list[SubmissionStatus]) -> Later:
    """What later submissions did with tasks that are not finished in an earlier one; nothing else is ever asked."""
    open_tasks = {
        task.key
        for submission in (() if len(submissions) < 2 else submissions)
        if not submission.facts.settled
        for _, task in submission.planned()
        if not submission.has_finished(task)
    }
    started, done = {}, set()
    for submission in submissions if open_tasks else ():
        for _, task in submission.planned():
            key = task.key
            if key in open_tasks and (facts := submission.own_facts(task)):
                started[key] = submission.name
                if facts.ended == "done":
                    done.add(key)
    return Later(started, frozenset(done))


def _is_over(submission: SubmissionStatus, later: Later) -> bool:
    """Whether the queue's answer about a submission no longer matters."""
    quiet_since = submission.facts.quiet
    quiet = quiet_since is not None and time.time() - quiet_since > QUIET_SECONDS
    return submission.facts.settled or all(
        submission.has_finished(task)
        or later.started.get(task.key, "") > submission.name
        or (submission.will_not_start(task) and (quiet or task.key in later.done))
        for _, task in submission.planned()
    )


def _decide_states(status: ExperimentStatus, submission: SubmissionStatus, later: Later) -> None:
    view = status.queues.get(submission.name) or JobsView(answered=True)
    facts, ends = submission.facts, newest_ends(submission.facts)
    doubtful = [
        task
        for number, task in (() if facts.settled else submission.planned())
        if _is_doubtful(submission, view, number, task, later, ends.get(number))
    ]
    if doubtful:
        ids = {number: run.id for number, run in status.registry.runs.items()}
        others = {other.name for other in status.submissions} - {submission.name}
        look_at_attempts(status.files, submission.name, others, ids, doubtful, facts)
    beats = heartbeats(submission.files, facts, at_home=submission.at_home)
    settled, nothing, name = True, TaskFacts(), submission.name
    noted, of_key, add_state = status.tasks, facts.tasks.get, submission.states.append
    for number, tasks in enumerate(submission.jobs):
        cause, end = view.causes.get(number) or view.reasons.get(number), ends.get(number)
        for task in tasks:
            key, last = task[:2], task.last_attempt
            known = of_key(key) or nothing
            attempt, state = known.attempt, _FINISHED.get(known.ended)
            if state is None:
                settled = False
            if state is None or attempt <= last:
                state = decide(_evidence(submission, view, beats, number, task, known, end))
            add_state(state)
            if key in noted or attempt <= last:
                _note(status, name, number, task, key, known, state, cause)
            else:
                noted[key] = TaskStatus(
                    state, attempt, name, number, cause, known.code, known.inputs, attempt
                )
    submission.facts.settled = settled
    if submission.name in status.queues and view.answered:
        quiet_since = submission.facts.quiet or time.time()
        submission.facts.quiet = quiet_since if _is_quiet(submission, view) else None


def _is_quiet(submission: SubmissionStatus, view: JobsView) -> bool:
    """Whether the queue has none of the jobs, and every task that is not finished was cancelled."""
    return (
        not view.live
        and not view.unknown
        and all(
            submission.will_not_start(task)
            for _, task in submission.planned()
            if not submission.has_finished(task)
        )
    )


def _is_doubtful(
    submission: SubmissionStatus, view: JobsView, number: int, task: Planned, later: Later, end: str | None
) -> bool:
    """Whether the attempt folders have to be read, because the journals say nothing final and no worker is
    known to be running the task. `end` is how the newest start of its job ended, if it recorded that.
    """
    facts = submission.facts.tasks.get(task.key)
    if facts is None or facts.attempt == 0:
        return number not in view.live and not later.started.get(task.key, "") > submission.name
    if facts.ended is not None:
        return False
    return number not in view.live or end is not None or _worker_is_dead(submission, facts)


def _worker_is_dead(submission: SubmissionStatus, facts: TaskFacts) -> bool:
    worker = submission.facts.workers.get(facts.by) if facts.by else None
    return worker is not None and worker.is_alive() is False


def _evidence(
    submission: SubmissionStatus,
    view: JobsView,
    beats: Mapping[tuple[int, int], Heartbeat],
    number: int,
    task: Planned,
    facts: TaskFacts,
    end: str | None,
) -> Evidence:
    heartbeat = ended = None
    if facts.attempt > task.last_attempt:
        ended = facts.ended
        if ended is None:
            unknown = Heartbeat.STALE if submission.at_home else Heartbeat.DEAD
            heartbeat = beats.get(facts.by, unknown) if facts.by else unknown
    return Evidence(
        ended="damaged" if ended is None and task.key in submission.facts.broken else ended,
        heartbeat=heartbeat,
        job=view.of(number),
        cancelled=submission.is_cancelled(task),
        grace_over=number not in view.in_grace,
        cause=view.causes.get(number),
        unread=task.key in submission.facts.unread,
        again=end == "again",
    )


def _note(
    status: ExperimentStatus,
    submission: str,
    number: int,
    task: Planned,
    key: TaskKey,
    facts: TaskFacts,
    state: State,
    cause: str | None,
) -> None:
    """Store a task's state, unless this submission left the task as it was."""
    attempt, before = facts.attempt, status.tasks.get(key)
    if attempt <= task.last_attempt:
        if before is not None and state in (State.NEW, State.CANCELLED):
            return
        attempt = task.last_attempt
    newest = attempt if before is None else max(attempt, before.newest)
    noted = TaskStatus(state, attempt, submission, number, cause, facts.code, facts.inputs, newest)
    status.tasks[key] = noted
    if before is not None and before.state is State.DONE:
        status.repeated.setdefault(key, {})[before.attempt] = before
    if state is State.DONE and key in status.repeated:
        status.repeated[key][attempt] = noted


def _choose_among_done(status: ExperimentStatus) -> None:
    """For each task with an attempt that is done, find which attempt counts and what came after it."""
    choices, damaged = read_choices(status.files)
    if damaged:
        status.problems.append(f"{status.files.chosen}: skipped {damaged} damaged line(s).")
    for key, done in status.repeated.items():
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
        status.tasks[key] = msgspec.structs.replace(counts, newest=newest, newer=latest if since else None)
