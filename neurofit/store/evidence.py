"""Facts about the tasks of one submission, read from its journals and, if those are inconclusive, from the
attempt folders.

`Facts` can be cached between commands (see `index.py`), because journals only grow and an outcome never
changes: resuming where the cache ends costs one `stat` per journal, and reading those that have grown since. A read
error is not a fact: it is never cached, and the next command reads the file again.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

from neurofit.errors import StoreError
from neurofit.files import parse_lines
from neurofit.overlap import FEW, overlapped
from neurofit.process import Process
from neurofit.store.journal import STALE_SECONDS, journals, now_on
from neurofit.store.layout import ATTEMPT, AttemptFiles, ExperimentFiles, SubmissionFiles
from neurofit.store.records import Claim, JournalLine, Outcome
from neurofit.store.state import Heartbeat
from neurofit.store.submissions import Planned, TaskKey
from neurofit.structure import read_record, structured_lines
from neurofit.transient import retry


class TaskFacts(msgspec.Struct, gc=False):
    """The newest attempt at a task by the workers of a submission. No attempt follows one that is done."""

    attempt: int = 0
    ended: str | None = None
    by: tuple[int, int] | None = None  # the job and start that claimed it
    code: str | None = None  # hash of the code that an ended attempt ran
    inputs: dict[str, str] | None = None  # file → digest of the data that an ended attempt read

    def newer(
        self,
        attempt: int,
        ended: str | None,
        by: tuple[int, int] | None,
        outcome: Outcome | None = None,
    ) -> None:
        if attempt > self.attempt or (attempt == self.attempt and ended and not self.ended):
            self.attempt, self.ended, self.by = attempt, ended, by
            self.code, self.inputs = (outcome.code, _inputs(outcome)) if outcome else (None, None)


@dataclass
class Facts:
    """Everything that has been read about one submission."""

    tasks: dict[TaskKey, TaskFacts] = field(default_factory=dict)
    read: dict[tuple[int, int], int] = field(default_factory=dict)  # bytes read of each journal
    workers: dict[tuple[int, int], Process] = field(default_factory=dict)  # the worker that wrote the journal
    ended_jobs: dict[int, tuple[int, str]] = field(default_factory=dict)  # job → start, and how it ended
    damaged: set[str] = field(default_factory=set)  # paths of journals
    settled: bool = False  # every task is done or failed, so nothing will change
    # since when the queue has listed none of its jobs; every other task is cancelled
    quiet: float | None = None
    # the fields below are never cached
    touched: dict[tuple[int, int], float] = field(default_factory=dict)  # mtimes
    unread: set[TaskKey] = field(default_factory=set)  # tasks with a file that could not be read
    broken: set[TaskKey] = field(default_factory=set)  # tasks with a damaged outcome
    problems: list[str] = field(default_factory=list)
    from_folders: int = 0  # tasks whose end was read in the folder of an attempt, because no journal has it

    def of(self, key: TaskKey) -> TaskFacts:
        return self.tasks.get(key) or self.tasks.setdefault(key, TaskFacts())


def _inputs(outcome: Outcome) -> dict[str, str] | None:
    inputs = outcome.facts.get("inputs") if outcome.facts else None
    return inputs if isinstance(inputs, dict) and inputs else None


def read_journals(files: SubmissionFiles, facts: Facts) -> None:
    """Update `facts` with the lines that were appended to the journals since the last call."""
    try:
        found = retry(lambda: journals(files))
    except OSError as error:
        facts.problems.append(_unreadable(files.journals, error))
        return
    asked = [(entry, facts.read.get(by, 0)) for by, entry in found.items()]
    for (by, entry), news in zip(found.items(), overlapped(_news, asked, FEW)):
        if news.touched is not None:
            facts.touched[by] = news.touched
        if news.tail:
            _add_tail(entry.path, by, news.tail, facts)
        if news.error is not None:
            facts.problems.append(_unreadable(entry.path, news.error))


class _News(NamedTuple):
    """When a journal was touched, what was added to it, and why that is unknown."""

    touched: float | None = None
    tail: bytes = b""
    error: OSError | None = None


def _news(journal: tuple[os.DirEntry[str], int]) -> _News:
    """Look at a journal of which so many bytes have been read."""
    entry, start = journal
    touched = None
    try:
        status = retry(entry.stat)
        touched = status.st_mtime
        is_longer = status.st_size > start
        return _News(touched, retry(lambda: _read_from(entry.path, start)) if is_longer else b"")
    except OSError as error:
        return _News(touched, error=error)


def _unreadable(path: Path | str, error: OSError) -> str:
    return (
        f"{path}: could not be read ({error.strerror or error}); states that depend on it may be out of date."
    )


def _add_tail(path: str, by: tuple[int, int], data: bytes, facts: Facts) -> None:
    whole = data.rfind(b"\n") + 1  # an incomplete last line is still being written, or was cut off
    lines, damaged = structured_lines(data[:whole], JournalLine)
    facts.damaged.discard(path)
    if damaged:
        facts.damaged.add(path)
        whole = _before_damage(data[:whole])  # read from there again: a page that arrives late looks damaged
    facts.read[by] = facts.read.get(by, 0) + whole
    for line in lines:
        _fold(line, by, facts)


def _read_from(path: str, start: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(start)
        return file.read()


def _before_damage(data: bytes) -> int:
    """The length in bytes of the lines before the first one that is not a record."""
    length = 0
    for line in data.splitlines(keepends=True):
        if parse_lines(line)[1]:
            break
        length += len(line)
    return length


def _fold(line: JournalLine, by: tuple[int, int], facts: Facts) -> None:
    if line.claim is not None and line.attempt is not None:
        facts.of(line.claim).newer(line.attempt, None, by)
    elif line.outcome is not None:
        outcome = line.outcome
        facts.of(outcome.key).newer(outcome.attempt, outcome.state, by, outcome)
    elif line.start is not None:
        facts.workers[by] = line.start
    elif line.end is not None:
        facts.ended_jobs[by[0]] = max(facts.ended_jobs.get(by[0], (0, "")), (by[1], line.end))


def newest_ends(facts: Facts) -> dict[int, str]:
    """Job → how its newest start ended, for those whose newest start recorded that."""
    newest = _newest_starts(facts)
    return {job: end for job, (start, end) in facts.ended_jobs.items() if newest.get(job) == start}


def _newest_starts(facts: Facts) -> dict[int, int]:
    newest: dict[int, int] = {}
    for job, start in facts.read:
        newest[job] = max(start, newest.get(job, 0))
    return newest


def were_interrupted(facts: Facts) -> bool:
    """Whether a job was started again although its worker had not asked for that: its host may have failed."""
    for job, start in _newest_starts(facts).items():
        last, end = facts.ended_jobs.get(job, (0, ""))
        if last < start - 1 or (last == start - 1 and last and end != "again"):
            return True
    return False


def heartbeats(
    files: SubmissionFiles, facts: Facts, *, at_home: bool = True
) -> dict[tuple[int, int], Heartbeat]:
    """The heartbeat of each worker that has claimed a task and not ended it.

    In a copy of the study, the workers belong to the original, and only a fresh journal shows that a worker is
    active here: what looks like a copy may be the original, mounted elsewhere.

    Parameters
    ----------
    files : SubmissionFiles
        The submission.
    facts : Facts
        What has been read of the submission.
    at_home : bool, default True
        False in a copy of the study (see `submissions.is_at_home`).

    Returns
    -------
    dict of tuple to Heartbeat
        Job and start → heartbeat.
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
    alive = worker.is_alive() if worker else None
    if alive is not None:
        return Heartbeat.FRESH if alive else Heartbeat.DEAD
    return Heartbeat.FRESH if _is_fresh(facts, by, now) else Heartbeat.STALE


def look_at_attempts(
    files: ExperimentFiles,
    submission: str,
    others: Collection[str],
    ids: dict[int, str],
    doubtful: list[Planned],
    facts: Facts,
) -> None:
    """Update `facts` from the attempt folders of the tasks whose journals are inconclusive.

    Parameters
    ----------
    files : ExperimentFiles
        The experiment.
    submission : str
        The name of the submission.
    others : collection of str
        The names of the other submissions, whose own files describe what their workers did.
    ids : dict of int to str
        Run number → id of the run.
    doubtful : list of Planned
        The tasks to look at.
    facts : Facts
        What has been read of the submission; updated in place.
    """
    runs_there = _names(files.folder / "runs", doubtful, facts)
    for task in doubtful:
        run_id = ids.get(task.run)
        if run_id is None or f"{task.run:03d}-{run_id[:8]}" not in runs_there:
            continue
        folder = files.task(task.run, run_id, task.repetition)
        names = _names(folder.folder, [task], facts)
        numbers = [int(match.group(1)) for name in names if (match := ATTEMPT.match(name))]
        for number in sorted(numbers, reverse=True):
            if number <= task.last_attempt or _look_at(
                folder.attempt(number), submission, others, task.key, facts
            ):
                break


def _look_at(
    attempt: AttemptFiles, submission: str, others: Collection[str], key: TaskKey, facts: Facts
) -> bool:
    """Add an attempt to `facts`; False if a worker of another submission made it."""
    outcome: Outcome | None = None
    claim: Claim | None = None
    try:
        is_damaged = False
        try:
            outcome = read_record(attempt.outcome, Outcome)
        except FileNotFoundError:
            pass
        except StoreError as error:
            is_damaged = True
            facts.problems.append(f"{error} It was skipped.")
        if outcome is None or not outcome.submission:
            claim = _claim(attempt, facts)
    except OSError as error:
        facts.problems.append(_unreadable(attempt.folder, error))
        facts.unread.add(key)
        return True
    owner = (outcome.submission if outcome else None) or (claim.submission if claim else None)
    has_ended = outcome is not None or is_damaged
    if owner in others or (not has_ended and owner not in (submission, None)):
        return False
    task = facts.of(key)
    by = task.by if task.attempt == attempt.number else None
    if not has_ended and by is None and claim:
        by = claim.job, claim.start
        facts.workers.setdefault(by, claim.process)
    if is_damaged:
        facts.broken.add(key)
    task.newer(attempt.number, outcome.state if outcome else None, by, outcome)
    facts.from_folders += task.ended is not None
    return True


def _claim(attempt: AttemptFiles, facts: Facts) -> Claim | None:
    """The claim of an attempt; None if it is missing or damaged (damage is added to the problems)."""
    try:
        return read_record(attempt.claim, Claim)
    except FileNotFoundError:
        return None
    except StoreError as error:
        facts.problems.append(f"{error} It was skipped.")
        return None


def _names(folder: Path, tasks: list[Planned], facts: Facts) -> set[str]:
    """The names in a folder; if it cannot be read, `tasks` are marked as unread."""
    try:
        return set(retry(lambda: os.listdir(folder)))
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        facts.problems.append(_unreadable(folder, error))
        facts.unread.update(task.key for task in tasks)
        return set()
