"""Features of networks on disk: one folder per layer, named after the layer's key, under `training_data/.features/`.

training_data/.features/
└── 3f9a1c2e5b6d7081…/
    ├── features.npy        (image, unit), float32, C order
    ├── features.json       the record below, written last: without it the features are not complete
    ├── blocks-0002.jsonl   {"stop": 64, "digest": "…"} per batch that claim 2 wrote or verified
    ├── used                touched whenever the features are opened
    └── claim-0001/         claim.json heartbeat ended.json, see `work_claims.py`

They are under `training_data/` because neurofit writes them: `data/` holds what was received. All writing in a
folder is done by the process that holds its claim.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurofit.errors import NameUnknown, StoreError
from neurofit.files import explain_os_errors, partial_path, read_file
from neurofit.store import inputs, storage
from neurofit.store.journal import now_on
from neurofit.store.work_claims import HeldClaim, Holder, claim, claims, holder
from neurofit.structure import Record, read_record, structured_lines
from neurofit.study import Study
from neurofit.transient import retry

FOLDER = ".features"


class FeatureRecord(Record, frozen=True, kw_only=True):
    """What a file of features is: `features.json`."""

    what = "a record of features"

    format: int = 1
    key: str
    network: str
    weights: str
    layer: str
    shape: list[int]  # (image, unit)
    unit_shape: list[int]  # of the layer's output for one image, such as (height, width, channel)
    checksum: str  # of the whole file, as `inputs.digest` computes it
    images: dict[str, Any]  # name, hash, shape
    preprocessing: dict[str, Any]
    origin: dict[str, Any]  # "by": "extract" or "register"; host, user, made, seconds, versions, …


class BlockLine(Record, frozen=True, kw_only=True):
    """A batch that was written: a line of `blocks-NNNN.jsonl`."""

    what = "a batch of features"

    stop: int  # the image after its last one; it starts where the previous batch stops
    digest: str


@dataclass(frozen=True)
class FeatureFiles:
    """The files of one layer's features."""

    folder: Path

    @property
    def key(self) -> str:
        return self.folder.name

    @property
    def values(self) -> Path:
        return self.folder / "features.npy"

    @property
    def record(self) -> Path:
        return self.folder / "features.json"

    @property
    def used(self) -> Path:
        return self.folder / "used"

    def blocks(self, claim_number: int) -> Path:
        return self.folder / f"blocks-{claim_number:04d}.jsonl"


@dataclass(frozen=True)
class Listed:
    """One layer's features as they are on disk."""

    files: FeatureFiles
    record: FeatureRecord | None  # None: not complete, or damaged
    size_bytes: int
    age_seconds: float  # since the last change
    unused_seconds: float  # since they were opened or changed
    holder: Holder | None  # who is computing them now
    problem: str | None = None

    @property
    def is_registered(self) -> bool:
        """Whether they come from a file that neurofit cannot make again."""
        return self.record is not None and self.record.origin.get("by") == "register"


def feature_folder(study: Study) -> Path:
    """Where a study's features are; created if training_data/ is this study's storage."""
    storage.require(study)
    folder = study.training_data / FOLDER
    with explain_os_errors(folder, "create this folder"):
        for one in (study.training_data, folder):  # no parents=True: see `attempts`
            retry(lambda one=one: one.mkdir(exist_ok=True))  # type: ignore[misc]
    return folder


def files_of(study: Study, key: str) -> FeatureFiles:
    """The files of the features with this key, which need not exist."""
    return FeatureFiles(study.training_data / FOLDER / key)


def read_feature_record(files: FeatureFiles) -> FeatureRecord | None:
    """The record of complete features, or None.

    Raises
    ------
    StoreError
        If the record is damaged.
    """
    try:
        return read_record(files.record, FeatureRecord)
    except FileNotFoundError:
        return None


def fault_of(files: FeatureFiles, record: FeatureRecord) -> str | None:
    """What is wrong with a file of features, or None.

    The whole file is read when it is first used on a host, and again whenever its size, mtime or inode has
    changed: a file that was cut, or written by two processes, is found before any number of it is used.
    """
    try:
        found = retry(lambda: inputs.digest(files.values))
    except FileNotFoundError:
        return "the file is missing"
    return None if found == record.checksum else f"its checksum is {found}, expected {record.checksum}"


def mark_used(files: FeatureFiles) -> None:
    """Note that features were opened, which protects them from `neurofit clean` for an hour."""
    with contextlib.suppress(OSError):  # of another user, or on a storage that is read-only
        files.used.touch()


def blocks_written(files: FeatureFiles) -> list[BlockLine]:
    """The batches that the last claimant with a list of them wrote, in order."""
    for made in reversed(claims(files.folder)):
        with contextlib.suppress(FileNotFoundError):
            lines, _ = structured_lines(read_file(files.blocks(HeldClaim(made).number)), BlockLine)
            if lines:
                return lines
    return []


def listed(study: Study) -> list[Listed]:
    """All features of a study, complete or not, the newest first."""
    folder = study.training_data / FOLDER
    try:
        found = [
            path for path in retry(lambda: list(folder.iterdir())) if path.name[0] != "." and path.is_dir()
        ]
    except (FileNotFoundError, NotADirectoryError):
        return []
    now = now_on(folder)
    return sorted((_listed(FeatureFiles(path), now) for path in found), key=lambda one: one.age_seconds)


def _listed(files: FeatureFiles, now: float) -> Listed:
    problem, record = None, None
    try:
        record = read_feature_record(files)
    except (OSError, StoreError) as error:
        problem = str(error)
    changed = max(_changed(files.values), _changed(files.record), _changed(files.folder))
    size = files.values.stat().st_size if files.values.exists() else 0
    if record is not None and problem is None and not size:
        problem = f"{files.values}: the file is missing."
    return Listed(
        files=files,
        record=record,
        size_bytes=size,
        age_seconds=max(0.0, now - (_changed(files.values) or changed)),
        unused_seconds=max(0.0, now - max(changed, _changed(files.used))),
        holder=holder(files.folder),
        problem=problem,
    )


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def by_key(study: Study, start: str) -> FeatureFiles:
    """The features whose key starts with these digits.

    Raises
    ------
    NameUnknown
        If there are none, or several.
    """
    keys = [one.files for one in listed(study) if one.files.key.startswith(start)]
    if len(keys) != 1:
        found = "No features have" if not keys else f"{len(keys)} features have"
        raise NameUnknown(
            f"{found} a key that starts with '{start}'. `neurofit data features` lists the keys of this study."
        )
    return keys[0]


def remove(files: FeatureFiles) -> bool:
    """Remove features; False if a process is computing them now, or they are gone already."""
    try:
        held = claim(files.folder)
    except FileNotFoundError:
        return False
    if isinstance(held, Holder):
        return False
    away = partial_path(files.folder)
    with explain_os_errors(files.folder, "remove it"):
        retry(lambda: files.folder.rename(away))  # in one step, so that no process reads half a folder
        shutil.rmtree(away)
    return True


def try_claim(files: FeatureFiles) -> HeldClaim | Holder:
    """Claim the writing of features, whose folder is created, or say who is writing them."""
    for _ in range(100):  # `clean` may remove the folder in between
        with explain_os_errors(files.folder, "create this folder"):
            retry(lambda: files.folder.mkdir(exist_ok=True))
        with contextlib.suppress(FileNotFoundError):
            return claim(files.folder)
    raise StoreError(f"{files.folder}: another process removes this folder again and again.")
