"""A layer's activations as the input of a model: the data of a `models.Fit` that is trained on them, not on pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from neurofit import datasets, process
from neurofit.datasets.dataset import Dataset
from neurofit.datasets.stimulus_set import StimulusSet
from neurofit.errors import DataError, UsageError
from neurofit.features.extraction import extract, loaded_for
from neurofit.features.layers import one_layer
from neurofit.features.matrix import Features
from neurofit.features.networks import Loaded, Network
from neurofit.study import Study

COPIES = 5  # at the peak: as read, in parts, standardised, as tensors, and as bytes of a digest


@dataclass(frozen=True)
class Activations:
    """Activations of one layer, (image, height, width, channel), on disk, read some at a time.

    Parameters
    ----------
    features : Features
    ids : ndarray, shape (image,)
        Of the images, in their order.
    """

    features: Features
    ids: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """(image, height, width, channel); a layer without maps counts as a map of one pixel."""
        return (self.features.shape[0], *_map_shape(self.features.unit_shape))

    def read(self, rows: slice) -> np.ndarray:
        """Activations for some images."""
        found = self.features.read(rows)
        return found.reshape(len(found), *self.shape[1:])


def activations(
    *,
    study: Path,
    data: str = "majaj_2015",
    network: str = "ResNet50",
    weights: str = "imagenet",
    weights_seed: int = 0,
    layer: str = "layer3",
    pixels: str | None = None,
    resize: int | Sequence[int] | None = None,
) -> Dataset:
    """A data set whose input "image" is a layer's activations: the `data` of a `models.Fit`.

    `Fit(architecture, data=nf.features.activations)` makes each argument an axis of the grid. Activations are those
    of the feature store, computed unless they are there. `Fit.predict` computes those of other images.

    Parameters
    ----------
    study : Path
        The study's folder.
    data : str, default "majaj_2015"
        A data set that `datasets.load_responses` and `datasets.load_stimuli` know.
    network, weights, weights_seed, pixels
        As `features.Network(source, weights, seed, pixels)`. Relative paths start at the study's folder.
    layer : str, default "layer3"
        One layer, as for `features.extract`.
    resize : int or (int, int), optional
        Height and width that images are resized to before the network sees them [pixels].

    Returns
    -------
    Dataset

    Raises
    ------
    UsageError
        If the activations do not fit into the memory that is left; the message has both numbers.
    """
    images = _sized(datasets.load_stimuli(data, Path(study) / "data"), resize)
    loaded = loaded_for(_network(study, network, weights, weights_seed, pixels), images, Study(study))
    cells = datasets.load_responses(data, Path(study) / "data")
    return with_activations(cells, images, loaded, layer, study=study)


def inputs_of(
    images: StimulusSet,
    *,
    study: Path,
    network: str,
    weights: str,
    weights_seed: int,
    layer: str,
    resize: int | Sequence[int] | None,
    pixels: str | None,
    data: str,
) -> Activations:
    """The activations of other images, with the arguments of `activations`, which `data` has no part in."""
    images = _sized(images, resize)
    loaded = loaded_for(_network(study, network, weights, weights_seed, pixels), images, Study(study))
    return _extracted(loaded, images, one_layer(layer, list(loaded.layers), loaded.name), study)


cast(Any, activations).inputs_of = inputs_of


def with_activations(
    dataset: Dataset,
    images: StimulusSet,
    network: Network | Loaded,
    layer: str | int,
    *,
    study: Study | Path,
) -> Dataset:
    """The data set with a layer's activations in place of its images.

    Parameters
    ----------
    dataset : Dataset
    images : StimulusSet
        The images of the data set; they may be in another order.
    network : Network
    layer : str or int
        One layer, as for `features.extract`.
    study : Study or path
        Whose feature store is used.

    Returns
    -------
    Dataset
        Its groups, responses, ids, labels and truth are those of `dataset`.

    Raises
    ------
    DataError
        If `images` lacks an image of the data set, or `layer` means several layers.
    UsageError
        If the activations do not fit into the memory that is left; the message has both numbers.
    """
    places = {image: place for place, image in enumerate(images.ids.tolist())}
    missing = [image for image in dataset.image_ids.tolist() if image not in places]
    if missing:
        raise DataError(
            f"{dataset.name}: {len(missing)} of its images, such as {missing[0]!r}, are not in the stimulus set "
            f"{images.name}. Both need the same image ids."
        )
    where = study if isinstance(study, Study) else Study(Path(study))
    loaded = loaded_for(network, images, where)
    name = one_layer(layer, list(loaded.layers), loaded.name)
    _require_memory(dataset.name, loaded, images, name)
    values = _extracted(loaded, images, name, study).read(slice(None))
    order = [places[image] for image in dataset.image_ids.tolist()]
    if order != list(range(len(values))):
        values = values[order]
    kept = {one: getattr(dataset, one) for one in _KEPT}
    return Dataset(f"{dataset.name}, {loaded.name} ({loaded.weights}) {name}", {"image": values}, **kept)


_KEPT = ("responses", "trials", "mask", "image_ids", "groups", "neurons", "truth", "official", "labels")


def _sized(images: StimulusSet, resize: int | Sequence[int] | None) -> StimulusSet:
    if resize is None:
        return images
    height, width = (resize, resize) if isinstance(resize, int) else resize
    return images.sized(height, width, resize=True)


def _network(study: Path, source: str, weights: str, seed: int, pixels: str | None) -> Network:
    def found(text: str) -> str | Path:
        is_path = Path(text).suffix in (".keras", ".h5")
        return Path(study) / text if is_path else text

    name = Path(source).stem if isinstance(found(source), Path) else None
    return Network(found(source), weights=found(weights), seed=seed, pixels=pixels, name=name)


def _extracted(network: Loaded, images: StimulusSet, layer: str, study: Study | Path) -> Activations:
    (features,) = extract(network, images, layer, study=study).values()
    return Activations(features, images.ids)


def _map_shape(unit_shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(unit_shape) > 3:
        raise DataError(
            f"The layer's output for one image is {unit_shape}; expected (height, width, channel) or fewer axes."
        )
    return (1,) * (3 - len(unit_shape)) + unit_shape


def _require_memory(data: str, network: Loaded, images: StimulusSet, layer: str) -> None:
    shape = (images.n_images, *_map_shape(network.unit_shape(layer)))
    needed, room = COPIES * 4 * int(np.prod(shape)), process.memory_available()
    if room is not None and needed > room:
        raise UsageError(
            f"{data}: '{layer}' of {network.name} is {shape}, and a training on it needs about {_gb(needed)} of "
            f"memory; {_gb(room)} are left. Use another layer, smaller images (resize), or ask the queue for "
            "more memory."
        )


def _gb(size: int) -> str:
    return f"{size / 2**30:,.2f} GB"
