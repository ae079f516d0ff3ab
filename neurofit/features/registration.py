"""Features that another program extracted, such as torchvision or timm: copied into the store, with their origin."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from neurofit.datasets.image_sources import ImageSource, in_hdf5, in_npy
from neurofit.datasets.stimulus_set import StimulusSet
from neurofit.errors import DataError, ShapeError, StoreError
from neurofit.features import keys
from neurofit.features.extraction import images_of, made_now
from neurofit.features.matrix import Features, features_at
from neurofit.features.writing import FeatureWriter
from neurofit.store import inputs
from neurofit.store.features import (
    FeatureFiles,
    FeatureRecord,
    fault_of,
    feature_folder,
    mark_used,
    read_feature_record,
    try_claim,
)
from neurofit.store.work_claims import HeldClaim, Holder, heartbeat
from neurofit.study import Study, find

_ROWS = 64


def register(
    path: str | Path,
    images: StimulusSet,
    *,
    ids: Sequence[Any],
    network: str,
    layer: str,
    origin: str,
    key: str | None = None,
    study: Study | Path | None = None,
) -> Features:
    """Copy features that were extracted elsewhere into the study's store.

    Parameters
    ----------
    path : path
        A `.npy` file, or an HDF5 file with `key`. Its first axis is the image; the others are units, in C order.
    images : StimulusSet
        The images that the features are of.
    ids : sequence
        The id of each row's image. The rows are stored in the order of `images.ids`.
    network, layer : str
        Names for lists and figures, such as "torchvision resnet50" and "layer3".
    origin : str
        How they were made: the program, its version, the weights, the preprocessing.
    key : str, optional
        The array in an HDF5 file.
    study : Study or path, optional
        Default: the study of the current folder.

    Returns
    -------
    Features

    Raises
    ------
    DataError, ShapeError
        If the file cannot be read, or its images are not these.
    """
    if not origin.strip():
        raise DataError(
            "features.register: origin is empty. Say which program and weights made the features."
        )
    where = study if isinstance(study, Study) else find(Path.cwd()) if study is None else Study(Path(study))
    path = Path(path)
    source = _source(path, key)
    rows = _order(path, list(ids), images, source.shape[0])
    images_digest, file_digest = images.hash(), inputs.digest(path)
    facts = {
        "registered": file_digest,
        "array": key,
        "rows": [int(row) for row in rows],
        "images": images_digest,
        "network": network,
        "layer": layer,
    }
    files = FeatureFiles(feature_folder(where) / keys.key_of(facts))
    unit_shape = [int(one) for one in source.shape[1:]]
    shape = len(rows), int(np.prod(unit_shape))
    made = partial(
        FeatureRecord,
        key=files.key,
        network=network,
        weights="registered",
        layer=layer,
        shape=list(shape),
        unit_shape=unit_shape,
        images=images_of(images, images_digest),
        preprocessing={},
        origin={
            "by": "register",
            "how": origin,
            "path": str(path.resolve()),
            "array": key,
            "digest": file_digest,
            "reordered": bool((rows != np.arange(len(rows))).any()),
            **made_now(),
        },
    )
    with _held(files) as held:
        there = _read(files)
        if there is None:
            writer = FeatureWriter(files, held, layer, shape)
            with heartbeat([held]), contextlib.closing(writer):
                for start in range(0, len(rows), _ROWS):
                    writer.write(start, _rows(source, rows[start : start + _ROWS]))
                writer.finish(lambda checksum: made(checksum=checksum))
            there = _read(files)
        if there is None:
            raise StoreError(f"{files.folder}: the features were not stored. Register them again.")
        mark_used(files)
        return features_at(files.values, there)


@contextlib.contextmanager
def _held(files: FeatureFiles) -> Iterator[HeldClaim]:
    held = try_claim(files)
    if isinstance(held, Holder):
        raise StoreError(f"{files.folder}: {held.text} is registering the same features. Repeat it later.")
    try:
        yield held
    finally:
        held.end("released")


def _read(files: FeatureFiles) -> FeatureRecord | None:
    try:
        record = read_feature_record(files)
    except StoreError:
        return None
    return record if record is not None and fault_of(files, record) is None else None


def _source(path: Path, key: str | None) -> ImageSource:
    if path.suffix == ".npy":
        source: ImageSource = in_npy(path)
    elif path.suffix in (".h5", ".hdf5") and key is not None:
        source = in_hdf5(path, key)
    elif path.suffix in (".h5", ".hdf5"):
        raise DataError(f"{path}: give key='…', the name of the array in this HDF5 file.")
    else:
        raise DataError(f"{path}: expected a .npy file, or an HDF5 file (.h5) with key='…'.")
    if len(source.shape) < 2 or np.dtype(source.dtype).kind not in "fiu":
        raise ShapeError(f"{path} holds {source.dtype} {source.shape}; expected numbers, (image, unit).")
    return source


def _order(path: Path, ids: list[Any], images: StimulusSet, count: int) -> np.ndarray:
    """The row of the file for each image."""
    if len(ids) != count:
        raise ShapeError(f"{path} has {count} rows, but {len(ids)} ids were given.")
    places = {str(one): row for row, one in enumerate(ids)}
    wanted = [str(one) for one in images.ids]
    if len(places) != len(ids):
        raise DataError(f"{path}: the ids of its rows repeat.")
    lacking = [one for one in wanted if one not in places]
    if lacking:
        raise DataError(
            f"{path} has no row for {len(lacking)} of the {len(wanted)} images of {images.name}; the first is "
            f"'{lacking[0]}'. The ids given start with {', '.join(repr(str(one)) for one in ids[:3])}."
        )
    return np.array([places[one] for one in wanted])


def _rows(source: ImageSource, rows: np.ndarray) -> np.ndarray:
    """Some rows, (image, unit) of float32, read in runs."""
    if len(rows) and (np.diff(rows) == 1).all():
        found = source.range(int(rows[0]), int(rows[-1]) + 1)
    else:
        found = np.concatenate([source.range(int(row), int(row) + 1) for row in rows])
    return np.asarray(found, np.float32).reshape(len(rows), -1)
