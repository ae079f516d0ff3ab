"""Files that no result needs: find them, and remove them on request.

Experiments with tasks that are queued or running are never touched.

What cannot be read may need anything: a folder or a link that leads nowhere forbids to remove what lies
behind it, and the copies of code that it may name. Ages protect what another process may be writing: a submit
takes its copy of the code before its submission names it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from neurofit.errors import NeurofitError, StoreError
from neurofit.files import explain_os_errors
from neurofit.overlap import FEW, SLOW_SECONDS, overlapped
from neurofit.status.experiment_status import ExperimentStatus, read_status
from neurofit.store import features as feature_store, index
from neurofit.store.journal import now_on
from neurofit.store.layout import (
    AttemptFiles,
    ExperimentFiles,
    SubmissionFiles,
    TaskFiles,
    code_store,
    discover_experiments,
)
from neurofit.store.lock import locked
from neurofit.store.records import CheckpointRecord, Outcome
from neurofit.store.state import ACTIVE, State
from neurofit.store.submissions import TaskKey, read_submission
from neurofit.structure import read_record
from neurofit.study import Study

LEFTOVERS, CHECKPOINTS, CODE, INDEX, ATTEMPTS, SCRATCH, FEATURES, REGISTERED = (
    "leftovers of interrupted writes",
    "checkpoints of tasks that are done",
    "copies of code that no submission uses",
    "indices of experiments that are gone",
    "attempts that a newer one replaced",
    "scratch attempts at tasks that are done",
    "features of networks",
    "features that were registered",
)
YOUNG_SECONDS = 3600.0
_SLOW_TASK = 10 * SLOW_SECONDS  # for reading all records of a task
_LEFTOVER = re.compile(r"\..*\.partial$|\.now-\d+$")


@dataclass(frozen=True)
class Waste:
    """Files and folders of one kind that can be removed."""

    kind: str
    experiment: str | None  # None: shared by all
    paths: list[Path]
    size_bytes: int


@dataclass(frozen=True)
class Survey:
    """What can be removed, and why some experiments were skipped."""

    waste: list[Waste]
    left_alone: list[str]


def survey(study: Study, *, attempts: bool = False, features: bool = False) -> Survey:
    """Everything that can be removed.

    Parameters
    ----------
    study : Study
    attempts : bool, optional
        Also attempts that a newer one replaced.
    features : bool, optional
        Also features of networks, unless a task may use them.

    Returns
    -------
    Survey
    """
    waste: list[Waste] = []
    left_alone: list[str] = []
    for name in discover_experiments(study).names:
        try:
            status = read_status(study, name)
            if busy := _busy(status):
                left_alone.append(busy)
            else:
                waste += list(_of_experiment(status, attempts))
        except (NeurofitError, OSError) as error:
            left_alone.append(f"{name} was skipped: {error}")
    unused = _unused_code(study, left_alone)
    waste += _waste(CODE, None, unused)
    if features:
        waste += _features(study, left_alone)
    features_folder = study.training_data / feature_store.FOLDER
    waste += _waste(LEFTOVERS, None, _old(_leftovers(features_folder), features_folder))
    waste += _waste(LEFTOVERS, None, _old(_leftovers(code_store(study)), code_store(study)))
    waste += _waste(INDEX, None, index.orphans(index.cache_folder()))
    return Survey(waste, left_alone)


def remove(study: Study, waste: Iterable[Waste]) -> int:
    """Remove what was found, unless it is in use now. Returns the number of files and folders removed."""
    removed = 0
    for one in waste:
        if one.experiment is None:
            again = survey(study, features=one.kind in (FEATURES, REGISTERED)).waste
            known = {path for other in again if other.kind == one.kind for path in other.paths}
            still = [path for path in one.paths if path in known]
            if one.kind in (FEATURES, REGISTERED):
                removed += sum(feature_store.remove(feature_store.FeatureFiles(path)) for path in still)
            else:
                removed += _delete(still)
            continue
        with locked(ExperimentFiles(study, one.experiment).lock):
            if _busy(read_status(study, one.experiment)) is None:
                removed += _delete(one.paths)
    return removed


def _features(study: Study, left_alone: list[str]) -> Iterator[Waste]:
    """Features of networks; none if a task may use some.

    Nothing says before a task runs which features it will open, so a single queued or running task of the study
    protects all of them, and so does an experiment that cannot be read. An hour without use protects those
    that a process outside of any submission has opened.
    """
    found = feature_store.listed(study)
    if not found:
        return
    if left_alone:
        left_alone.append(f"Features were kept, because a task may use them: {left_alone[0]}")
        return
    idle = [one for one in found if one.holder is None and one.unused_seconds > YOUNG_SECONDS]
    if len(idle) < len(found):
        left_alone.append(
            f"{len(found) - len(idle)} layer(s) of features were kept: they were used within the last hour, or are "
            "being computed."
        )
    for kind, registered in ((FEATURES, False), (REGISTERED, True)):
        chosen = [one for one in idle if one.is_registered is registered]
        yield from _waste(kind, None, [one.files.folder for one in chosen])


def _delete(paths: Iterable[Path]) -> int:
    number = 0
    for path in paths:
        with explain_os_errors(path, "remove it"), contextlib.suppress(FileNotFoundError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
            number += 1
    return number


def _busy(status: ExperimentStatus) -> str | None:
    """Why an experiment is skipped; None if it is not."""
    counts = status.counts()
    if any(counts[state] for state in ACTIVE):
        queued, running = counts[State.QUEUED], counts[State.RUNNING]
        return f"{status.name} was skipped: it has {queued} queued and {running} running task(s)."
    if status.unanswered or status.problems:
        return f"{status.name} was skipped: {(status.unanswered + status.problems)[0]}"
    return None


def _of_experiment(status: ExperimentStatus, attempts: bool) -> Iterator[Waste]:
    folder, name = status.files.folder, status.name
    tasks = {
        key: status.files.task(run.number, run.id, key[1])
        for key in status.tasks
        if (run := status.registry.runs.get(key[0]))
    }
    found = _look_into({str(files.folder) for files in tasks.values()}, folder, status.repetitions)
    yield from _waste(LEFTOVERS, name, _old(found.leftovers, folder))
    done = [
        files.checkpoints
        for key, files in tasks.items()
        if status.of(key).state is State.DONE and str(files.folder) not in found.plain
    ]
    there = [path for path, is_there in zip(done, overlapped(Path.is_dir, done)) if is_there]
    yield from _waste(CHECKPOINTS, name, there)
    if attempts:
        yield from _waste(ATTEMPTS, name, _replaced(status, tasks, found.plain))
        yield from _waste(SCRATCH, name, _scratch(status.files.scratch))


class _Found(NamedTuple):
    """What one walk through the folder of an experiment has found."""

    leftovers: list[Path]
    plain: set[str]  # folders of tasks with a single attempt and no checkpoint: nothing in them is replaced


def _look_into(tasks: set[str], folder: Path, repetitions: int) -> _Found:
    """Walk through an experiment once, in the order of `os.walk`. What the walk does not see, because of a link or an
    error, is not plain.
    """
    found = _Found([], set())
    runs = str(folder / "runs")
    slow = 2 * SLOW_SECONDS * (1 + 2 * repetitions)  # two answers for a folder; two folders for a task
    for above, folders, files in os.walk(folder):
        _note(found, tasks, above, folders, files)
        if above == runs:
            inner = [os.path.join(above, name) for name in folders]
            folders.clear()
            for of_run in overlapped(partial(_look_below, tasks), inner, slow=slow):
                found.leftovers.extend(of_run.leftovers)
                found.plain.update(of_run.plain)
    return found


def _look_below(tasks: set[str], folder: str) -> _Found:
    """Walk through a folder that another walk has found."""
    found = _Found([], set())
    if not os.path.islink(folder):
        for above, folders, files in os.walk(folder):
            _note(found, tasks, above, folders, files)
    return found


def _note(found: _Found, tasks: set[str], above: str, folders: list[str], files: list[str]) -> None:
    """Add what a walk has found in a folder, and keep it out of leftovers."""
    if above in tasks and _is_plain([*folders, *files]):
        found.plain.add(above)
    found.leftovers.extend(Path(above, name) for name in (*folders, *files) if _is_leftover(name))
    folders[:] = [name for name in folders if not _is_leftover(name)]


def _is_plain(names: list[str]) -> bool:
    kinds = [name.partition("-")[0] for name in names]
    return kinds.count("attempt") <= 1 and kinds.count("persistent") <= 1 and "checkpoint" not in kinds


def _is_leftover(name: str) -> bool:
    return name.startswith(".") and _LEFTOVER.fullmatch(name) is not None


def _waste(kind: str, experiment: str | None, paths: list[Path]) -> Iterator[Waste]:
    if paths:
        yield Waste(kind, experiment, paths, sum(overlapped(_size, paths, slow=_SLOW_TASK)))


def _size(path: Path) -> int:
    size = 0
    with contextlib.suppress(OSError):
        size = path.lstat().st_size
    for folder, _, files in os.walk(path):
        for name in files:
            with contextlib.suppress(OSError):
                size += os.lstat(os.path.join(folder, name)).st_size
    return size


def _leftovers(folder: Path) -> Iterator[Path]:
    """Those in the folder itself."""
    for above, folders, files in os.walk(folder):
        yield from (Path(above, name) for name in (*folders, *files) if _is_leftover(name))
        folders.clear()


def _old(paths: Iterable[Path], folder: Path) -> list[Path]:
    paths = list(paths)
    now = now_on(folder) if paths else 0.0
    return [path for path in paths if now - path.lstat().st_mtime > YOUNG_SECONDS]


def _unused_code(study: Study, left_alone: list[str]) -> list[Path]:
    """Copies that no submission names; none if there may be a submission that cannot be read."""
    discovered = discover_experiments(study)
    problems, used = list(discovered.unseen), set()
    for name in discovered.names:
        try:
            submissions = _all_submissions(ExperimentFiles(study, name))
        except OSError as error:
            problems.append(f"{error.filename}: {error.strerror}.")
            continue
        for submission in submissions:
            try:
                used.add(read_submission(submission).code)
            except (NeurofitError, OSError) as error:
                problems.append(str(error))
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        left_alone.append(f"Copies of code were kept, because a submission may need one: {problems[0]}{more}")
        return []
    try:
        copies = [path for path in code_store(study).iterdir() if not path.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        left_alone.append(f"Copies of code were kept: {error}")
        return []
    return _old([path for path in copies if path.name not in used], code_store(study))


def _all_submissions(files: ExperimentFiles) -> list[SubmissionFiles]:
    """Also those that were renamed. Raises OSError where there may be some that cannot be seen."""
    if os.path.lexists(files.submissions_folder):
        os.listdir(files.submissions_folder)  # a link that leads nowhere is an error here
    return files.submissions() + [SubmissionFiles(folder) for folder in files.misnamed()]


def _scratch(folder: Path) -> list[Path]:
    """Scratch attempts in which nothing was written of late: one at work touches its journal."""
    made = [path for path in folder.iterdir() if path.name[0] != "."] if folder.is_dir() else []
    now = now_on(folder) if made else 0.0
    newest = {path: max(one.lstat().st_mtime for one in (path, *path.rglob("*"))) for path in made}
    return [path for path in made if now - newest[path] > YOUNG_SECONDS]


def _replaced(status: ExperimentStatus, tasks: dict[TaskKey, TaskFiles], plain: set[str]) -> list[Path]:
    """Ended attempts but for the newest, the newest that is done, the one that counts, those that a
    checkpoint goes on from, and those that hold the log of one that stays; and the folders that only such
    attempts shared.
    """
    kept, old, shared = set(), [], []
    # the only attempt of the others is their newest
    several = {key: files for key, files in tasks.items() if str(files.folder) not in plain}
    found = overlapped(_attempts_of, list(several.values()), FEW, slow=_SLOW_TASK)
    for (key, files), (made, outcomes, checkpointed, persistent) in zip(several.items(), found):
        left = set()
        stays = {made[-1].number} if made else set()
        stays |= set([number for number, ended in outcomes.items() if ended and ended.state == "done"][-1:])
        stays |= {counted.attempt} if (counted := status.of(key).counted) else set()
        stays |= {one.number for one in made} if checkpointed is None else checkpointed
        for one in made:
            outcome = outcomes[one.number]
            if one.number in stays or outcome is None:
                left.add(one.number)
                kept |= {one.folder, _log_folder(status, outcome)}
            else:
                old.append(one.folder)
        for first, after in itertools.pairwise(persistent):
            if left.isdisjoint(range(first, after)):
                shared.append(files.persistent(first))
    if old:
        of_plain = [files for files in tasks.values() if str(files.folder) in plain]
        for folders in overlapped(partial(_log_folders, status), of_plain, slow=_SLOW_TASK):
            kept |= folders
    return [folder for folder in old if folder not in kept] + shared


class _Attempts(NamedTuple):
    """What the files of a task say about its attempts."""

    made: list[AttemptFiles]
    outcomes: dict[int, Outcome | None]  # by attempt
    checkpointed: set[int] | None  # see `_checkpointed`
    persistent: list[int]  # see `TaskFiles.persistent_numbers`


def _attempts_of(files: TaskFiles) -> _Attempts:
    made = files.attempts()
    outcomes = {one.number: _outcome(one) for one in made}
    return _Attempts(made, outcomes, _checkpointed(files), files.persistent_numbers())


def _log_folders(status: ExperimentStatus, files: TaskFiles) -> set[Path]:
    """The attempts that hold the logs of a task's attempts."""
    return {_log_folder(status, _outcome(one)) for one in files.attempts()}


def _log_folder(status: ExperimentStatus, outcome: Outcome | None) -> Path:
    """The attempt that holds the log of an attempt."""
    return status.files.folder / ((outcome.log if outcome else None) or ".")


def _outcome(attempt: AttemptFiles) -> Outcome | None:
    try:
        return read_record(attempt.outcome, Outcome)
    except (OSError, StoreError):
        return None


def _checkpointed(files: TaskFiles) -> set[int] | None:
    """Attempts that a checkpoint goes on from; None where that cannot be read."""
    found = set()
    for name in os.listdir(files.checkpoints) if os.path.lexists(files.checkpoints) else []:
        try:
            found.add(read_record(files.checkpoints / name / "checkpoint.json", CheckpointRecord).attempt)
        except (FileNotFoundError, NotADirectoryError):
            continue  # one that is being written
        except (OSError, StoreError):
            return None
    return found
