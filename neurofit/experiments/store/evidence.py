"""What the files of one submission say of its tasks: journals first, attempt folders where a journal leaves a doubt.

`Facts` can be kept between commands (see `index.py`), because journals only grow and an outcome never changes: reading
on from where the last command stopped costs a `stat` per journal.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from neurofit.errors import StoreError
from neurofit.experiments.store.journal import STALE_SECONDS, journals, now_on
from neurofit.experiments.store.layout import ATTEMPT, AttemptFiles, ExperimentFiles, SubmissionFiles
from neurofit.experiments.store.state import Heartbeat
from neurofit.experiments.store.submissions import Planned, TaskKey
from neurofit.files import parse_lines, read_json
from neurofit.process import Process
from neurofit.transient import retry


@dataclass(slots=True)
class TaskFacts:
    """The newest attempt that the files of a submission know of."""

    attempt: int = 0
    ended: str | None = None
    by: tuple[int, int] | None = None  # job and start that claimed it
    code: str | None = None  # hash of the code that an ended attempt ran

    def newer(self, attempt: int, ended: str | None, by: tuple[int, int] | None, code: str | None = None) -> None:
        if attempt > self.attempt or (attempt == self.attempt and ended and not self.ended):
            self.attempt, self.ended, self.by, self.code = attempt, ended, by, code


@dataclass
class Facts:
    """All that has been read of one submission."""

    tasks: dict[TaskKey, TaskFacts] = field(default_factory=dict)
    read: dict[tuple[int, int], int] = field(default_factory=dict)  # bytes read of each journal
    workers: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict)  # who wrote it
    ended_jobs: dict[int, tuple[int, str]] = field(default_factory=dict)  # job → start and how it ended
    damaged: set[str] = field(default_factory=set)  # files, by name
    settled: bool = False  # every task is done or failed: nothing here will ever change
    touched: dict[tuple[int, int], float] = field(default_factory=dict)  # mtimes, never kept

    def of(self, key: TaskKey) -> TaskFacts:
        return self.tasks.get(key) or self.tasks.setdefault(key, TaskFacts())


def read_journals(files: SubmissionFiles, facts: Facts) -> None:
    """Bring `facts` up to date with what the journals have grown by."""
    for by, entry in journals(files).items():
        status = retry(entry.stat)
        facts.touched[by] = status.st_mtime
        if status.st_size > facts.read.get(by, 0):
            _read_tail(entry.path, by, facts)


def _read_tail(path: str, by: tuple[int, int], facts: Facts) -> None:
    data = retry(lambda: _read_from(path, facts.read.get(by, 0)))
    whole = data.rfind(b"\n") + 1  # the rest is being written, or torn
    records, damaged = parse_lines(data[:whole])
    facts.read[by] = facts.read.get(by, 0) + whole
    if damaged:
        facts.damaged.add(path)
    for record in records:
        try:
            _fold(record, by, facts)
        except (KeyError, TypeError, ValueError):
            facts.damaged.add(path)


def _read_from(path: str, start: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(start)
        return file.read()


def _fold(record: dict[str, Any], by: tuple[int, int], facts: Facts) -> None:
    if "claim" in record:
        run, repetition = record["claim"]
        facts.of((run, repetition)).newer(record["attempt"], None, by)
    elif "outcome" in record:
        outcome = record["outcome"]
        facts.of((outcome["run"], outcome["repetition"])).newer(
            outcome["attempt"], outcome["state"], by, outcome.get("code")
        )
    elif "start" in record:
        facts.workers[by] = record["start"]
    elif "end" in record:
        facts.ended_jobs[by[0]] = max(facts.ended_jobs.get(by[0], (0, "")), (by[1], record["end"]))


def job_has_ended(facts: Facts, job: int) -> bool:
    """Whether the newest start of the job wrote its end."""
    newest = max((start for number, start in facts.read if number == job), default=0)
    return newest > 0 and facts.ended_jobs.get(job, (0, ""))[0] == newest


def heartbeats(files: SubmissionFiles, facts: Facts, *, at_home: bool = True) -> dict[tuple[int, int], Heartbeat]:
    """How each worker with a claim that has not ended is doing.

    In a copy of the study, whose workers are at work on the original, only a fresh journal says that somebody is:
    what seems a copy may be the original, mounted differently.
    """
    claimants = {task.by for task in facts.tasks.values() if task.by is not None and task.ended is None}
    if not claimants:
        return {}
    now = now_on(files.folder)
    if not at_home:
        return {by: Heartbeat.FRESH if _is_fresh(facts, by, now) else Heartbeat.DEAD for by in claimants}
    return {by: _heartbeat(facts, by, now) for by in claimants}


def _is_fresh(facts: Facts, by: tuple[int, int], now: float) -> bool:
    return now - facts.touched.get(by, now) < STALE_SECONDS


def _heartbeat(facts: Facts, by: tuple[int, int], now: float) -> Heartbeat:
    worker = facts.workers.get(by)
    alive = Process.from_record(worker).is_alive() if worker else None
    if alive is not None:
        return Heartbeat.FRESH if alive else Heartbeat.DEAD
    return Heartbeat.FRESH if _is_fresh(facts, by, now) else Heartbeat.STALE


def look_at_attempts(
    files: ExperimentFiles, submission: str, ids: dict[int, str], doubtful: list[Planned], facts: Facts
) -> None:
    """Settle the tasks that a submission's journals leave in doubt from the attempt folders themselves."""
    runs_there = _names(files.folder / "runs")
    for task in doubtful:
        run_id = ids.get(task.run)
        if run_id is None or f"{task.run:03d}-{run_id[:8]}" not in runs_there:
            continue
        folder = files.task(task.run, run_id, task.repetition)
        numbers = [int(match.group(1)) for name in _names(folder.folder) if (match := ATTEMPT.match(name))]
        newest = max(numbers, default=0)
        if newest > task.last_attempt:
            _look_at(folder.attempt(newest), submission, facts.of(task.key), facts)


def _look_at(attempt: AttemptFiles, submission: str, task: TaskFacts, facts: Facts) -> None:
    ended, code = None, None
    try:
        outcome = read_json(attempt.outcome)
        ended, code = outcome["state"], outcome.get("code")
    except FileNotFoundError:
        pass
    except (StoreError, KeyError, OSError) as error:
        facts.damaged.add(f"{attempt.outcome} ({type(error).__name__})")
        ended = "damaged"
    by = task.by if task.attempt == attempt.number else None
    if ended is None and by is None:
        try:
            claim = read_json(attempt.claim)
            if claim["submission"] != submission:
                return  # another submission's worker is at it, which is for that one's files to say
            by = claim["job"], claim["start"]
            facts.workers.setdefault(by, claim["process"])
        except (StoreError, KeyError, OSError):
            facts.damaged.add(str(attempt.claim))
    task.newer(attempt.number, ended, by, code)


def _names(folder) -> set[str]:
    try:
        return set(retry(lambda: os.listdir(folder)))
    except (FileNotFoundError, NotADirectoryError):
        return set()
