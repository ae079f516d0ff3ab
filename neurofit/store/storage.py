"""Check that `training_data/` is the storage with this study's results, not an empty mount point in its place.

    study/.neurofit/storage.json           the storage of the study: {"id", "place", "host", "user"}; ignored by git
    study/training_data/.storage.json      the same id, on the storage itself

The first submit writes both (in a study made with 0.1.0: the next submit). A fresh clone has neither and
starts normally. A study whose folder is not writable has only the second file, and no such protection.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from pathlib import Path

from neurofit.errors import StoreError, StudyError
from neurofit.files import explain_os_errors, to_json, write_new, write_whole
from neurofit.process import who
from neurofit.store.records import StorageMarker
from neurofit.structure import read_record
from neurofit.study import Study

MARKER = ".storage.json"
BESIDE = ".neurofit"


def gone(study: Study) -> str | None:
    """Check the identity of the storage at `training_data`.

    Returns
    -------
    str or None
        Why it is not the study's storage, and what to do; None if it is, or if the study knows no storage.
    """
    place = study.training_data
    if os.path.islink(place) and not os.path.lexists(os.path.realpath(place)):
        return _explained(study, f"it is a broken link to '{os.readlink(place)}'", _beside(study))
    expected = _beside(study)
    if expected is None:
        return None
    try:
        found = read_record(_inside(study), StorageMarker).id
    except FileNotFoundError:
        what = f"it has no {MARKER}" if place.is_dir() else "the folder does not exist"
        return _explained(study, what, expected)
    except (OSError, StoreError):
        return None  # it exists; another check reports what is wrong with it
    return None if found == expected.id else _explained(study, "another storage is in its place", expected)


def require(study: Study) -> None:
    """Stop if the study's storage is unavailable, because every task would then appear to be new.

    Raises
    ------
    StudyError
        If the storage at `training_data` is not the study's.
    """
    if reason := gone(study):
        raise StudyError(reason)


def mark(study: Study) -> None:
    """Link the study and its storage by a common id, before anything is submitted.

    Raises
    ------
    StudyError
        If the study is linked to another storage than the present one.
    StoreError
        If the storage cannot be written.
    """
    require(study)
    if _beside(study) is None:
        _note(study, _id_inside(study))


def renew(study: Study) -> str:
    """Make the present `training_data` the study's storage. It is created if it does not exist.

    Returns
    -------
    str
        The id of the storage.
    """
    found = _id_inside(study)
    (study.root / BESIDE / MARKER[1:]).unlink(missing_ok=True)
    _note(study, found)
    return found


def _inside(study: Study) -> Path:
    return study.training_data / MARKER


def _id_inside(study: Study) -> str:
    path = _inside(study)
    with explain_os_errors(path, "mark the storage"):
        study.training_data.mkdir(parents=True, exist_ok=True)
        marker = StorageMarker(id=os.urandom(8).hex())
        write_new(path, to_json(marker.inside()) + "\n")
        try:
            return read_record(path, StorageMarker, late=True).id
        except StoreError as error:
            raise StoreError(f"{error} Delete it, then repeat the command.") from error


def _beside(study: Study) -> StorageMarker | None:
    try:
        return read_record(study.root / BESIDE / MARKER[1:], StorageMarker)
    except (OSError, StoreError):
        return None


def _note(study: Study, storage: str) -> None:
    folder = study.root / BESIDE
    place, writer = os.path.realpath(study.training_data), who()
    record = StorageMarker(id=storage, place=place, host=writer["host"], user=writer["user"])
    with contextlib.suppress(OSError):  # the study is not writable, or belongs to another user
        folder.mkdir(exist_ok=True)
        write_new(folder / ".gitignore", "*\n", durable=False)
        write_whole(folder / MARKER[1:], to_json(record.as_object()) + "\n")


def _explained(study: Study, what: str, expected: StorageMarker | None) -> str:
    where = ""
    if expected and expected.place and expected.host:
        where = f" It was at {expected.place} when {expected.user} first used it on {expected.host}."
    return (
        f"{study.training_data} is not the storage with the results of this study: {what}.{where} Mount the "
        "storage, then repeat the command. If it was deleted or replaced on purpose, confirm that once with: "
        f"neurofit init --new-storage {shlex.quote(str(study.root))}"
    )
