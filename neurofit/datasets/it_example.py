"""Make a small file in the layout of `IT_data.h5`: generated images, and responses planted in a layer of a network.

The truth is in the same file, which the published file does not have:

    truth                                       attribute "recipe": JSON of everything that made the file
    truth/rates_train, rates_val, rates_test    (image, neuron): responses without noise
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from neurofit.datasets import hdf5
from neurofit.datasets.object_images import object_images
from neurofit.datasets.pixels import PixelFormat, conversion
from neurofit.datasets.random_network import LAYERS, SMALLEST, RandomNetwork
from neurofit.datasets.recordings.converted import require_space
from neurofit.datasets.recordings.majaj import CATEGORIES, FILE, PARTS, STORED
from neurofit.errors import DataError, NameUnknown, nearest

_CHUNK = 16  # images at a time
_SKETCH = 256  # random directions in the layer's space
_STRONGEST = 40  # components of the sketch that responses are made of


@dataclass(frozen=True)
class ExampleOptions:
    """What is in an example file.

    Parameters
    ----------
    images : int, default 576
        Training images; a ninth as many are for validation, and for the hidden test, as in the published file.
    size : int, default 64
        Height and width of images [pixels]; the published ones have 224.
    neurons : int, default 168
    ceiling : float, default 0.6
        Share of the responses' variance that is signal: the highest explained variance that any model can
        reach. The highest correlation is its square root.
    layer : str, default "layer2"
        Layer of the random network that responses are planted in.
    seed : int, default 0
        Decides the images, the network's weights, the neurons, and the noise.

    Raises
    ------
    NameUnknown
        If there is no such layer.
    DataError
        If a number is out of range.
    """

    images: int = 576
    size: int = 64
    neurons: int = 168
    ceiling: float = 0.6
    layer: str = "layer2"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("images", 64), ("size", SMALLEST), ("neurons", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise DataError(f"{name}={getattr(self, name)}: expected at least {least}.")
        if not 0 < self.ceiling <= 1:
            raise DataError(
                f"ceiling={self.ceiling}: expected a share of the variance, more than 0, at most 1."
            )

    @property
    def counts(self) -> dict[str, int]:
        """Number of images of each part."""
        other = max(8, round(self.images / 9))
        return {"train": self.images, "val": other, "test": other}

    @property
    def size_bytes(self) -> int:
        """Size of the images before compression."""
        return sum(self.counts.values()) * 3 * self.size**2 * 4


def make_example(
    kind: str,
    folder: Path,
    options: ExampleOptions | None = None,
    features: Callable[[np.ndarray], np.ndarray] | None = None,
    dry_run: bool = False,
) -> Path:
    """Write an example file. The options alone decide its content.

    Parameters
    ----------
    kind : {"majaj_2015"}
    folder : Path
        Where the file is written; `study / "data" / "majaj_2015"` to use it by its name.
    options : ExampleOptions, optional
    features : callable, optional
        (image, height, width, channel) RGB images of 0 … 255 → (image, unit): plants the responses in these
        features instead of the random network, for example in a layer of `keras.applications`.
        `options.layer` is then only its name in the recipe.
    dry_run : bool, default False
        Check everything, but write nothing.

    Returns
    -------
    Path
        The file that is new, or would be.

    Raises
    ------
    NameUnknown
        If there is no such kind or layer.
    DataError
        If the file exists already, or the disk is too small.
    """
    options = options or ExampleOptions()
    if kind != "majaj_2015":
        raise NameUnknown(f"No example of '{kind}'. Known: majaj_2015.{nearest(kind, ['majaj_2015'])}")
    if features is None:
        if options.layer not in LAYERS:
            raise NameUnknown(
                f"No layer '{options.layer}' in the random network. Known: {', '.join(LAYERS)}."
                f"{nearest(options.layer, LAYERS)}"
            )
        network = RandomNetwork(options.seed)
        features = lambda images: network.features(images, options.layer)  # noqa: E731
    path = Path(folder) / FILE
    if path.exists():
        raise DataError(f"{path} already exists. Move it away first, or write the example elsewhere.")
    require_space(path.parent, options.size_bytes, "the example images (before compression)")
    if dry_run:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    objects, images = _images(options)
    rates, spikes = _responses(options, images, features)
    partial = path.with_suffix(".partial")
    try:
        _write(partial, options, objects, images, rates, spikes)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _images(options: ExampleOptions) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Numbers of objects, every object about equally often, and their images, for each part."""
    rng = np.random.default_rng((0, options.seed))
    names = _names()
    objects = {part: rng.permutation(np.arange(n) % len(names)) for part, n in options.counts.items()}
    return objects, {part: object_images(one, 8, options.size, rng) for part, one in objects.items()}


def _responses(
    options: ExampleOptions, images: dict[str, np.ndarray], features: Callable
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Responses without and with noise: random mixtures of the layer's strongest components, equally weighted."""
    rng = np.random.default_rng((1, options.seed))
    sketch: dict[str, np.ndarray] = {}
    directions = None
    for part in PARTS:
        blocks = []
        for start in range(0, len(images[part]), _CHUNK):
            block = np.asarray(features(images[part][start : start + _CHUNK]), np.float32)
            block = block.reshape(len(block), -1)
            if directions is None:
                directions = rng.standard_normal((block.shape[1], min(_SKETCH, block.shape[1])), np.float32)
            blocks.append(block @ directions)
        sketch[part] = np.concatenate(blocks).astype(np.float64)
    mean = sketch["train"].mean(axis=0)
    _, strengths, components = np.linalg.svd(sketch["train"] - mean, full_matrices=False)
    kept = min(_STRONGEST, int((strengths > 1e-6 * strengths[0]).sum()))
    mixture = components[:kept].T / strengths[:kept] @ rng.standard_normal((kept, options.neurons))
    rates = {part: (values - mean) @ mixture for part, values in sketch.items()}
    scale = options.ceiling**0.5 / rates["train"].std(axis=0)
    rates = {part: (values * scale).astype(np.float32) for part, values in rates.items()}
    noise = (1 - options.ceiling) ** 0.5
    spikes = {part: rates[part] + noise * rng.standard_normal(rates[part].shape) for part in ("train", "val")}
    return rates, {part: values.astype(np.float32) for part, values in spikes.items()}


def _write(
    path: Path, options: ExampleOptions, objects: dict, images: dict, rates: dict, spikes: dict
) -> None:
    way, names = conversion(PixelFormat(), STORED), np.array([name.encode("latin-1") for name in _names()])
    with hdf5.writing(path) as file:
        for part in PARTS:
            shape = (len(images[part]), 3, options.size, options.size)
            stored = file.create_dataset(
                f"stimulus_{part}",
                shape,
                "float32",
                chunks=(min(_CHUNK, shape[0]), *shape[1:]),
                compression="gzip",
                compression_opts=1,
                shuffle=True,
            )
            for start in range(0, shape[0], _CHUNK):
                stored[start : start + _CHUNK] = way.apply(images[part][start : start + _CHUNK], check=False)
            file[f"object_{part}"] = names[objects[part]]
            file[f"truth/rates_{part}"] = rates[part]
            if part in spikes:
                file[f"spikes_{part}"] = spikes[part]
        file["truth"].attrs["recipe"] = json.dumps(asdict(options))


def _names() -> list[str]:
    return [name for names in CATEGORIES.values() for name in names.split()]
