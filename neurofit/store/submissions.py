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

from neurofit import process
from neurofit.errors import StoreError
from neurofit.files import append_lines, partial_path, read_json, read_lines, to_json, told_apart, write_new
from neurofit.store.layout import ExperimentFiles, SubmissionFiles
from neurofit.store.records import QUEUE_LINE, STOP, SUBMISSION, checked, fault, read_record
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
    files: ExperimentFiles, name: str, record: dict[str, Any], jobs: list[list[Planned]]
) -> SubmissionFiles:
    """Write a submission whole: its folder appears under its name only when everything is in it."""
    final = SubmissionFiles(files.scratch / name) if record.get("scratch") else files.submission(name)
    partial = SubmissionFiles(partial_path(final.folder))
    with told_apart(final.folder, "write the submission"):
        try:
            retry(lambda: _write(partial, {**record, "name": name, "jobs": len(jobs)}, jobs))
            retry(lambda: _put_in_place(partial.folder, final.folder))
        except BaseException:
            shutil.rmtree(partial.folder, ignore_errors=True)
            raise
    return final


def _write(files: SubmissionFiles, record: dict[str, Any], jobs: list[list[Planned]]) -> None:
    for folder in (files.stops, files.journals, files.logs):
        folder.mkdir(parents=True, exist_ok=True)
    files.jobs.write_text("".join(_line(job) for job in jobs), encoding="ascii")
    files.record.write_text(to_json({**record, **_signs(files)}) + "\n", encoding="utf-8")


def _put_in_place(partial: Path, final: Path) -> None:
    try:
        partial.rename(final)
    except FileNotFoundError:
        if (
            not final.exists()
        ):  # otherwise it had been renamed, and the answer was lost: its name is nobody else's
            raise


def _signs(files: SubmissionFiles) -> dict[str, Any]:
    """By which a copy of the study is told from it: see `is_at_home`."""
    changed = round(files.jobs.stat().st_ctime, 3)
    return {"inode": files.folder.stat().st_ino, "changed": changed, "machine": process.machine()}


def _line(job: list[Planned]) -> str:
    return " ".join(f"{task.run}/{task.repetition}:{task.last_attempt}" for task in job) + "\n"


def _tasks(line: str) -> list[Planned]:
    words = line.split()
    found = [_PLANNED.fullmatch(word) for word in words]
    if not all(found):
        wrong = next(word for word, match in zip(words, found) if not match)
        raise ValueError(f"'{wrong[:40]}' is no task, expected run/repetition:attempt")
    return [Planned(*map(int, match.groups())) for match in found]


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


def is_at_home(files: SubmissionFiles, record: dict[str, Any]) -> bool:
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
    same_machine = process.same_machine(record.get("host", ""), record.get("machine"))
    same_inode, same_change = here.st_ino == record.get("inode"), _is_unchanged(files, record)
    there = _queued_folder(files, record)
    if there is not None:
        same_place = there == files.folder or _is_same_folder(here, there)
        if same_place is not None:
            return same_place and (same_machine or same_inode or same_change is True)
    return same_change is True or (same_inode and (same_machine or same_change is None))


def _queued_folder(files: SubmissionFiles, record: dict[str, Any]) -> Path | None:
    """The path that the submission's jobs were queued with."""
    try:
        written = ExperimentFiles(Study(Path(record["study"])), record["experiment"])
        return written.submission(record.get("name", files.name)).folder
    except (KeyError, TypeError):
        return None


def _is_same_folder(here: os.stat_result, there: Path) -> bool | None:
    """None where there is nothing that can be looked at."""
    try:
        return os.path.samestat(here, there.stat())
    except (OSError, ValueError):
        return None


def _is_unchanged(files: SubmissionFiles, record: dict[str, Any]) -> bool | None:
    """Whether `jobs.tasks` is the file that was written; None where that is not known."""
    written = record.get("changed")
    try:
        return None if written is None else abs(files.jobs.stat().st_ctime - written) < CHANGE_SECONDS
    except (OSError, TypeError):
        return None


def read_submission(files: SubmissionFiles) -> dict[str, Any]:
    """What `submission.json` says. Raises StoreError where that is gone, or is not all of it."""
    try:
        record = read_json(files.record)
    except FileNotFoundError:
        raise StoreError(f"{files.record}: gone, so that this submission's tasks are not known.") from None
    return checked(record, SUBMISSION, files.record)


@dataclass(frozen=True)
class QueueMemory:
    """What `queue.jsonl` remembers: ids as the queue gave them, and what was seen of the jobs since."""

    calls: list[dict[str, Any]]
    absent: dict[int, float]  # unfinished jobs that the queue answered without → when it first did
    complete: bool = True  # False: the queue may have taken more than was noted
    ended: dict[int, str] = field(
        default_factory=dict
    )  # unfinished jobs that are over → why, as was first heard


def read_queue(files: SubmissionFiles) -> QueueMemory:
    """What can be read of it; a call that cannot be is looked up in the queue, as one that was never
    noted.
    """
    records = [record for record in read_lines(files.queue)[0] if fault(record, QUEUE_LINE) is None]
    calls = [record for record in records if {"id", "first", "last"} <= record.keys()]
    absent: dict[int, float] = {}
    ended: dict[int, str] = {}
    for record in records:
        for first, last in record.get("absent", ()):
            absent.update((job, absent.get(job, record.get("t", 0.0))) for job in range(first, last + 1))
        for first, last in record.get("back", ()):
            for job in range(first, last + 1):
                absent.pop(job, None)
                ended.pop(job, None)
        for cause, jobs in record.get("ended", {}).items():
            ended.update((job, cause) for first, last in jobs for job in range(first, last + 1))
    return QueueMemory(calls, absent, any("complete" in record for record in records), ended)


def note_queue(files: SubmissionFiles, record: dict[str, Any]) -> None:
    with told_apart(files.queue, "note what the queue said"):
        append_lines(files.queue, [record])


class Stop(NamedTuple):
    """One cancellation: these tasks of the submission, or all."""

    tasks: frozenset[TaskKey] | None
    by: str

    def covers(self, key: TaskKey) -> bool:
        return self.tasks is None or key in self.tasks


def write_stop(files: SubmissionFiles, tasks: list[TaskKey] | None, by: str) -> Path:
    """Note a cancellation before any queue is told; workers look here between tasks and while one runs."""
    content = to_json({"tasks": tasks, "by": by})
    with told_apart(files.stops, "note the cancellation"):
        for number in itertools.count(len(retry(lambda: list(files.stops.glob("*.json")))) + 1):
            path = files.stops / f"{number:06d}.json"
            if write_new(path, content):
                return path
    raise AssertionError("unreachable")


def read_stops(files: SubmissionFiles) -> tuple[list[Stop], list[Path]]:
    """The cancellations, and those files that cannot be read as one."""
    stops, damaged = [], []
    for path in retry(lambda: sorted(files.stops.glob("[0-9]*.json"))):
        try:
            record = read_record(path, STOP)
            tasks = record["tasks"]
            stops.append(
                Stop(None if tasks is None else frozenset((run, rep) for run, rep in tasks), record["by"])
            )
        except (StoreError, OSError):
            damaged.append(path)
    return stops, damaged
