"""Why tasks failed, were lost or stopped before they were done, alike ones together.

Why tasks stopped before they were done: what their outcomes say, and how their jobs ended.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from neurofit.errors import StoreError
from neurofit.status.experiment_status import ExperimentStatus, SubmissionStatus
from neurofit.status.logs import ended_before_it_began, tail, task_logs
from neurofit.store.error_fingerprint import Signature, in_words, signature
from neurofit.store.journal import journals
from neurofit.store.records import ErrorRecord, JournalLine, Outcome, Reason
from neurofit.store.state import UNFINISHED, State
from neurofit.store.submissions import TaskKey
from neurofit.structure import read_record, structured_lines

VERBS = {State.FAILED: "failed", State.LOST: "failed", State.STOPPED: "stopped"}
QUEUE = "queue"  # the kind of an error that only the queue, or nobody, knows of


@dataclass(frozen=True)
class Failure:
    """Tasks that failed for one reason, the first of them as an example."""

    message: str  # of the example: "ValueError: …"
    where: str | None  # in the user's code: "jobs/exp3.py, line 17, in fit: total / 0"
    log: Path | None
    tasks: list[TaskKey]
    error: ErrorRecord = field(default_factory=ErrorRecord)  # of the example, as its outcome has it
    verb: str = "failed"

    @property
    def example(self) -> TaskKey:
        return self.tasks[0]


def failures(
    status: ExperimentStatus, keys: Collection[TaskKey], states: frozenset[State] = UNFINISHED
) -> list[Failure]:
    """The failures among these tasks, the most frequent first; of those that stopped, why."""
    groups: dict[tuple[State, Signature], Failure] = {}
    ends = JobEnds(status)
    for key in keys:
        state = status.of(key).state
        if state in states:
            error = _error(status, key, ends)
            kind = state, signature(error)
            if kind not in groups:
                groups[kind] = Failure(
                    in_words(error), _where(error), _log(status, key), [], error, VERBS[state]
                )
            groups[kind].tasks.append(key)
    return sorted(groups.values(), key=lambda failure: -len(failure.tasks))


def cause(status: ExperimentStatus, key: TaskKey) -> str:
    """Why this one failed, was lost or stopped, on a line."""
    return " ".join(in_words(_error(status, key, JobEnds(status))).split())[:300]


def _error(status: ExperimentStatus, key: TaskKey, ends: JobEnds) -> ErrorRecord:
    """What its outcome says; where its job ended without one, what the queue says of that."""
    task, run = status.of(key).latest, status.registry.runs.get(key[0])
    if run is not None and task.attempt and not ended_before_it_began(status, key, task.attempt):
        outcome = status.files.task(run.number, run.id, key[1]).attempt(task.attempt).outcome
        try:
            record = read_record(outcome, Outcome)
            if task.state is State.STOPPED:
                return why_stopped(record.reason, ends.of(task.submission, task.job))
            if record.error:
                return record.error
        except FileNotFoundError:
            pass
        except (StoreError, OSError) as error:
            return ErrorRecord(kind="damaged", message=str(error))
    if task.state is State.STOPPED:
        return why_stopped(None, ends.of(task.submission, task.job))
    lost = "its worker vanished, and no queue says why" if task.state is State.LOST else "it left no outcome"
    return ErrorRecord(kind=QUEUE, message=task.cause or lost)


def _where(error: ErrorRecord) -> str | None:
    if not error.frames:
        return None
    last = error.frames[-1]
    return f"{last.file}, line {last.line}, in {last.function}: {last.code}".rstrip(": ")


def _log(status: ExperimentStatus, key: TaskKey) -> Path | None:
    logs = [log for log in task_logs(status, key).logs if log.path.exists()]
    return logs[-1].path if logs else None


_LINES_READ = 3  # of a journal, whose last one says how the job ended


@dataclass(frozen=True)
class JobEnd:
    """How the newest start of a job ended."""

    end: str  # done, stopped, again
    why: str | None = None  # it was not to be started again
    last_words: str = ""  # of its log


@dataclass
class JobEnds:
    """How jobs of an experiment ended; each journal is read once, and only of a job that is asked for."""

    found: ExperimentStatus
    _newest: dict[str, dict[int, str]] = field(default_factory=dict)
    _ends: dict[tuple[str, int], JobEnd | None] = field(default_factory=dict)

    def of(self, submission: str | None, job: int | None) -> JobEnd | None:
        """None where nothing is known of it."""
        part = next((part for part in self.found.submissions if part.files.name == submission), None)
        if part is None or job is None:
            return None
        if (submission, job) not in self._ends:
            self._ends[submission, job] = self._read(part, job)
        return self._ends[submission, job]

    def _read(self, part: SubmissionStatus, job: int) -> JobEnd | None:
        name = part.files.name
        if name not in self._newest:
            self._newest[name] = {
                number: entry.path for (number, _), entry in sorted(journals(part.files).items())
            }
        path = self._newest[name].get(job)
        found = structured_lines(tail(Path(path), _LINES_READ), JournalLine)[0] if path else []
        last = next((line for line in reversed(found) if line.end is not None), None)
        if last is None or last.end is None:
            return None
        lines = tail(part.files.logs / f"{job:06d}.log", 1).decode("utf-8", "replace").strip()
        return JobEnd(last.end, last.why, lines)


def why_stopped(reason: Reason | None, job: JobEnd | None) -> ErrorRecord:
    """An error as an outcome has them, of a task that stopped.

    Parameters
    ----------
    reason : of its outcome; none in outcomes of 0.1.0
    job : how its job ended
    """
    message = (reason.message if reason else None) or "it was asked to stop"
    if job and job.why:
        kind = "walltime" if reason and reason.kind == "walltime" else "stopped"
        return ErrorRecord(kind=kind, message=job.why)
    if job and job.end == "again":
        words = f": {job.last_words.removeprefix('neurofit: ')}" if job.last_words else ""
        message = f"{message.rstrip('.')}, and its queue did not start it again{words}"
    return ErrorRecord(kind="stopped", message=message)
