"""Whether `training_data/` is the storage that this study's results are on, or an empty mount point in its
place.

    study/.neurofit/storage.json           which one it is: {"id", "place", "host", "user"}; git never sees it
    study/training_data/.storage.json      the same id, on the storage itself

Both are written by the first submit (of a study of 0.1.0: by the next). A fresh clone has neither, and starts
normally; a study whose folder cannot be written has only the inner one, and no such protection.
"""

from __future__ import annotations

import contextlib
import os
import secrets
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
    """Why what is at `training_data` is not the study's storage, in words that say what to do; None where it
    is, or nothing is known of one.
    """
    place = study.training_data
    if os.path.islink(place) and not os.path.lexists(os.path.realpath(place)):
        return _explained(study, f"it is a link that leads nowhere ({os.readlink(place)})", _beside(study))
    expected = _beside(study)
    if expected is None:
        return None
    try:
        found = read_record(_inside(study), StorageMarker).id
    except FileNotFoundError:
        what = f"it has no {MARKER}" if place.is_dir() else "there is no such folder"
        return _explained(study, what, expected)
    except (OSError, StoreError):
        return None  # it is there, and something else will say what is wrong with it
    return None if found == expected.id else _explained(study, "another one is in its place", expected)


def require(study: Study) -> None:
    """Raises StudyError where the study's storage is gone: everything would look new."""
    if reason := gone(study):
        raise StudyError(reason)


def mark(study: Study) -> None:
    """Before anything is submitted: the storage and the study come to know each other.

    Raises
    ------
    StudyError : the study knows another storage than what is there
    StoreError : the storage cannot be written
    """
    require(study)
    if _beside(study) is None:
        _note(study, _id_inside(study))


def renew(study: Study) -> str:
    """From now on, what is at `training_data` is the study's storage; gives its id.

    Made where there is nothing.
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
        marker = StorageMarker(id=secrets.token_hex(8))
        write_new(path, to_json({"format": marker.format, "id": marker.id}) + "\n")
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
    with contextlib.suppress(OSError):  # a study that cannot be written, or is another user's
        folder.mkdir(exist_ok=True)
        write_new(folder / ".gitignore", "*\n", durable=False)
        write_whole(folder / MARKER[1:], to_json(record.as_object()) + "\n")


def _explained(study: Study, what: str, expected: StorageMarker | None) -> str:
    where = ""
    if expected and expected.place and expected.host:
        where = f" It was at {expected.place} when {expected.user} first used it on {expected.host}."
    return (
        f"{study.training_data} is not the storage that the results of this study are on: {what}.{where} "
        "Mount it, "
        "then repeat the command. If it was deleted or replaced on purpose, say so once: "
        f"neurofit init --new-storage {shlex.quote(str(study.root))}"
    )
