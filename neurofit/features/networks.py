"""Which network: one of `keras.applications`, a function that makes a model, or a saved model; with which weights.

`Network` says which, `Network.load` makes it for images of one size. This module and `forward.py` are where
features meet Keras.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from neurofit.datasets.pixels import NETWORKS, PixelFormat
from neurofit.environment import settle_keras
from neurofit.errors import DataError, MissingExtra, NameUnknown, ShapeError, install, nearest
from neurofit.features import forward, keys
from neurofit.text import command

_MODES = {
    "caffe": "ResNet50 ResNet101 ResNet152 VGG16 VGG19",
    "tf": "ResNet50V2 ResNet101V2 ResNet152V2 InceptionV3 InceptionResNetV2 Xception MobileNet MobileNetV2 "
    "NASNetLarge NASNetMobile",
    "torch": "DenseNet121 DenseNet169 DenseNet201",
    "raw": "EfficientNetB0 EfficientNetB1 EfficientNetB2 EfficientNetB3 EfficientNetB4 EfficientNetB5 "
    "EfficientNetB6 EfficientNetB7 EfficientNetV2B0 EfficientNetV2B1 EfficientNetV2B2 EfficientNetV2B3 "
    "EfficientNetV2S EfficientNetV2M EfficientNetV2L ConvNeXtTiny ConvNeXtSmall ConvNeXtBase ConvNeXtLarge "
    "ConvNeXtXLarge MobileNetV3Small MobileNetV3Large",
}
# Each network of keras.applications → the mode of its `preprocess_input`.
APPLICATIONS = {name: mode for mode, names in _MODES.items() for name in names.split()}


class Loaded(Protocol):
    """A network with its weights, for images of one size."""

    @property
    def name(self) -> str: ...

    @property
    def weights(self) -> str:
        """Where the weights are from, as text."""

    @property
    def pixels(self) -> PixelFormat: ...

    @property
    def layers(self) -> Sequence[str]:
        """Names of the layers, from input to output."""

    @property
    def architecture_digest(self) -> str: ...

    @property
    def weights_digest(self) -> str: ...

    def unit_shape(self, layer: str) -> tuple[int, ...]:
        """Shape of a layer's output for one image."""

    def forward(self, layers: Sequence[str], batch: int) -> Callable[[np.ndarray], list[np.ndarray]]:
        """A function of `batch` images that returns the output of each layer."""


@dataclass(frozen=True)
class Network:
    """Which network, with which weights.

    Parameters
    ----------
    source : str, path, or callable
        A network of `keras.applications` ("ResNet50"), a saved `.keras` file, or a function without arguments
        that returns a `keras.Model`.
    weights : {"random", "imagenet", "saved"} or path, optional
        "random": drawn with `seed`. "imagenet": of a network of `keras.applications`, from the file that
        `neurofit data fetch-weights` has saved. "saved": those of the `.keras` file, which is its default; the
        default of the others is "random". A path: a `.weights.h5` or `.keras` file of the same architecture.
    seed : int, default 0
        Of random weights.
    pixels : PixelFormat or {"torch", "caffe", "tf", "raw"}, optional
        What the network needs. Networks of `keras.applications` know it; for others it must be given.
    top : bool, default False
        Include the classifier of a network of `keras.applications`; then images must have its default size.
    name : str, optional
        For messages and lists. Default: of the application, file or function.
    """

    source: str | Path | Callable[[], Any]
    weights: str | Path | None = None
    seed: int = 0
    pixels: PixelFormat | str | None = None
    top: bool = False
    name: str | None = None

    def load(self, height: int, width: int, data: Path) -> KerasNetwork:
        """The network, for images of this size.

        Parameters
        ----------
        height, width : int
            [pixels]
        data : Path
            The study's folder data/, where fetched weights are.

        Raises
        ------
        NameUnknown, DataError, ShapeError
            If there is no such network or file, it is not a Keras model, the weights do not fit, or images of
            this size do not fit.
        """
        pixels = self._pixels()
        with _keras() as keras:
            model = self._model(keras, height, width, data)
            model = _at_size(keras, model, height, width, self.label)
        return KerasNetwork(self.label, self._weights_label(), pixels, model)

    @property
    def label(self) -> str:
        """Its name in messages and lists."""
        if self.name is not None:
            return self.name
        if callable(self.source):
            return getattr(self.source, "__name__", type(self.source).__name__)
        return Path(self.source).stem if _is_path(self.source) else str(self.source)

    def _weights_label(self) -> str:
        kind = self._weights()
        return f"random, seed {self.seed}" if kind == "random" else str(kind)

    def _weights(self) -> str | Path:
        if self.weights is not None:
            return self.weights
        return "saved" if not callable(self.source) and _is_path(self.source) else "random"

    def _pixels(self) -> PixelFormat:
        need = self.pixels
        if need is None and isinstance(self.source, str) and not _is_path(self.source):
            need = APPLICATIONS[known_application(self.source)]
        if need is None:
            raise DataError(
                f"{self.label}: which pixels this network needs is not known. Give Network(pixels=…): one of "
                f"{', '.join(map(repr, NETWORKS))}, or a PixelFormat."
            )
        if isinstance(need, PixelFormat):
            return need
        if need not in NETWORKS:
            raise NameUnknown(
                f"{self.label}: no pixel format '{need}'. Known: {', '.join(NETWORKS)}.{nearest(need, NETWORKS)}"
            )
        return NETWORKS[need]

    def _model(self, keras: Any, height: int, width: int, data: Path) -> Any:
        weights = self._weights()
        if callable(self.source):
            model = _seeded(keras, self.seed, self.source)
            if not isinstance(model, keras.Model):
                model = getattr(model, "model", model)  # what `neurofit.load` returned
            if not isinstance(model, keras.Model):
                raise DataError(
                    f"{self.label}() must return a keras.Model, but returned {type(model).__name__}."
                )
        elif _is_path(self.source):
            model = saved_model(keras, Path(self.source))
            if weights == "random":
                fixed = model
                model = _seeded(keras, self.seed, lambda: keras.models.clone_model(fixed))
        else:
            name = known_application(str(self.source))
            if weights == "imagenet":
                return saved_model(keras, fetched(data, name, self.top))
            model = _seeded(keras, self.seed, lambda: _build(keras, name, height, width, self.top))
        if weights == "imagenet" or (weights == "saved" and not _is_path(self.source)):
            raise DataError(f"{self.label}: weights='{weights}' is for {_whose(str(weights))}. {_CHOICES}")
        if weights not in ("random", "saved"):
            if not _is_path(weights):
                raise NameUnknown(
                    f"{self.label}: weights='{weights}' is not known.{nearest(str(weights), _KINDS)} {_CHOICES}"
                )
            _load_weights(keras, model, Path(weights), self.label)
        return model


_KINDS = ("random", "imagenet", "saved")
_CHOICES = "Expected 'random', 'imagenet', 'saved', or the path of a .weights.h5 or .keras file."


def _whose(weights: str) -> str:
    return "networks of keras.applications" if weights == "imagenet" else "saved .keras files"


@dataclass(frozen=True, eq=False)
class KerasNetwork:
    """A `keras.Model` whose layers can be asked for their outputs; see `Loaded`."""

    name: str
    weights: str
    pixels: PixelFormat
    model: Any

    @cached_property
    def layers(self) -> list[str]:
        """Names of the layers but for inputs, which hold the images."""
        return [layer.name for layer in self.model.layers if type(layer).__name__ != "InputLayer"]

    @cached_property
    def architecture_digest(self) -> str:
        """Digest of the configuration."""
        config = json.loads(self.model.to_json())
        return keys.architecture_digest(config["config"], map(type, _all_layers(self.model)))

    @cached_property
    def weights_digest(self) -> str:
        """Digest of the values of all weights."""
        return keys.weights_digest(weight.numpy() for weight in self.model.weights)

    def unit_shape(self, layer: str) -> tuple[int, ...]:
        """Shape of a layer's output for one image.

        Raises
        ------
        DataError
            If the layer does not have one output of a known shape.
        """
        shape = getattr(self._output(layer), "shape", None)
        if shape is None or len(shape) < 2 or None in shape[1:]:
            raise DataError(
                f"{self.name}: layer '{layer}' does not have one output of a known shape: {shape}. Choose a "
                "layer with one array as its output."
            )
        return tuple(int(one) for one in shape[1:])

    def forward(self, layers: Sequence[str], batch: int) -> Callable[[np.ndarray], list[np.ndarray]]:
        """One compiled function of `batch` images that returns the outputs of all layers."""
        return forward.compiled(self.model, [self._output(layer) for layer in layers], batch)

    def _output(self, layer: str) -> Any:
        try:
            return self.model.get_layer(layer).output
        except (AttributeError, ValueError) as error:
            raise DataError(
                f"{self.name}: the output of layer '{layer}' is not defined ({_first_line(error)}). Only models "
                "made of layers (Sequential or functional) can be asked, and only layers that they use once."
            ) from None


def fetched(data: Path, name: str, top: bool) -> Path:
    """The file with a network's ImageNet weights.

    Raises
    ------
    DataError
        If it was not fetched; the message has the command.
    """
    path = fetched_path(data, name, top)
    if not path.is_file():
        raise DataError(
            f"{name}: its ImageNet weights are not here ({path}). On a machine with a network, run "
            f"`{command('data fetch-weights', name, top=top or None)}`. Tasks never download anything."
        )
    return path


def fetched_path(data: Path, name: str, top: bool) -> Path:
    """Where `fetch` saves a network."""
    return data / "weights" / f"{name}{'-top' if top else ''}.keras"


def fetch(data: Path, name: str, *, top: bool = False) -> Path:
    """Download a network of `keras.applications` with its ImageNet weights, and save it under data/weights/.

    The whole model is saved, not its weights alone: Keras makes some architectures (EfficientNet) differently
    for these weights.

    Parameters
    ----------
    data : Path
        The study's folder data/.
    name : str
        For example "ResNet50".
    top : bool, default False
        With the classifier.

    Returns
    -------
    Path
        The saved file.

    Raises
    ------
    DataError
        If it cannot be downloaded.
    """
    name, path = known_application(name), fetched_path(data, name, top)
    with _keras() as keras:
        try:
            model = getattr(keras.applications, name)(
                weights="imagenet", include_top=top, **({} if top else {"pooling": "avg"})
            )
        except Exception as error:  # urllib, SSL and Keras raise what they like
            raise DataError(
                f"The weights of {name} could not be downloaded: {_first_line(error)}. Run the command on a "
                f"machine with a network, and copy {path.name} to {path.parent}."
            ) from error
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{os.getpid()}.{path.name}")
        model.save(partial)
        partial.replace(path)
    return path


def saved_model(keras: Any, path: Path) -> Any:
    """The model in a `.keras` file, without executing code that the file contains.

    Raises
    ------
    DataError
        If it is not such a file, or cannot be loaded.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file. Expected a model that Keras has saved as .keras.")
    try:
        with zipfile.ZipFile(path) as archive:
            is_keras = "config.json" in archive.namelist()
    except (zipfile.BadZipFile, OSError):
        is_keras = False
    if not is_keras or path.suffix != ".keras":
        raise DataError(
            f"{path} is not a Keras model. Expected a file of model.save('….keras'); features of networks from "
            "other libraries are added with features.register."
        )
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, OSError, AttributeError, ImportError) as error:
        raise DataError(
            f"{path} cannot be loaded: {_first_line(error)}. If the model has layers of your own, import "
            "the module that registers them (keras.saving.register_keras_serializable) first."
        ) from error


@contextlib.contextmanager
def _keras() -> Iterator[Any]:
    settle_keras()
    try:
        import keras
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"Networks need {error.name}, which is not installed: {install('models')}.", name=error.name
        ) from error
    yield keras


def known_application(name: str) -> str:
    """The name, if it is one of `keras.applications`.

    Raises
    ------
    NameUnknown
        Otherwise; the message offers the nearest name.
    """
    if name not in APPLICATIONS:
        raise NameUnknown(
            f"No network '{name}'.{nearest(name, APPLICATIONS)} Known are the networks of keras.applications "
            f"({', '.join(list(APPLICATIONS)[:5])}, …), saved .keras files, and functions that return a model."
        )
    return name


def _is_path(source: Any) -> bool:
    return isinstance(source, Path) or (
        isinstance(source, str) and (os.sep in source or source.endswith((".keras", ".h5", ".hdf5", ".pt")))
    )


def _seeded(keras: Any, seed: int, make: Callable[[], Any]) -> Any:
    """What a function makes with this seed; the generators of Python and NumPy are put back afterwards."""
    states = random.getstate(), np.random.get_state()
    keras.utils.set_random_seed(seed)
    try:
        return make()
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def _build(keras: Any, name: str, height: int, width: int, top: bool) -> Any:
    options = {"include_top": True} if top else {"include_top": False, "pooling": "avg"}
    shape = (height, width, 3)
    try:
        return getattr(keras.applications, name)(weights=None, input_shape=None if top else shape, **options)
    except ValueError as error:
        raise ShapeError(
            f"{name} cannot be made for images of {height}×{width} pixels: {_first_line(error)}"
        ) from None


def _at_size(keras: Any, model: Any, height: int, width: int, name: str) -> Any:
    """The model with an input of exactly this size, refused where it has another."""
    if not model.built and not getattr(model, "inputs", None):
        model.build((None, height, width, 3))
    inputs = getattr(model, "inputs", None) or []
    if len(inputs) != 1:
        raise DataError(
            f"{name}: expected a model with one input, found {len(inputs)}. Only models made of layers "
            "(Sequential or functional) can be asked for the outputs of their layers."
        )
    shape = tuple(inputs[0].shape)
    if len(shape) != 4:
        raise ShapeError(f"{name}: its input is {shape}; expected images (image, height, width, channel).")
    if any(have not in (None, want) for have, want in zip(shape[1:3], (height, width))):
        raise ShapeError(
            f"{name} takes images of {shape[1]}×{shape[2]} pixels, and these have {height}×{width}. Resize them "
            f"(images.sized({shape[1]}, {shape[2]}, resize=True)), or use a network of their size."
        )
    if None not in shape[1:]:
        return model
    fixed = keras.models.clone_model(model, input_tensors=keras.Input((height, width, shape[3] or 3)))
    fixed.set_weights(model.get_weights())
    return fixed


def _load_weights(keras: Any, model: Any, path: Path, name: str) -> None:
    if not path.is_file():
        raise DataError(f"{name}: no file of weights at {path}.")
    if path.suffix == ".keras":
        _copy_weights(saved_model(keras, path), model, path, name)
        return
    if not re.search(r"\.h5$", path.name):
        raise DataError(f"{path} is not a Keras file of weights. Expected .weights.h5 or .keras.")
    try:
        model.load_weights(path)
    except (ValueError, OSError, KeyError, TypeError) as error:
        raise DataError(f"{path} does not hold weights of {name}: {_first_line(error)}.") from error


def _copy_weights(saved: Any, model: Any, path: Path, name: str) -> None:
    """Copy weights from the layers of the same names, so that a file with a classifier fits one without."""
    there = {layer.name: layer for layer in saved.layers}
    for layer in model.layers:
        if not layer.weights:
            continue
        shapes = [tuple(one.shape) for one in layer.weights]
        found = [tuple(one.shape) for one in there[layer.name].weights] if layer.name in there else None
        if found != shapes:
            raise DataError(
                f"{path} does not hold weights of {name}: layer '{layer.name}' needs {shapes}, found "
                f"{found or 'no such layer'}."
            )
        layer.set_weights(there[layer.name].get_weights())


def _all_layers(model: Any) -> Iterator[Any]:
    yield model
    for layer in getattr(model, "layers", []):
        yield from _all_layers(layer)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
