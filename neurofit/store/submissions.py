"""Submissions: what one `neurofit submit` queued, written before the queue is asked.

`submission.json` says what, where and from which code; `jobs.tasks` has a line per job, `17/3:0 17/4:2` = run
17, repetition 3, last attempt so far 0, and so on; `queue.jsonl` is the submit host's memory of the queue: a
line per call with its id and jobs, `complete` when no more calls were to come, which unfinished jobs it first
answered without, and when, and why jobs ended, which a queue forgets; `stops/` has a file per cancellation.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from neurofit import process
from neurofit.errors import StoreError
from neurofit.files import append_lines, explain_os_errors, partial_path, read_file, to_json, write_new
from neurofit.store.layout import ExperimentFiles, SubmissionFiles
from neurofit.store.records import FORMAT, Cancellation, Queue, QueueLine, SubmissionRecord
from neurofit.structure import read_record, structured_lines
from neurofit.study import Study
from neurofit.transient import retry

TaskKey = tuple[int, int]  # run number, repetition
_PLANNED = re.compile(r"([0-9]{1,9})/([0-9]{1,9}):([0-9]{1,6})", re.ASCII)
HERE = "here"  # the runner of a task that is done in the foreground
CHANGE_SECONDS = 2.0  # by which clients of one file system may differ in when a file was changed


class Planned(NamedTuple):
    """A task in a submission, and the last attempt at it when the submission was written."""

    run: int
    repetition: int
    last_attempt: int

    @property
    def key(self) -> TaskKey:
        return self.run, self.repetition


def write_submission(
    files: ExperimentFiles, name: str, record: SubmissionRecord, jobs: list[list[Planned]]
) -> SubmissionFiles:
    """Write a submission whole: its folder appears under its name only when everything is in it."""
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
        record,  # and the signs by which a copy is recognised: see `is_at_home`
        inode=files.folder.stat().st_ino,
        changed=round(files.jobs.stat().st_ctime, 3),
        machine=process.machine(),
    )
    files.record.write_text(to_json(record.as_object()) + "\n", encoding="utf-8")


def _put_in_place(partial: Path, final: Path) -> None:
    try:
        partial.rename(final)
    except FileNotFoundError:
        if (
            not final.exists()
        ):  # otherwise it had been renamed, and the answer was lost: its name is nobody else's
            raise


def _line(job: list[Planned]) -> str:
    return " ".join(f"{task.run}/{task.repetition}:{task.last_attempt}" for task in job) + "\n"


def _tasks(line: str) -> list[Planned]:
    words = line.split()
    tasks = []
    for word in words:
        match = _PLANNED.fullmatch(word)
        if match is None:
            raise ValueError(f"'{word[:40]}' is not a task, expected run/repetition:attempt")
        tasks.append(Planned(*map(int, match.groups())))
    return tasks


def read_job(files: SubmissionFiles, job: int) -> list[Planned]:
    """The tasks of one job: its own line of `jobs.tasks`."""
    try:
        with open(files.jobs, encoding="ascii") as file:
            line = next(itertools.islice(file, job, None), None)
        if line is None:
            raise StoreError(f"{files.jobs}: there is no job {job}.")
        return _tasks(line)
    except ValueError as error:
        raise StoreError(f"{files.jobs}: damaged ({error}).") from error


def read_jobs(files: SubmissionFiles) -> list[list[Planned]]:
    try:
        return [_tasks(line) for line in retry(lambda: files.jobs.read_text(encoding="ascii")).splitlines()]
    except (OSError, ValueError) as error:
        raise StoreError(f"{files.jobs}: damaged ({error}).") from error


def is_at_home(files: SubmissionFiles, record: SubmissionRecord) -> bool:
    """Whether the jobs of this submission write here; False in a copy of the study.

    Jobs write to the path that they were queued with. Where this host has another folder at that path, this
    is a copy, whatever its inode. Where it is this very folder, as the machine knows that queued it, this is
    none. Any other machine needs a further sign, since it may have a copy at the same path: the inode, or
    when the file system last changed `jobs.tasks`, which is written once, and which no copy takes over
    (records of 0.1.0 lack that, and the inode alone decides). A machine that has nothing at the path (a study
    that was moved, another mount point) goes by these signs alone.
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
    """None where there is nothing that can be looked at."""
    try:
        return os.path.samestat(here, there.stat())
    except (OSError, ValueError):
        return None


def _is_unchanged(files: SubmissionFiles, record: SubmissionRecord) -> bool | None:
    """Whether `jobs.tasks` is the file that was written; None where that is not known."""
    if record.changed is None:
        return None
    try:
        return abs(files.jobs.stat().st_ctime - record.changed) < CHANGE_SECONDS
    except OSError:
        return None


def read_submission(files: SubmissionFiles) -> SubmissionRecord:
    """The record in `submission.json`.

    Raises
    ------
    StoreError : the file is gone, or damaged
    """
    try:
        record = read_record(files.record, SubmissionRecord)
    except FileNotFoundError:
        raise StoreError(f"{files.record}: gone, so that this submission's tasks are not known.") from None
    if record.format > FORMAT:
        raise StoreError(
            f"{files.record}: written by a later version of neurofit (format {record.format}; this version "
            f"reads up to {FORMAT}). Update neurofit."
        )
    return record


class Call(NamedTuple):
    """A job, or an array of jobs, that the queue took."""

    id: str
    first: int
    last: int
    process: Queue | None


@dataclass(frozen=True)
class QueueMemory:
    """What `queue.jsonl` remembers: ids as the queue gave them, and what was seen of the jobs since."""

    calls: list[Call]
    absent: dict[int, float]  # unfinished jobs that the queue answered without → when it first did
    complete: bool = True  # False: the queue may have taken more than was noted
    ended: dict[int, str] = field(
        default_factory=dict
    )  # unfinished jobs that are over → why, as was first heard


def read_queue(files: SubmissionFiles) -> QueueMemory:
    """What can be read of `queue.jsonl`; a call that cannot be read is looked up in the queue, like one that
    was never noted.
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


def note_queue(files: SubmissionFiles, record: dict[str, Any]) -> None:
    with explain_os_errors(files.queue, "note what the queue said"):
        append_lines(files.queue, [record])


def write_stop(files: SubmissionFiles, tasks: list[TaskKey] | None, by: str) -> Path:
    """Note a cancellation before any queue is told; workers look here between tasks and while one runs."""
    content = to_json(Cancellation(tasks=None if tasks is None else frozenset(tasks), by=by).as_object())
    with explain_os_errors(files.stops, "note the cancellation"):
        for number in itertools.count(len(retry(lambda: list(files.stops.glob("*.json")))) + 1):
            path = files.stops / f"{number:06d}.json"
            if write_new(path, content):
                return path
    raise AssertionError("unreachable")


def read_stops(files: SubmissionFiles) -> tuple[list[Cancellation], list[Path]]:
    """The cancellations, and the files that cannot be read as one."""
    stops, damaged = [], []
    for path in retry(lambda: sorted(files.stops.glob("[0-9]*.json"))):
        try:
            stops.append(read_record(path, Cancellation))
        except (StoreError, OSError):
            damaged.append(path)
    return stops, damaged
