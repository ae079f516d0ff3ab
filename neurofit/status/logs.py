"""The output of tasks: an attempt's own files, those of its group, or its job's if it never started."""

from __future__ import annotations

import errno
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from neurofit import packed
from neurofit.errors import NameUnknown, StoreError
from neurofit.files import NO_FILE
from neurofit.startup_lines import without_startup
from neurofit.status.experiment_status import ExperimentStatus, read_status
from neurofit.store.layout import AttemptFiles, TaskFiles
from neurofit.store.records import Claim, Outcome
from neurofit.store.state import ACTIVE, FAILED_OR_LOST, State
from neurofit.store.submissions import TaskKey
from neurofit.structure import read_record
from neurofit.study import Study

STDOUT, STDERR, JOB = "stdout", "stderr", "job"
FOLLOW_SECONDS = 0.5
_BLOCK = 65536
_STARTUP_LINES = 100  # that may stand at the end of a log


@dataclass(frozen=True)
class Log:
    """One file of output."""

    stream: str  # "stdout", "stderr", or "job": output from outside any task
    path: Path


@dataclass(frozen=True)
class TaskLogs:
    """The output of one attempt at a task; attempt 0 means that there is no attempt."""

    key: TaskKey
    attempt: int
    state: State
    logs: list[Log]
    counts: int | None = None  # the attempt that counts, if it is a different one


def task_logs(status: ExperimentStatus, key: TaskKey, attempt: int | None = None) -> TaskLogs:
    """The logs of one attempt at a task.

    Parameters
    ----------
    attempt : int or None
        Number of the attempt. None: the newest.

    Raises
    ------
    NameUnknown
        There is no such attempt.
    """
    task, run = status.of(key), status.registry.runs.get(key[0])
    counted = task.counted.attempt if task.counted else None
    files = None if run is None else status.files.task(run.number, run.id, key[1])
    made = files.attempts() if files else []
    if attempt is not None and attempt not in [one.number for one in made]:
        known = ", ".join(str(one.number) for one in made) or "none"
        raise NameUnknown(f"{status.name}:{key[0]}/{key[1]} has no attempt {attempt}. Attempts: {known}.")
    if files is None or not made or (attempt is None and ended_before_attempt(status, key, made[-1].number)):
        return TaskLogs(key, 0, task.latest.state, list(_of_job(status, key)), counted)
    chosen = made[-1] if attempt is None else files.attempt(attempt)
    written = _written_by(status, files, chosen)
    logs = [Log(STDOUT, written.stdout), Log(STDERR, written.stderr)]
    return TaskLogs(key, chosen.number, task.state, logs, None if counted == chosen.number else counted)


def ended_before_attempt(status: ExperimentStatus, key: TaskKey, newest: int) -> bool:
    """Whether the last submission of a task ended before it made an attempt of its own.

    Parameters
    ----------
    newest : int
        Number of the newest attempt at the task.
    """
    task = status.of(key).latest
    submission = status.submission(task.submission)
    if submission is None or task.job is None or task.state not in FAILED_OR_LOST:
        return False
    planned = next((one for one in submission.jobs[task.job] if one.key == key), None)
    return planned is not None and newest <= planned.last_attempt


def _written_by(status: ExperimentStatus, files: TaskFiles, attempt: AttemptFiles) -> AttemptFiles:
    """The attempt whose files hold the output: if tasks share a process, those of the first task."""
    if is_there(attempt.stdout):
        return attempt
    try:
        log = read_record(attempt.outcome, Outcome).log
        return AttemptFiles(status.files.folder / log) if log else attempt
    except (OSError, StoreError):
        return _while_it_runs(files, attempt) or attempt


def is_there(log: Path) -> bool:
    """Whether a log is in its folder or was packed; also if its archive is damaged."""
    try:
        return packed.exists(log)
    except StoreError:
        return True


def _while_it_runs(files: TaskFiles, attempt: AttemptFiles) -> AttemptFiles | None:
    """The attempt to which the same start of the same job is writing its output."""
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
    """The submission's own logs that are not empty: those of the task's job, and those of no single job."""
    task = status.of(key).latest
    submission = status.submission(task.submission)
    if submission is None:
        return
    own = f"{task.job:06d}" if task.job is not None else None
    for path in sorted(submission.files.logs.glob("*.log")):
        number = path.name.split(".")[0]
        if _size(path) and (number == own or not number.isdigit()):
            yield Log(JOB, path)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def follow(
    study: Study,
    name: str,
    pick: Callable[[ExperimentStatus], list[TaskKey]],
    lines: int | None,
    most: int,
    *,
    everything: bool = True,
) -> Iterator[tuple[TaskLogs, Log, bytes]]:
    """Yield the output of tasks as they write it, until none of them is queued or running.

    Parameters
    ----------
    name : str
        The experiment.
    pick : callable
        Selects the tasks; called again with every new status.
    lines : int or None
        How many lines of existing output to yield first. None: all.
    most : int
        How many running tasks to follow at a time.
    everything : bool, default True
        False: leave out the lines that TensorFlow writes when it starts.

    Yields
    ------
    tuple of TaskLogs, Log, bytes
        The task, the file, and what was added to it.
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
            for logs, log, data in _news(status, key, read, lines, everything):
                begun[key] = None
                yield logs, log, data
        begun = {key: None for key in begun if states.get(key) is State.RUNNING}
        if not any(state in ACTIVE for state in states.values()):
            return
        time.sleep(FOLLOW_SECONDS)


def _news(
    status: ExperimentStatus, key: TaskKey, read: dict[Path, int], lines: int | None, everything: bool
) -> Iterator[tuple[TaskLogs, Log, bytes]]:
    logs = task_logs(status, key)
    for log in logs.logs:
        if log.path not in read:
            data = tail(log.path, lines) if everything else quiet_tail(log.path, lines)[0]
            read[log.path] = _size(log.path)
        else:
            data = _since(log.path, read[log.path])
            read[log.path] += len(data)
            data = data if everything else without_startup(data)[0]
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
    """The content of a file that does not exist or is not a file. Raises any other error."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR, *NO_FILE):
        return b""
    raise error


def tail(path: Path, lines: int | None, *, most_blocks: float = math.inf) -> bytes:
    """The last lines of a file; empty if there is no file.

    A carriage return also ends a line, because progress bars write nothing else.

    Parameters
    ----------
    lines : int or None
        How many lines. None: all.
    most_blocks : float
        Read at most this many blocks of 64 KiB.
    """
    try:
        with packed.opened(path) as file:
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


def quiet_tail(path: Path, lines: int | None) -> tuple[bytes, int]:
    """As `tail`, without the lines that TensorFlow writes when it starts, and the number of those."""
    data, left_out = without_startup(tail(path, None if lines is None else lines + _STARTUP_LINES))
    if lines is None:
        return data, left_out
    return b"".join(data.splitlines(keepends=True)[-lines:]) if lines else b"", left_out


def last_line(path: Path) -> str:
    """The last line of a file; only its end if the line is longer than a block."""
    return tail(path, 1, most_blocks=1).decode("utf-8", "replace").strip()
