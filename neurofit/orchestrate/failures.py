"""Why tasks failed, were lost, or stopped before they were done; tasks with the same error are one failure.

The reason is in the task's outcome, in the journal of its job, or in what the queue reported about the job.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from neurofit.errors import StoreError
from neurofit.status.experiment_status import ExperimentStatus
from neurofit.status.logs import ended_before_attempt, is_there, tail, task_logs
from neurofit.status.submission_status import SubmissionStatus, submit_again
from neurofit.store.error_fingerprint import Signature, error_text, signature
from neurofit.store.evidence import TaskFacts
from neurofit.store.fail_fast import read_fail_fast
from neurofit.store.journal import journals
from neurofit.store.records import ErrorRecord, FailFastStop, JournalLine, Outcome, Reason
from neurofit.store.state import UNFINISHED, State
from neurofit.store.submissions import TaskKey
from neurofit.structure import read_record, structured_lines

VERBS = {State.FAILED: "failed", State.LOST: "failed", State.STOPPED: "stopped"}
QUEUE = "queue"  # the kind of an error that is known from the queue only, or from nowhere
_LINES_READ = 3  # of a journal; its last line says how the job ended
_LONGEST_CAUSE = 300  # characters


@dataclass(frozen=True)
class Failure:
    """Tasks that failed for the same reason; the first of them is the example."""

    message: str  # of the example: "ValueError: …"
    where: str | None  # in the user's code: "jobs/exp3.py, line 17, in fit: total / 0"
    log: Path | None
    tasks: list[TaskKey]
    error: ErrorRecord = field(default_factory=ErrorRecord)  # of the example, as in its outcome
    verb: str = "failed"

    @property
    def example(self) -> TaskKey:
        return self.tasks[0]


def failures(
    status: ExperimentStatus, keys: Collection[TaskKey], states: frozenset[State] = UNFINISHED
) -> list[Failure]:
    """The failures among these tasks, the most frequent first.

    Parameters
    ----------
    states : frozenset of State
        Only tasks in these states are considered.
    """
    groups: dict[tuple[State, Signature], Failure] = {}
    ends = JobEnds(status)
    for key, task in zip(keys, status.of_each(keys)):
        state = task.state
        if state in states:
            error = error_of(status, key, ends)
            group = state, signature(error)
            if group not in groups:
                groups[group] = Failure(
                    error_text(error), _where(error), _log(status, key), [], error, VERBS[state]
                )
            groups[group].tasks.append(key)
    return sorted(groups.values(), key=lambda failure: -len(failure.tasks))


def cause(status: ExperimentStatus, key: TaskKey) -> str:
    """Why one task failed, was lost or stopped, on one line."""
    return " ".join(error_text(error_of(status, key, JobEnds(status))).split())[:_LONGEST_CAUSE]


def outcome_of(status: ExperimentStatus, key: TaskKey) -> Outcome | None:
    """The outcome of a task's newest attempt; None if there is none.

    Raises
    ------
    StoreError
        It is damaged.
    OSError
        It cannot be read.
    """
    task, run = status.of(key).latest, status.registry.runs.get(key[0])
    if run is None or not task.attempt or ended_before_attempt(status, key, task.attempt):
        return None
    try:
        return read_record(
            status.files.task(run.number, run.id, key[1]).attempt(task.attempt).outcome, Outcome
        )
    except FileNotFoundError:
        return None


def error_of(status: ExperimentStatus, key: TaskKey, ends: JobEnds) -> ErrorRecord:
    """The error in the task's outcome; if the job ended without one, what the queue reported."""
    task = status.of(key).latest
    try:
        outcome = outcome_of(status, key)
    except (StoreError, OSError) as error:
        return ErrorRecord(kind="damaged", message=str(error))
    if task.state is State.STOPPED:
        return why_stopped(outcome.reason if outcome else None, ends.of(task.submission, task.job))
    if outcome and outcome.error:
        return outcome.error
    unknown = (
        "its worker disappeared, and the queue gives no reason"
        if task.state is State.LOST
        else "it left no outcome"
    )
    return ErrorRecord(kind=QUEUE, message=task.cause or unknown)


def kind_of(error: ErrorRecord) -> str:
    """The error's kind. An error that only the queue knows is `memory`, `walltime`, `disk` or `queue`."""
    kind, message = error.kind or "", error.message or ""
    if kind != QUEUE:
        return kind
    if "memory" in message:
        return "memory"
    if "neurofit clean" in message:
        return "disk"
    return "walltime" if "walltime_minutes" in message else kind


def _where(error: ErrorRecord) -> str | None:
    if not error.frames:
        return None
    last = error.frames[-1]
    return f"{last.file}, line {last.line}, in {last.function}: {last.code}".rstrip(": ")


def _log(status: ExperimentStatus, key: TaskKey) -> Path | None:
    logs = [log for log in task_logs(status, key).logs if is_there(log.path)]
    return logs[-1].path if logs else None


@dataclass(frozen=True)
class JobEnd:
    """How the newest start of a job ended."""

    end: str  # "done", "stopped", or "again": the queue was asked to start it again
    why: str | None = None  # why it was not to be started again
    last_line: str = ""  # of its log


@dataclass
class JobEnds:
    """How jobs of an experiment ended. Reads each journal once, and only if its job is asked for."""

    status: ExperimentStatus
    _newest: dict[str, dict[int, str]] = field(default_factory=dict)
    _ends: dict[tuple[str, int], JobEnd | None] = field(default_factory=dict)

    def of(self, name: str | None, job: int | None) -> JobEnd | None:
        """How a job of the submission `name` ended; None if unknown."""
        submission = self.status.submission(name)
        if submission is None or job is None:
            return None
        key = submission.name, job
        if key not in self._ends:
            self._ends[key] = self._read(submission, job)
        return self._ends[key]

    def _read(self, submission: SubmissionStatus, job: int) -> JobEnd | None:
        name = submission.name
        if name not in self._newest:
            self._newest[name] = {
                number: entry.path for (number, _), entry in sorted(journals(submission.files).items())
            }
        path = self._newest[name].get(job)
        found = structured_lines(tail(Path(path), _LINES_READ), JournalLine)[0] if path else []
        last = next((line for line in reversed(found) if line.end is not None), None)
        if last is None or last.end is None:
            return None
        last_line = tail(submission.files.logs / f"{job:06d}.log", 1).decode("utf-8", "replace").strip()
        return JobEnd(last.end, last.why, last_line)


def why_stopped(reason: Reason | None, job: JobEnd | None) -> ErrorRecord:
    """Why a task stopped, in the form of an outcome's error.

    Parameters
    ----------
    reason : Reason or None
        Of its outcome; None in outcomes written by neurofit 0.1.0.
    job : JobEnd or None
        How its job ended; None if unknown.
    """
    message = (reason.message if reason else None) or "it was asked to stop"
    if job and job.why:
        kind = "walltime" if reason and reason.kind == "walltime" else "stopped"
        return ErrorRecord(kind=kind, message=job.why)
    if job and job.end == "again":
        detail = f": {job.last_line.removeprefix('neurofit: ')}" if job.last_line else ""
        message = f"{message.rstrip('.')}, and its queue did not start it again{detail}"
    return ErrorRecord(kind="stopped", message=message)


def fail_fast_notes(status: ExperimentStatus) -> list[str]:
    """Sentences about submissions that stopped early because their first tasks failed with the same error.

    One per submission that still has tasks that neither started nor were submitted again.
    """
    notes: list[str] = []
    later: set[TaskKey] = set()
    stops = {submission.name: read_fail_fast(submission.files) for submission in status.submissions}
    for submission in reversed(status.submissions if any(stops.values()) else ()):
        planned = [task for job in submission.jobs for task in job]
        if stop := stops[submission.name]:
            no_facts = TaskFacts()
            not_started = sum(
                task.key not in later
                and submission.facts.tasks.get(task.key, no_facts).attempt <= task.last_attempt
                for task in planned
            )
            if not_started:
                tasks = {task.key for task in planned}
                of_grid = {number for number, run in status.registry.runs.items() if run.on_grid}
                everything = {run for run, _ in tasks} == of_grid
                again = submit_again(
                    status.name, tasks, whole=everything, backend=submission.runner_option, retry=True
                )
                notes.append(
                    f"{status.name} stopped after {stopped_after(stop)}: {stop.message}\n"
                    f"{not_started:,} task(s) were not started. Fix the cause, then run `{again}`. "
                    "--keep-going runs all tasks regardless."
                )
        later.update(task.key for task in planned)
    return notes[::-1]


def stopped_after(stop: FailFastStop) -> str:
    """What stopped a submission: '5 identical failures', or the first trial of a search without its metric."""
    return "its first finished trial" if stop.failures == 1 else f"{stop.failures} identical failures"
