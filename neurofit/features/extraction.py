"""Extraction: one forward pass for all layers that are missing, streamed to one file per layer.

Several processes may want the same layers. Each claims what no other process is computing, computes that, and waits for
the rest. What a claimant that was killed has written is verified, batch by batch, and continued.
"""

from __future__ import annotations

import contextlib
import datetime
import platform
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from neurofit import study as studies
from neurofit.datasets.pixels import conversion
from neurofit.datasets.stimulus_set import StimulusSet
from neurofit.errors import DataError, NameUnknown, StoreError
from neurofit.features import keys
from neurofit.features.layers import chosen, one_layer
from neurofit.features.matrix import Features, features_at
from neurofit.features.networks import Loaded, Network
from neurofit.features.progress import progress
from neurofit.features.writing import FeatureWriter
from neurofit.process import who
from neurofit.store.features import (
    FeatureFiles,
    FeatureRecord,
    by_key,
    fault_of,
    feature_folder,
    files_of,
    mark_used,
    read_feature_record,
    try_claim,
)
from neurofit.store.work_claims import HeldClaim, heartbeat
from neurofit.study import Study
from neurofit.transient import retry

BATCH = 32
_BATCH_BYTES = 256 * 2**20  # of all layers' outputs
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 2.0


@dataclass(frozen=True)
class Wanted:
    """One layer of one network for one set of images: what a file of features will hold."""

    layer: str
    files: FeatureFiles
    shape: tuple[int, int]
    unit_shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        """Of the numbers."""
        return 4 * self.shape[0] * self.shape[1]


@dataclass(frozen=True)
class Pass:
    """All that a forward pass needs, and all that its records say."""

    network: Loaded
    images: StimulusSet
    facts: Mapping[str, Any]  # of the key, but for the layer
    wanted: tuple[Wanted, ...]

    def batch(self, layers: Sequence[Wanted]) -> int:
        """Images at a time, so that the layers' outputs stay within a bound."""
        each = sum(4 * one.shape[1] for one in layers)
        return max(1, min(BATCH, self.images.shape[0], _BATCH_BYTES // max(each, 1)))


def extract(
    network: Network | Loaded,
    images: StimulusSet,
    layers: str | int | Sequence[str | int],
    *,
    study: Study | Path | None = None,
) -> dict[str, Features]:
    """The features of layers for all images, computed unless they are there already.

    Parameters
    ----------
    network : Network
        Which network, with which weights.
    images : StimulusSet
        Converted to the pixels that the network needs. Their size must be the network's.
    layers : str, int, or sequence of them
        Names, globs ("conv4_*_out"), indices, or aliases of a ResNet's layers ("layer3", "avgpool").
    study : Study or path, optional
        Whose `training_data/.features/` holds the files: in a fit, `task.study`. Default: the study of the
        current folder.

    Returns
    -------
    dict of str to Features
        By the layer's name in the network, in the order of `layers`.

    Raises
    ------
    NameUnknown
        If there is no such network or layer.
    DataError, ShapeError
        If the images do not fit the network, or an output is not finite.
    StoreError
        If the disk is too small; the message has both numbers.
    """
    where = _study(study)
    work = planned(network, images, layers, where)
    pause = _FIRST_PAUSE_SECONDS
    while True:
        found = {one.layer: _complete(one.files) for one in work.wanted}
        missing = [one for one in work.wanted if found[one.layer] is None]
        if not missing:
            return {layer: features for layer, features in found.items() if features is not None}
        if _compute(work, missing):
            pause = _FIRST_PAUSE_SECONDS
        else:  # other processes have all of them
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def open(  # a module of files calls this open as well
    which: str | Network | Loaded,
    images: StimulusSet | None = None,
    layer: str | int | None = None,
    *,
    study: Study | Path | None = None,
) -> Features:
    """Features that were extracted or registered before.

    Parameters
    ----------
    which : str or Network
        The first digits of a key, as `neurofit data features` lists it, or the network.
    images : StimulusSet, optional
        With a network.
    layer : str or int, optional
        With a network: one layer.
    study : Study or path, optional
        As for `extract`.

    Returns
    -------
    Features
        With `shape`, `dtype` and `columns(start, stop, out=None)`.

    Raises
    ------
    NameUnknown
        If there are none.
    StoreError
        If the file is damaged.
    """
    where = _study(study)
    if isinstance(which, str):
        files = by_key(where, which)
    elif images is None or layer is None:
        raise DataError("features.open needs a key, or a network with images and a layer.")
    else:
        loaded = loaded_for(which, images, where)
        name = one_layer(layer, list(loaded.layers), loaded.name)
        files = planned(loaded, images, name, where).wanted[0].files
    record = read_feature_record(files)
    if record is None:
        raise NameUnknown(
            f"These features (key {files.key[:12]}) were not extracted completely. Use features.extract."
        )
    fault = fault_of(files, record)
    if fault is not None:
        raise StoreError(
            f"{files.values}: damaged, {fault}. features.extract computes it again; features that were "
            "registered must be registered again."
        )
    mark_used(files)
    return features_at(files.values, record)


def loaded_for(network: Network | Loaded, images: StimulusSet, study: Study) -> Loaded:
    """The network for images of this size, with its weights from the study's data if they are not a path."""
    return network.load(*images.shape[1:3], study.data) if isinstance(network, Network) else network


def planned(
    network: Network | Loaded, images: StimulusSet, layers: str | int | Sequence[str | int], study: Study
) -> Pass:
    """What has to be computed, and the key of each layer."""
    loaded = loaded_for(network, images, study)
    names = list(loaded.layers)
    facts = {
        "format": 1,
        "weights": loaded.weights_digest,
        "architecture": loaded.architecture_digest,
        "preprocessing": conversion(images.pixels, loaded.pixels).describe(),
        "images": images.hash(),
    }
    wanted = []
    for layer in chosen(layers, names, loaded.name):
        unit_shape = loaded.unit_shape(layer)
        key = keys.key_of({**facts, "layer": names.index(layer)})
        shape = (images.shape[0], int(np.prod(unit_shape)))
        wanted.append(Wanted(layer, files_of(study, key), shape, unit_shape))
    feature_folder(study)
    return Pass(loaded, images, facts, tuple(wanted))


def _study(study: Study | Path | None) -> Study:
    if isinstance(study, Study):
        return study
    return studies.find(Path.cwd()) if study is None else Study(Path(study))


def _complete(files: FeatureFiles) -> Features | None:
    """Complete and undamaged features, or None."""
    try:
        record = read_feature_record(files)
    except StoreError:
        return None
    if record is None or fault_of(files, record) is not None:
        return None
    mark_used(files)
    return features_at(files.values, record)


def _compute(work: Pass, missing: Sequence[Wanted]) -> bool:
    """Compute the layers that no other process is computing; False if there are none."""
    held: list[tuple[Wanted, HeldClaim]] = []
    try:
        for one in missing:
            found = try_claim(one.files)
            if isinstance(found, HeldClaim):
                held.append((one, found))
        if not held:
            return False
        with heartbeat(claim for _, claim in held), contextlib.ExitStack() as stack:
            writers = [
                stack.enter_context(contextlib.closing(writer))
                for one, claim in held
                if (writer := _writer(one, claim)) is not None
            ]
            if writers:
                _require_space(work, writers)
                _run(work, writers)
        return True
    finally:
        for _, claim in held:  # those that are done have ended already
            claim.end("released")


def _writer(one: Wanted, claim: HeldClaim) -> FeatureWriter | None:
    """What writes a layer's features, after those that are there already; None if they are complete."""
    if _complete(one.files) is not None:  # computed between the first look and the claim
        return None
    with contextlib.suppress(FileNotFoundError):  # damaged
        retry(one.files.record.unlink)
    return FeatureWriter(one.files, claim, one.layer, one.shape)


def _require_space(work: Pass, writers: Sequence[FeatureWriter]) -> None:
    needed = sum(4 * (writer.shape[0] - writer.rows) * writer.shape[1] for writer in writers)
    folder = writers[0].files.folder
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StoreError(
            f"{folder.parent}: {_size(needed)} are needed for the features of {len(writers)} layer(s) of "
            f"{work.network.name}, and {_size(free)} are free. Ask for fewer layers, or free some space "
            "(`neurofit clean --features` lists features that can be removed)."
        )


def _size(size_bytes: float) -> str:
    return f"{size_bytes / 1e9:.3g} GB" if size_bytes >= 1e8 else f"{size_bytes / 1e6:.3g} MB"


def _run(work: Pass, writers: list[FeatureWriter]) -> None:
    """One pass over the images that some layer lacks."""
    began, first = time.monotonic(), min(writer.rows for writer in writers)
    layers = [one for one in work.wanted if any(writer.layer == one.layer for writer in writers)]
    batch, total = work.batch(layers), work.images.shape[0]
    forward = work.network.forward([writer.layer for writer in writers], batch)
    change = conversion(work.images.pixels, work.network.pixels)
    what = f"{work.network.name}, {len(writers)} layer(s)"
    with progress(what, total) as report:
        for start in range(first - first % batch, total, batch):
            stop = min(start + batch, total)
            converted = change.apply(
                work.images.read(slice(start, stop)), check=start == first - first % batch
            )
            outputs = forward(_padded(converted, batch))
            for writer, output in zip(writers, outputs):
                writer.write(start, np.asarray(output[: stop - start], np.float32).reshape(stop - start, -1))
            if not any(writer.is_mine for writer in writers):
                return
            report(stop)
    seconds = round(time.monotonic() - began, 3)
    for writer in writers:
        one = next(one for one in layers if one.layer == writer.layer)
        writer.finish(partial(_record, work, one, seconds, first))


def _padded(images: np.ndarray, batch: int) -> np.ndarray:
    """The images with the last one repeated, so that every batch has the shape that was compiled."""
    lacking = batch - len(images)
    return np.concatenate([images, np.repeat(images[-1:], lacking, axis=0)]) if lacking else images


def _record(work: Pass, one: Wanted, seconds: float, first: int, checksum: str) -> FeatureRecord:
    return FeatureRecord(
        key=one.files.key,
        network=work.network.name,
        weights=work.network.weights,
        layer=one.layer,
        shape=list(one.shape),
        unit_shape=list(one.unit_shape),
        checksum=checksum,
        images=images_of(work.images, work.facts["images"]),
        preprocessing=dict(work.facts["preprocessing"]),
        origin={
            "by": "extract",
            **made_now(),
            "seconds": seconds,
            "resumed_at": first,
            "weights": work.facts["weights"],
            "architecture": work.facts["architecture"],
        },
    )


def images_of(images: StimulusSet, digest: str) -> dict[str, Any]:
    """What a record says about the images."""
    return {"name": images.name, "hash": digest, "shape": list(images.shape)}


def made_now() -> dict[str, Any]:
    """Who made features, when, and with which versions."""
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    for name in ("neurofit", "keras", "tensorflow"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    return {**who(), "made": now, "versions": versions}
