"""How many files and folders a submit will make, and whether the file system has room for them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from neurofit import packed
from neurofit.errors import StoreError
from neurofit.status.experiment_status import ExperimentStatus
from neurofit.store.state import State
from neurofit.store.submissions import Planned
from neurofit.text import command

MANY = 10_000  # from which a plan says how many
_OF_ATTEMPT = 4  # its folder, claim.json, outcome.json, stdout.log
_OF_SUBMISSION = 10
_LOOKED_AT = 3  # attempts of earlier tasks
_SHARE = 0.5  # of what is free, from which a plan warns


def estimate(status: ExperimentStatus, tasks: Sequence[Planned], jobs: int) -> int:
    """About how many files and folders these tasks will make: of submission, jobs, runs, tasks and attempts.

    What a fit saves is known once one of its tasks is done. Checkpoints are not counted, since most are removed.
    """
    if not tasks:
        return 0
    new_runs = {task.run for task in tasks if not task.last_attempt} - {run for run, _ in status.tasks}
    new_tasks = sum(not task.last_attempt for task in tasks)
    return _OF_SUBMISSION + jobs + len(new_runs) + new_tasks + len(tasks) * _of_attempt(status)


def _of_attempt(status: ExperimentStatus) -> int:
    """Files and folders of an attempt: as many as some attempts that are done have."""
    most, left = _OF_ATTEMPT, _LOOKED_AT
    for (number, repetition), task in reversed(status.tasks.items()):
        run = status.registry.runs.get(number)
        if task.state is State.DONE and run is not None and left:
            folder = status.files.task(number, run.id, repetition).attempt(task.attempt).folder
            most = max(most, 1 + len(_names(folder)))
            left -= 1
        if not left:
            break
    return most


def _names(attempt: Path) -> set[str]:
    """Files and folders of an attempt, also those that were packed."""
    inside = (
        os.path.join(above, name) for above, folders, files in os.walk(attempt) for name in folders + files
    )
    names = {os.path.relpath(path, attempt) for path in inside}
    if (place := packed.place_of(attempt)) is not None:
        with contextlib.suppress(StoreError, OSError), packed.archive_at(place[0]) as archive:
            members = archive.below(place[1]) if archive is not None else []
            names |= {os.path.relpath(member.name, place[1]) for member in members}
    return names


def free(folder: Path) -> int | None:
    """How many files and folders the file system of a folder has room for; None if it does not say."""
    for place in (folder, *folder.parents):
        try:
            found = os.statvfs(place)
        except FileNotFoundError:
            continue
        except OSError:
            return None
        return int(found.f_favail) if found.f_files and found.f_favail else None
    return None


def sentence(files: int) -> str | None:
    """'About 520,000 files and folders.', if they are many."""
    return f"About {rounded(files):,} files and folders." if files >= MANY else None


def rounded(number: int) -> int:
    """The number with two digits."""
    unit: int = 10 ** max(0, len(str(number)) - 2)
    return round(number / unit) * unit


def warning(name: str, folder: Path, files: int, room: int | None) -> str | None:
    """A sentence if there is little room for that many files and folders; `room` is None if it is not known."""
    if room is None or files <= _SHARE * room:
        return None
    return (
        f"{name} will make about {rounded(files):,} files and folders, and the file system of {folder} has room for "
        f"{room:,}. `{command('pack', name)}` puts the files of finished runs into one archive per run; or submit "
        "fewer runs at a time."
    )
