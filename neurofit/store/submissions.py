"""Submissions: what one `neurofit submit` queued, written before the queue is called.

`submission.json` records what was queued, where, and from which code. `jobs.tasks` has one line per job:
`17/3:0 17/4:2` means run 17, repetition 3, last attempt so far 0, and so on. `queue.jsonl` is what the submit
host knows of the queue: one line per call with its id and jobs, `complete` after the last call, the
unfinished jobs that were missing from an answer and since when, and why jobs ended, because queues forget it.
`stops/` has one file per cancellation.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, overload

import msgspec

from neurofit import process
from neurofit.errors import StoreError
from neurofit.files import append_lines, explain_os_errors, partial_path, read_file, to_json, write_new
from neurofit.store.layout import ExperimentFiles, SubmissionFiles
from neurofit.store.records import FORMAT, Cancellation, NeedStop, Queue, QueueLine, SubmissionRecord
from neurofit.structure import read_record, structured_lines
from neurofit.study import Study
from neurofit.transient import retry

TaskKey = tuple[int, int]  # run number, repetition
_PLANNED = re.compile(r"[0-9]{1,9}/[0-9]{1,9}:[0-9]{1,6}", re.ASCII)
_WHOLE = re.compile(rf"\s*{_PLANNED.pattern}(?:\s+{_PLANNED.pattern})*\s*", re.ASCII)  # a line
_NUMBERS = str.maketrans("/:", "  ")
HERE = "here"  # the runner of a task that runs in the foreground
CHANGE_SECONDS = 2.0  # how far clients of a file system may differ on a change time


class Planned(NamedTuple):
    """A task of a submission, and its last attempt when the submission was written."""

    run: int
    repetition: int
    last_attempt: int

    @property
    def key(self) -> TaskKey:
        return self.run, self.repetition

    @overload
    def group(self, size: int) -> tuple[int, int]: ...

    @overload
    def group(self, size: int | None) -> tuple[int, int | None]: ...

    def group(self, size: int | None) -> tuple[int, int | None]:
        """What the tasks that one process does have in common: the run, and the number of a group of repetitions.

        Parameters
        ----------
        size : int or None
            How many repetitions of this run are trained together. None: all that a job has, which are one group.
        """
        return self.run, None if size is None else self.repetition // size


def write_submission(
    files: ExperimentFiles, name: str, record: SubmissionRecord, jobs: list[list[Planned]]
) -> SubmissionFiles:
    """Write a submission atomically: the folder gets its name only after all its files are written.

    Parameters
    ----------
    files : ExperimentFiles
        The experiment.
    name : str
        The name of the submission.
    record : SubmissionRecord
        What is queued; the name, the number of jobs and the identity of the folder are filled in.
    jobs : list of list of Planned
        The tasks of each job.

    Returns
    -------
    SubmissionFiles
        The files of the submission.

    Raises
    ------
    StoreError
        If the files cannot be written.
    """
    final = SubmissionFiles(files.scratch / name) if record.scratch else files.submission(name)
    partial = SubmissionFiles(partial_path(final.folder))
    with explain_os_errors(final.folder, "write the submission"):
        try:
            named = msgspec.structs.replace(record, name=name, jobs=len(jobs))
            retry(lambda: _write(partial, named, jobs))
            retry(lambda: _put_in_place(partial.folder, final.folder))
        except BaseException:
            shutil.rmtree(partial.folder, ignore_errors=True)
            raise
    return final


def _write(files: SubmissionFiles, record: SubmissionRecord, jobs: list[list[Planned]]) -> None:
    for folder in (files.stops, files.journals, files.logs):
        folder.mkdir(parents=True, exist_ok=True)
    files.jobs.write_text("".join(_line(job) for job in jobs), encoding="ascii")
    record = msgspec.structs.replace(
        record,  # the fields that identify a copy: see `is_at_home`
        inode=files.folder.stat().st_ino,
        changed=round(files.jobs.stat().st_ctime, 3),
        machine=process.machine(),
    )
    files.record.write_text(to_json(record.as_object()) + "\n", encoding="utf-8")


def _put_in_place(partial: Path, final: Path) -> None:
    try:
        partial.rename(final)
    except FileNotFoundError:
        # if it exists, the rename succeeded and the reply was lost: no other submission has its name
        if not final.exists():
            raise


def _line(job: list[Planned]) -> str:
    return " ".join(f"{task.run}/{task.repetition}:{task.last_attempt}" for task in job) + "\n"


def _tasks(line: str) -> list[Planned]:
    if _WHOLE.fullmatch(line) is None:
        raise ValueError(_fault(line))
    numbers = map(int, line.translate(_NUMBERS).split())
    return list(map(Planned, numbers, numbers, numbers))


def _fault(line: str) -> str:
    """What is wrong with a line of `jobs.tasks`."""
    for word in line.split():
        if _PLANNED.fullmatch(word) is None:
            return f"'{word[:40]}' is not a task, expected 'run/repetition:attempt'"
    return "a line without tasks"


def read_job(files: SubmissionFiles, job: int) -> list[Planned]:
    """The tasks of one job, from its line of `jobs.tasks`.

    Raises
    ------
    StoreError
        The file is missing or damaged, or has no such line.
    """
    return retry(lambda: _parse_lines(files, slice(job, job + 1)))[0]


def read_jobs(files: SubmissionFiles) -> list[list[Planned]]:
    """The tasks of every job.

    Raises
    ------
    StoreError
        The file is missing or damaged.
    """
    return _parse_lines(files, slice(None))


def _parse_lines(files: SubmissionFiles, wanted: slice) -> list[list[Planned]]:
    try:
        lines = read_file(files.jobs).decode("ascii").splitlines()
        if wanted.start is not None and wanted.start >= len(lines):
            raise ValueError(f"job {wanted.start} is missing")
        return [_tasks(line) for line in lines[wanted]]
    except FileNotFoundError:
        raise StoreError(f"{files.jobs}: missing, so the tasks of this submission are unknown.") from None
    except ValueError as error:
        raise StoreError(f"{files.jobs}: damaged ({error}).") from error


def is_at_home(files: SubmissionFiles, record: SubmissionRecord) -> bool:
    """Whether the jobs of this submission write here; False in a copy of the study.

    Jobs write to the path that they were queued with. If this host has another folder at that path, this
    folder is a copy, whatever its inode. If the path is this folder, and this is the machine that queued the
    jobs, it is not a copy. Any other machine may have a copy at the same path and needs further evidence: the
    inode, or the time at which the file system last changed `jobs.tasks`, which is written once and which no
    copy preserves (records of 0.1.0 lack it, and the inode alone decides). A machine with nothing at the path
    (the study was moved, or is mounted elsewhere) uses this evidence alone.
    """
    try:
        here = retry(files.folder.stat)
    except FileNotFoundError:
        return True
    same_machine = process.same_machine(record.host or "", record.machine)
    same_inode, same_change = here.st_ino == record.inode, _is_unchanged(files, record)
    there = _queued_folder(files, record)
    same_place = there == files.folder or _is_same_folder(here, there)
    if same_place is not None:
        return same_place and (same_machine or same_inode or same_change is True)
    return same_change is True or (same_inode and (same_machine or same_change is None))


def _queued_folder(files: SubmissionFiles, record: SubmissionRecord) -> Path:
    """The path that the submission's jobs were queued with."""
    queued = ExperimentFiles(Study(Path(record.study)), record.experiment)
    return queued.submission(record.name or files.name).folder


def _is_same_folder(here: os.stat_result, there: Path) -> bool | None:
    """Whether `there` is the folder `here`; None if `there` cannot be read."""
    try:
        return os.path.samestat(here, there.stat())
    except (OSError, ValueError):
        return None


def _is_unchanged(files: SubmissionFiles, record: SubmissionRecord) -> bool | None:
    """Whether `jobs.tasks` is the original file; None if that is unknown."""
    if record.changed is None:
        return None
    try:
        return abs(files.jobs.stat().st_ctime - record.changed) < CHANGE_SECONDS
    except OSError:
        return None


def read_submission(files: SubmissionFiles) -> SubmissionRecord:
    """Read `submission.json`.

    Raises
    ------
    StoreError
        If the file is missing, damaged, or written by a later version of neurofit.
    """
    try:
        record = read_record(files.record, SubmissionRecord)
    except FileNotFoundError:
        raise StoreError(f"{files.record}: missing, so the tasks of this submission are unknown.") from None
    if record.format > FORMAT:
        raise StoreError(
            f"{files.record}: written by a later version of neurofit (format {record.format}; this version "
            f"reads up to {FORMAT}). Update neurofit."
        )
    return record


def study_of(files: SubmissionFiles, record: SubmissionRecord) -> Study:
    """The study that a submission is in, wherever this machine has mounted it."""
    folder = Path(os.path.abspath(files.folder))  # `training_data` may be a link to another disk
    return Study(folder.parents[1 + len(Path(record.experiment).parts)].parent)


class Call(NamedTuple):
    """A job, or an array of jobs, that the queue accepted."""

    id: str
    first: int
    last: int
    process: Queue | None


@dataclass(frozen=True)
class QueueMemory:
    """The content of `queue.jsonl`: the ids that the queue returned, and what it later reported about the jobs."""

    calls: list[Call]
    absent: dict[int, float]  # unfinished jobs missing from the queue → since when
    complete: bool = True  # False: the queue may have accepted more calls than were recorded
    # unfinished jobs that have ended → the cause that was first reported
    ended: dict[int, str] = field(default_factory=dict)


def read_queue(files: SubmissionFiles) -> QueueMemory:
    """Read `queue.jsonl`. Damaged lines are ignored: their calls are looked up in the queue, as if they had
    not been recorded.
    """
    try:
        lines, _ = structured_lines(read_file(files.queue), QueueLine)
    except FileNotFoundError:
        lines = []
    absent: dict[int, float] = {}
    ended: dict[int, str] = {}
    for line in lines:
        for first, last in line.absent:
            absent.update((job, absent.get(job, line.t)) for job in range(first, last + 1))
        for first, last in line.back:
            for job in range(first, last + 1):
                absent.pop(job, None)
                ended.pop(job, None)
        for cause, jobs in line.ended.items():
            ended.update((job, cause) for first, last in jobs for job in range(first, last + 1))
    calls = [
        Call(line.id, line.first, line.last, line.process)
        for line in lines
        if line.id is not None and line.first is not None and line.last is not None
    ]
    return QueueMemory(calls, absent, any(line.complete is not None for line in lines), ended)


def note_queue(files: SubmissionFiles, line: QueueLine) -> None:
    with explain_os_errors(files.queue, "record the answer of the queue"):
        append_lines(files.queue, [line.as_object()])


def write_stop(files: SubmissionFiles, tasks: list[TaskKey] | None, by: str) -> Path:
    """Record a cancellation, before any queue is called.

    Workers check for cancellations between tasks and while a task runs.

    Parameters
    ----------
    files : SubmissionFiles
        The submission.
    tasks : list of tuple of int or None
        The tasks to cancel; None means all.
    by : str
        The user who cancels them.

    Returns
    -------
    Path
        The file that was written.
    """
    content = to_json(Cancellation(tasks=None if tasks is None else frozenset(tasks), by=by).as_object())
    with explain_os_errors(files.stops, "record the cancellation"):
        for number in itertools.count(len(retry(lambda: list(files.stops.glob("*.json")))) + 1):
            path = files.stops / f"{number:06d}.json"
            if write_new(path, content):
                return path
    raise AssertionError("unreachable")


def read_stops(files: SubmissionFiles) -> tuple[list[Cancellation], list[Path]]:
    """The cancellations, and the paths of files that could not be read."""
    stops, damaged = [], []
    for path in retry(lambda: sorted(files.stops.glob("[0-9]*.json"))):
        try:
            stops.append(read_record(path, Cancellation))
        except (StoreError, OSError):
            damaged.append(path)
    return stops, damaged


def need_stop_text(message: str) -> str:
    """The content of `stops/needs.json`."""
    return to_json(NeedStop(message=message).as_object())


def write_need_stop(files: SubmissionFiles, message: str) -> None:
    """Record why the tasks of a submission were not started, unless it is recorded already."""
    write_new(files.need_stop, need_stop_text(message))


def read_need_stop(files: SubmissionFiles) -> NeedStop | None:
    """Why the tasks of a submission were not started; None if that is not recorded."""
    try:
        return read_record(files.need_stop, NeedStop)
    except (OSError, StoreError):
        return None
