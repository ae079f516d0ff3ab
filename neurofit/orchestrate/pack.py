"""Pack the small files of settled runs into one archive per run, and unpack them again.

The experiment's lock is given up every few seconds, so that other commands wait no longer than that; after it was
taken again, the status is read again.
"""

from __future__ import annotations

import contextlib
import errno
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from neurofit.errors import NeurofitError, StoreError, UsageError
from neurofit.experiments.selector import naming
from neurofit.status.experiment_status import ExperimentStatus, read_status
from neurofit.store import packing, run_files, storage
from neurofit.store.layout import AttemptFiles, ExperimentFiles
from neurofit.store.lock import locked
from neurofit.store.records import Outcome
from neurofit.store.state import State
from neurofit.structure import read_record
from neurofit.study import Study
from neurofit.tables.query import TaskQuery
from neurofit.text import count
from neurofit.transient import StorageUnavailable, retry

UNSETTLED = {
    State.RUNNING: "is running",
    State.QUEUED: "is queued",
    State.STOPPED: "was stopped (the next submit continues it)",
    State.LOST: "is lost (its worker may only be slow)",
}
HELD_SECONDS = (10.0, 40.0)  # how long the lock is held at a time: at least, at most
_READS = 5.0  # times as long as it takes to read the status
_GIVEN_UP_SECONDS = 0.2
AT_ONCE = 8  # runs at a time: most of the time is spent waiting for the disk
BATCH = 32
_SHOWN = 3  # attempts whose files stay in an archive
_ENDS_ALL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # what one run meets, the next one will meet too


@dataclass(frozen=True)
class RunResult:
    """A run that was packed or unpacked, or would be."""

    run: int
    files_before: int  # files and folders
    files_after: int
    bytes_before: int
    bytes_after: int | None  # None: not known before it is done


@dataclass(frozen=True)
class Refusal:
    """A run that was left as it is, at least in part."""

    says: ClassVar[str] = "was left as it is"
    run: int
    why: str  # a sentence; with `repetition`, what is said of that task: "is running"
    repetition: int | None = None
    is_error: bool = False


class Incomplete(Refusal):
    """A run of which some files, or all, stay in the archive; `why` says what was restored."""

    says = "cannot be unpacked completely"


class NotDeleted(Refusal):
    """A run that was packed, of which some files that the archive has are still in their folders."""

    says = "was packed, but files that are in the archive stay in their folders too"


_Said = RunResult | Refusal | Counter[str] | None


@dataclass
class Report:
    """What happened to the runs of one experiment."""

    experiment: str
    runs: list[RunResult] = field(default_factory=list)
    unchanged: int = 0  # runs with nothing to do
    refused: list[Refusal] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)  # why single files stay → how many
    ended: str | None = None  # why the runs after the last one were not looked at

    def add(self, said: _Said) -> None:
        """Add what became of a run; None if there was nothing to do."""
        if isinstance(said, RunResult):
            self.runs.append(said)
        elif isinstance(said, Refusal):
            self.refused.append(said)
        elif said is None:
            self.unchanged += 1
        else:
            self.left.update(said)

    @property
    def has_errors(self) -> bool:
        return self.ended is not None or any(one.is_error for one in self.refused)

    def total(self, name: str) -> int | None:
        """The sum of a number of the runs; None if it is not known."""
        numbers = [getattr(one, name) for one in self.runs]
        return None if None in numbers else sum(numbers)

    def refusals(self) -> Iterator[str]:
        """A sentence for each reason."""
        tasks: dict[str, list[tuple[int, int]]] = {}
        for one in self.refused:
            if one.repetition is None:
                yield f"{self.experiment}:{one.run} {one.says}: {one.why}"
            else:
                tasks.setdefault(one.why, []).append((one.run, one.repetition))
        for why, keys in tasks.items():
            if len(keys) == 1:
                run, repetition = keys[0]
                yield f"{self.experiment}:{run} was left as it is: {self.experiment}:{run}/{repetition} {why}."
            else:
                named = naming(self.experiment, keys)
                yield f"{len(keys):,} runs ({named}) were left as they are: a task of each {why}."

    def record(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "experiment": self.experiment,
            "runs": [vars(one) for one in self.runs],
            "unchanged": self.unchanged,
            "refused": [vars(one) for one in self.refused],
            "left": dict(self.left),
            "ended": self.ended,
            **{
                name: self.total(name)
                for name in ("files_before", "files_after", "bytes_before", "bytes_after")
            },
        }


def runs_of(query: TaskQuery, status: ExperimentStatus) -> list[int]:
    """The numbers of the selected runs.

    Raises
    ------
    UsageError
        Single repetitions are selected: an archive holds a whole run.
    """
    if query.selection.repetitions is not None:
        raise UsageError(
            f"An archive holds all repetitions of a run: select whole runs, such as {status.name}:17, and no "
            "repetitions."
        )
    return sorted({run for run, _ in query.keys(status)})


def pack(
    study: Study,
    name: str,
    runs: Sequence[int],
    *,
    dry_run: bool = False,
    advance: Callable[[int], None] = lambda done: None,
) -> Report:
    """Pack the small files of runs whose tasks are all settled.

    Parameters
    ----------
    study : Study
    name : str
        The experiment.
    runs : sequence of int
        Their numbers.
    dry_run : bool, optional
        Only say what would be done.
    advance : callable, optional
        Called with the number of runs done so far.
    """

    def one_run(folder: Path, run: int, unsettled: dict[int, Refusal]) -> Iterator[_Said]:
        if run in unsettled:
            yield unsettled[run]
            return
        found = retry(lambda: run_files.survey(folder, _has_ended))
        yield found.left
        if not found.files:
            if not dry_run:
                packing.pack(found)
            yield None
            return
        if dry_run:
            after = found.number - len(found.packable) + (not packing.is_packed(folder))
            yield RunResult(run, found.number, after, found.size_bytes, None)
            return
        packing.pack(found)
        yield _result(run, found, retry(lambda: run_files.survey(folder, lambda attempt: False)))

    return _for_each(study, name, runs, one_run, dry_run, advance)


def unpack(
    study: Study,
    name: str,
    runs: Sequence[int],
    *,
    dry_run: bool = False,
    advance: Callable[[int], None] = lambda done: None,
) -> Report:
    """Restore the files of packed runs; the parameters are those of `pack`."""

    def one_run(folder: Path, run: int, unsettled: dict[int, Refusal]) -> Iterator[_Said]:
        if not packing.is_packed(folder):
            yield None
            return
        found = retry(lambda: run_files.survey(folder, lambda attempt: False))
        number, kept = packing.look(folder) if dry_run else packing.unpack(folder)
        if kept:
            why = _why_kept(found.archive, kept, None if dry_run else number)
            yield Incomplete(run, why, is_error=not dry_run)
            if not number:
                return
        if dry_run:
            after = found.number + number - (not kept)
            yield RunResult(run, found.number, after, found.size_bytes, None)
            return
        yield _result(run, found, retry(lambda: run_files.survey(folder, lambda attempt: False)))

    return _for_each(study, name, runs, one_run, dry_run, advance, failed=Incomplete)


def _why_kept(archive: Path, kept: Counter[str], restored: int | None) -> str:
    """Which files stay in an archive that was unpacked, and what to do; `restored` is None before it is unpacked."""
    first, more = sorted(kept)[:_SHOWN], len(kept) - _SHOWN
    names = ", ".join(first) + (f" and {more:,} more" if more > 0 else "")
    files = f"{count(kept.total(), 'file')} of attempts whose folders are gone ({names})"
    if restored is None:
        return f"{files} would stay in {archive}. To restore these too, put the folders back from a backup first."
    number = f"{count(restored, 'file')} {'was' if restored == 1 else 'were'}" if restored else "No file was"
    return (
        f"{number} restored. {files} {'stays' if kept.total() == 1 else 'stay'} in {archive}. To restore these too, "
        "put the folders back from a backup and repeat the command. If you do not need them, delete the archive "
        "before the next `neurofit pack`: nothing else in it is needed."
    )


def _result(run: int, before: run_files.RunFiles, after: run_files.RunFiles) -> RunResult:
    return RunResult(run, before.number, after.number, before.size_bytes, after.size_bytes)


def _for_each(
    study: Study,
    name: str,
    runs: Sequence[int],
    one_run: Callable[[Path, int, dict[int, Refusal]], Iterator[_Said]],
    dry_run: bool,
    advance: Callable[[int], None],
    failed: type[Refusal] = Refusal,
) -> Report:
    """Do something for each run, under the lock unless nothing is changed; an error makes it a `failed` one."""
    report, done = Report(name), 0

    def said(status: ExperimentStatus, unsettled: dict[int, Refusal], run: int) -> tuple[list[_Said], bool]:
        entry, found = status.registry.runs.get(run), list[_Said]()
        try:
            if entry is None:
                raise StoreError(f"{status.files.registry}: its entry is damaged, so it is not known.")
            found.extend(one_run(status.files.run(run, entry.id), run, unsettled))
        except (StoreError, OSError) as error:
            kind = NotDeleted if isinstance(error, packing.NotDeleted) else failed
            return [*found, kind(run, _sentence(error), is_error=True)], _ends_all(error)
        return found, False

    looks = contextlib.closing(_looks(study, name, lambda: done < len(runs), dry_run))
    # the pool ends before the lock is given up
    with looks as statuses, ThreadPoolExecutor(AT_ONCE) as pool:
        for status, until in statuses:
            unsettled, first = _unsettled(status), done
            while done < len(runs) and (dry_run or done == first or time.monotonic() < until):
                batch = runs[done : done + BATCH]
                answers = list(pool.map(partial(said, status, unsettled), batch))
                done += len(batch)
                for one in (one for found, _ in answers for one in found):
                    report.add(one)
                advance(done)
                if any(ends_all for _, ends_all in answers):
                    report.ended = f"{len(runs) - done:,} further run(s) were not looked at."
                    return report
    return report


def _looks(
    study: Study, name: str, goes_on: Callable[[], bool], dry_run: bool
) -> Generator[tuple[ExperimentStatus, float], None, None]:
    """The status, read under the lock, and until when the lock may be held."""
    if dry_run:
        yield read_status(study, name), 0.0
        return
    storage.require(study)
    while goes_on():
        with locked(ExperimentFiles(study, name).lock):
            began = time.monotonic()
            status = read_status(study, name)
            least, most = HELD_SECONDS
            now = time.monotonic()
            yield status, now + min(max(least, _READS * (now - began)), most)
        time.sleep(_GIVEN_UP_SECONDS if goes_on() else 0.0)


def _unsettled(status: ExperimentStatus) -> dict[int, Refusal]:
    """Run → why it cannot be packed now."""
    found: dict[int, Refusal] = {}
    for run, repetition in status.all_keys():
        why = UNSETTLED.get(status.of((run, repetition)).state)
        if why is not None and run not in found:
            found[run] = Refusal(run, why, repetition)
    return found


def _has_ended(attempt: Path) -> bool:
    """Whether the attempt has an outcome of its own. A worker that another one took over from may only be slow."""
    try:
        return read_record(AttemptFiles(attempt).outcome, Outcome).state != "abandoned"
    except (FileNotFoundError, StoreError):
        return False


def _sentence(error: NeurofitError | OSError) -> str:
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}." if error.filename else f"{error}."
    return str(error)


def _ends_all(error: BaseException) -> bool:
    cause = error.__cause__ if isinstance(error, NeurofitError) else error
    return isinstance(cause, StorageUnavailable) or (isinstance(cause, OSError) and cause.errno in _ENDS_ALL)
