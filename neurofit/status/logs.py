"""Where the output of a task is: its attempt's files, its group's, or the submission's where it never
began.
"""

from __future__ import annotations

import errno
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from neurofit.errors import NameUnknown, StoreError
from neurofit.files import NO_FILE
from neurofit.status.experiment_status import ExperimentStatus, SubmissionStatus, read_status
from neurofit.store.layout import AttemptFiles, TaskFiles
from neurofit.store.records import Claim, Outcome
from neurofit.store.state import State
from neurofit.store.submissions import TaskKey
from neurofit.structure import read_record
from neurofit.study import Study

STDOUT, STDERR, JOB = "stdout", "stderr", "job"
FOLLOW_SECONDS = 0.5
_BLOCK = 65536


@dataclass(frozen=True)
class Log:
    """One file of output."""

    stream: str  # "stdout", "stderr", or "job": what happened outside any task
    path: Path


@dataclass(frozen=True)
class TaskLogs:
    """The output of one attempt at a task; attempt 0 is none."""

    key: TaskKey
    attempt: int
    state: State
    logs: list[Log]
    counts: int | None = None  # the attempt that counts, where it is another one


def task_logs(status: ExperimentStatus, key: TaskKey, attempt: int | None = None) -> TaskLogs:
    """The logs of an attempt, the newest without a number.

    Raises
    ------
    NameUnknown : there is no such attempt
    """
    task, run = status.of(key), status.registry.runs.get(key[0])
    files = None if run is None else status.files.task(run.number, run.id, key[1])
    made = files.attempts() if files else []
    if attempt is not None and attempt not in [one.number for one in made]:
        there = ", ".join(str(one.number) for one in made) or "none"
        raise NameUnknown(f"{status.name}:{key[0]}/{key[1]} has no attempt {attempt}. Attempts: {there}.")
    if not made or (attempt is None and ended_before_it_began(status, key, made[-1].number)):
        return TaskLogs(
            key, 0, task.latest.state, list(_of_job(status, key)), task.counted and task.counted.attempt
        )
    chosen = made[-1] if attempt is None else files.attempt(attempt)
    written = _written_by(status, files, chosen)
    counts = task.counted.attempt if task.counted and task.counted.attempt != chosen.number else None
    return TaskLogs(
        key, chosen.number, task.state, [Log(STDOUT, written.stdout), Log(STDERR, written.stderr)], counts
    )


def ended_before_it_began(status: ExperimentStatus, key: TaskKey, newest: int) -> bool:
    """Whether the last submission of a task ended without an attempt of its own."""
    task = status.of(key).latest
    part = _part(status, task.submission)
    if part is None or task.job is None or task.state not in (State.FAILED, State.LOST):
        return False
    planned = next((one for one in part.jobs[task.job] if one.key == key), None)
    return planned is not None and newest <= planned.last_attempt


def _written_by(status: ExperimentStatus, files: TaskFiles, attempt: AttemptFiles) -> AttemptFiles:
    """The attempt that holds the output: of tasks that share a process, only the first does."""
    if attempt.stdout.exists():
        return attempt
    try:
        log = read_record(attempt.outcome, Outcome).log
        return AttemptFiles(status.files.folder / log) if log else attempt
    except (OSError, StoreError):
        return _while_it_runs(files, attempt) or attempt


def _while_it_runs(files: TaskFiles, attempt: AttemptFiles) -> AttemptFiles | None:
    """The sibling that the same start of the same job has open for output."""
    claim = _claim(attempt)
    for folder in sorted(files.folder.parent.glob("rep-*")) if claim else []:
        for other in TaskFiles(folder).attempts():
            if other.stdout.exists() and not other.outcome.exists() and _claim(other) == claim:
                return other
    return None


def _claim(attempt: AttemptFiles) -> tuple[str, int, int] | None:
    try:
        return read_record(attempt.claim, Claim).worker
    except (OSError, StoreError):
        return None


def _of_job(status: ExperimentStatus, key: TaskKey) -> Iterator[Log]:
    """What is in the submission's own logs: those of the task's job, and those of no job in particular."""
    task = status.of(key).latest
    part = _part(status, task.submission)
    if part is None:
        return
    own = f"{task.job:06d}" if task.job is not None else None
    for path in sorted(part.files.logs.glob("*.log")):
        number = path.name.split(".")[0]
        if _size(path) and (number == own or not number.isdigit()):
            yield Log(JOB, path)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _part(status: ExperimentStatus, submission: str | None) -> SubmissionStatus | None:
    return next((part for part in status.submissions if part.files.name == submission), None)


def follow(
    study: Study, name: str, pick: Callable[[ExperimentStatus], list[TaskKey]], lines: int | None, most: int
) -> Iterator[tuple[TaskLogs, Log, bytes]]:
    """What these tasks print, as it comes, until none of them is queued or running.

    Parameters
    ----------
    pick : which tasks, asked again at every look; those that run are followed, at most `most` of them at a
    time
    lines : of what is there already
    """
    read: dict[Path, int] = {}
    begun: dict[TaskKey, None] = {}
    while True:
        status = read_status(study, name)
        keys = pick(status)
        states = {key: status.of(key).state for key in keys}
        running = [key for key in keys if states[key] is State.RUNNING] or ([] if begun else keys)
        followed = list(dict.fromkeys([*begun, *running[:most]]))
        for key in followed:
            for logs, log, data in _news(status, key, read, lines):
                begun[key] = None
                yield logs, log, data
        begun = {key: None for key in begun if states.get(key) is State.RUNNING}
        if not any(state in (State.QUEUED, State.RUNNING) for state in states.values()):
            return
        time.sleep(FOLLOW_SECONDS)


def _news(
    status: ExperimentStatus, key: TaskKey, read: dict[Path, int], lines: int | None
) -> Iterator[tuple[TaskLogs, Log, bytes]]:
    logs = task_logs(status, key)
    for log in logs.logs:
        if log.path not in read:
            data = tail(log.path, lines)
            read[log.path] = _size(log.path)
        else:
            data = _since(log.path, read[log.path])
            read[log.path] += len(data)
        if data:
            yield logs, log, data


def _since(path: Path, start: int) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(start)
            return file.read()
    except OSError as error:
        return _nothing(error)


def _nothing(error: OSError) -> bytes:
    """What is in a file that is not there, or is none."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR, *NO_FILE):
        return b""
    raise error


def tail(path: Path, lines: int | None, *, most_blocks: float = math.inf) -> bytes:
    """The last lines of a file, all of them without a number; nothing where there is no file. A carriage
    return ends a line as well: progress bars write nothing else.
    """
    try:
        with open(path, "rb") as file:
            if lines is None:
                return file.read()
            end, ends = file.seek(0, 2), 0
            blocks: deque[bytes] = deque()
            while end > 0 and ends <= lines and len(blocks) < most_blocks:
                start = max(0, end - _BLOCK)
                file.seek(start)
                block = file.read(end - start)
                pairs = block.count(b"\r\n") + (
                    block.endswith(b"\r") and bool(blocks) and blocks[0].startswith(b"\n")
                )
                ends, end = ends + block.count(b"\n") + block.count(b"\r") - pairs, start
                blocks.appendleft(block)
    except OSError as error:
        return _nothing(error)
    return b"".join(b"".join(blocks).splitlines(keepends=True)[-lines:]) if lines else b""


def last_line(path: Path) -> str:
    """The last line of a file that may be long, or a part of it where that line is."""
    return tail(path, 1, most_blocks=1).decode("utf-8", "replace").strip()
