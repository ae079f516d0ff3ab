"""Responses of a finished task's model to images that it was neither trained nor tested on.

Uses only NumPy; the model itself may use TensorFlow.
"""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neurofit import datasets, unpacked
from neurofit.errors import DataError, NameUnknown, ShapeError, StoreError

PARTS = ("train", "test")
IMAGES_AT_A_TIME = 256
FILES = (".npy", ".npz")


@dataclass(frozen=True)
class Predictions:
    """Predicted responses.

    Parameters
    ----------
    values : ndarray, shape (image, neuron)
        In the units of the recordings that the model was trained on.
    image_id : ndarray, shape (image,)
        Identifiers of the images, in the order of the data set.
    neurons : tuple of str
        "recording/number" of each neuron.
    """

    values: np.ndarray = field(repr=False)
    image_id: np.ndarray = field(repr=False)
    neurons: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True)
class Images:
    """Inputs of a model for a sequence of images, read a few at a time.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        The shape of each input, (image, …).
    image_id : ndarray, shape (image,)
    read : callable
        `read(rows)` for a slice of images: {name: (image, …)}, as recorded.
    """

    shapes: Mapping[str, tuple[int, ...]]
    image_id: np.ndarray
    read: Callable[[slice], dict[str, np.ndarray]]

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray], image_id: np.ndarray) -> Images:
        return cls(
            {name: array.shape for name, array in arrays.items()},
            image_id,
            lambda rows: {name: array[rows] for name, array in arrays.items()},
        )

    @classmethod
    def of_stimuli(cls, stimuli: Any) -> Images:
        """A stimulus set, or activations that are read like one, as the input "image"."""
        return cls({"image": stimuli.shape}, stimuli.ids, lambda rows: {"image": stimuli.read(rows)})


@dataclass(frozen=True)
class Declared:
    """What the values of images mean, and the shape of one, (height, width, channel)."""

    pixels: datasets.PixelFormat
    shape: tuple[int, ...]

    @classmethod
    def of_name(cls, name: Any, study: Path) -> Declared | None:
        """Those of a stimulus set; None if there is none of this name."""
        with contextlib.suppress(NameUnknown):
            stimuli = datasets.load_stimuli(str(name), study / "data")
            return cls(stimuli.pixels, tuple(stimuli.shape[1:]))
        return None

    @classmethod
    def of_recipe(cls, described: Mapping[str, Any] | None) -> Declared | None:
        """Those that `StimulusSet.describe` returned; None if a recipe does not have them."""
        if not described or not {"pixels", "shape"} <= described.keys():
            return None
        size = (described.get("resize") or {}).get("from", described["shape"][1:3])
        pixels: dict[str, Any] = {
            name: tuple(one) if isinstance(one, list) else one for name, one in described["pixels"].items()
        }
        return cls(datasets.PixelFormat(**pixels), (*size, described["shape"][3]))


def images_of(data: Any, study: Path) -> Images:
    """The images of a data set.

    Parameters
    ----------
    data : str, Dataset, StimulusSet, Images, ndarray, or mapping of str to ndarray
        A name for `datasets.load_stimuli` or `datasets.load`, with "/train" or "/test" for a part of an official
        split; the path of a .npy or .npz file with images; a data set; a stimulus set, whose images stay on disk;
        or arrays, (image, …), one per input of the model.
    study : Path
        The folder of the study. A file is looked for there if its path is relative.

    Returns
    -------
    Images

    Raises
    ------
    NameUnknown
        If there is no such data set.
    DataError
        If a file is missing or damaged, or the data set has no such part.
    """
    if isinstance(data, Images):
        return data
    if isinstance(data, os.PathLike):
        data = os.fspath(data)
    if isinstance(data, str):
        data = _read(study / data) if Path(data).suffix in FILES else _by_name(data, study / "data")
    if isinstance(data, datasets.StimulusSet):
        return Images.of_stimuli(data)
    if isinstance(data, datasets.Dataset):
        return Images.of_arrays(data.inputs, data.image_ids)
    inputs = data if isinstance(data, Mapping) else {"image": data}
    arrays = {str(name): _array(str(name), values) for name, values in inputs.items()}
    lengths = {len(values) if values.ndim else 0 for values in arrays.values()}
    if len(lengths) != 1:
        shapes = ", ".join(f"'{name}' {values.shape}" for name, values in arrays.items())
        raise DataError(f"The inputs must have the same number of images: {shapes or 'there are none'}.")
    return Images.of_arrays(arrays, np.arange(lengths.pop()))


def computed(
    data: Any, study: Path, shape: Sequence[int], inputs_of: Callable[..., Any], like: Declared | None = None
) -> Images:
    """The input "image" of a model that sees what is computed from images, such as the activations of a layer.

    Parameters
    ----------
    data
        A stimulus set, or the name of one, for which inputs are computed; or the inputs themselves, as for
        `images_of`.
    study : Path
        The folder of the study.
    shape : sequence of int
        Of the model's input for one image.
    inputs_of : callable
        `inputs_of(images, study=study)`: see `ready_made.ComputesInputs`.
    like : Declared, optional
        Of the stimulus set that the model was trained on: arrays of such images are taken as declared there.

    Returns
    -------
    Images

    Raises
    ------
    ShapeError
        If there are other images than a stimulus set, whose values do not have the shape of the model's input.
    """
    if isinstance(data, str) and Path(data).suffix not in FILES:
        with contextlib.suppress(NameUnknown):
            data = datasets.load_stimuli(data, study / "data")
    if isinstance(data, datasets.StimulusSet):
        return Images.of_stimuli(inputs_of(data, study=study))
    images = images_of(data, study)
    found = images.shapes.get("image")
    if found is not None and found[1:] != tuple(shape):
        declared = _declared(images, like)
        if declared is not None:
            return Images.of_stimuli(inputs_of(declared, study=study))
        raise ShapeError(
            f"The model takes activations, (image, {', '.join(map(str, shape))}), computed from images, and these "
            f"are {found}. Give the images as a stimulus set, or its name: a datasets.StimulusSet says what the "
            "values of its images mean, so that activations can be computed."
        )
    return images


def stimuli_of(data: Any, study: Path, like: Declared | None = None) -> datasets.StimulusSet:
    """The images of a data set, with the meaning of their values, which a network has to know.

    Parameters
    ----------
    data : str or StimulusSet
        A name for `datasets.load_stimuli`, or a stimulus set.
    study : Path
    like : Declared, optional
        Of the stimulus set that the model was trained on: arrays and .npy files of such images are taken as declared
        there.

    Returns
    -------
    StimulusSet

    Raises
    ------
    NameUnknown
        If there is no such stimulus set.
    DataError
        If it is anything else, whose pixel format is not known.
    """
    if isinstance(data, datasets.StimulusSet):
        return data
    if isinstance(data, str) and Path(data).suffix not in FILES:
        return datasets.load_stimuli(data, study / "data")
    if like is not None and not isinstance(data, datasets.Dataset):
        declared = _declared(images_of(data, study), like)
        if declared is not None:
            return declared
    what = f"'{data}'" if isinstance(data, str) else f"a {type(data).__name__}"
    raise DataError(
        f"This model sees images through a network, and what the values of {what} mean is not declared. Give the "
        "name of a stimulus set ('majaj_2015/test'), or in Python a StimulusSet (datasets.StimulusSet.from_npy)."
    )


def _declared(images: Images, like: Declared | None) -> datasets.StimulusSet | None:
    """The input "image" as a stimulus set in a declared format; None if these are no such images.

    Raises
    ------
    DataError
        If the values are most probably not in that format.
    """
    if like is None or list(images.shapes) != ["image"] or not len(images.image_id):
        return None
    if images.shapes["image"][1:] != like.shape:
        return None
    values = _finite("image", images.read(slice(None))["image"], images.image_id)
    return datasets.StimulusSet.from_array("the images given", values, like.pixels, ids=images.image_id)


def predict(
    respond: Callable[[dict[str, np.ndarray]], np.ndarray],
    shapes: Mapping[str, Sequence[int] | None],
    folder: Path,
    data: Any,
    study: Path,
) -> Predictions:
    """Predict the responses to a data set, a few hundred images at a time.

    Parameters
    ----------
    respond : callable
        The model: called with inputs as recorded, {name: (image, …)}; returns (image, neuron).
    shapes : mapping of str to sequence of int, or None
        The shape of one image of each input that the model takes; None if it accepts several.
    folder : Path
        The folder of the finished attempt; its predictions.npz names the neurons.
    data, study
        See `images_of`.

    Returns
    -------
    Predictions

    Raises
    ------
    ShapeError
        If an input is missing or has another shape than the model takes.
    DataError
        If the images cannot be read, or have values that are not finite.
    StoreError
        If predictions.npz is missing or damaged.
    """
    images = images_of(data, study)
    one_channel = _without_channel(images, shapes)
    _check_shapes(images, {name: shape for name, shape in shapes.items() if name not in one_channel})
    parts = []
    for start in range(0, len(images.image_id), IMAGES_AT_A_TIME):
        rows = slice(start, start + IMAGES_AT_A_TIME)
        inputs = {name: _finite(name, images.read(rows)[name], images.image_id[rows]) for name in shapes}
        parts.append(
            respond({name: one[..., None] if name in one_channel else one for name, one in inputs.items()})
        )
    return Predictions(np.concatenate(parts), images.image_id, neurons_of(folder))


def neurons_of(folder: Path) -> tuple[str, ...]:
    """ "recording/number" of each neuron that a finished attempt predicts."""
    path = folder / "predictions.npz"
    try:
        with np.load(unpacked.located(path)) as saved:
            return names_of(saved["recording"], saved["number"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise StoreError(f"{path}: missing or damaged ({error}).") from error


def names_of(recordings: Iterable[Any], numbers: Iterable[Any]) -> tuple[str, ...]:
    """ "recording/number" of each neuron."""
    return tuple(f"{recording}/{number}" for recording, number in zip(recordings, numbers))


def _without_channel(images: Images, shapes: Mapping[str, Sequence[int] | None]) -> set[str]:
    """The inputs that are (image, height, width) where the model takes one channel, which then follows."""
    return {
        name
        for name, shape in shapes.items()
        if shape is not None
        and len(shape) == 3
        and shape[2] == 1
        and name in images.shapes
        and images.shapes[name][1:] == tuple(shape[:2])
    }


def _check_shapes(images: Images, shapes: Mapping[str, Sequence[int] | None]) -> None:
    """Raise ShapeError or DataError unless there are images of the shapes that the model takes."""
    missing = [name for name in shapes if name not in images.shapes]
    if missing:
        raise ShapeError(
            f"The model takes the inputs {', '.join(shapes)}; the data set has no {', '.join(missing)}, "
            f"only {', '.join(images.shapes)}."
        )
    for name, shape in shapes.items():
        found = images.shapes[name]
        if shape is not None and found[1:] != tuple(shape):
            raise ShapeError(
                f"'{name}' of the data set is {found}, but the model takes "
                f"(image, {', '.join(map(str, shape))}). "
                "Images have to be cropped and scaled as those that the model was trained on."
            )
    if not len(images.image_id):
        raise DataError("The data set has no images.")


def _finite(name: str, values: np.ndarray, ids: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "iuf":
        found = f"they are {values.dtype}"
    elif not (finite := np.isfinite(values).reshape(len(values), -1).all(axis=1)).all():
        count, first = int((~finite).sum()), ids[np.argmin(finite)]
        found = f"NaN or infinite in {count} image{'s' if count > 1 else ''}, the first of them is {first}"
    else:
        return values
    raise DataError(
        f"'{name}' of the data set has values that are not finite numbers: {found}; the model takes images of "
        "finite numbers."
    )


def _array(name: str, values: Any) -> np.ndarray:
    try:
        return np.asarray(values)
    except (ValueError, TypeError) as error:
        raise DataError(f"'{name}' cannot be read as an array, (image, …): {error}.") from error


def _by_name(name: str, data: Path) -> datasets.Dataset | datasets.StimulusSet:
    """The data set of this name.

    The images of a published part, such as a hidden test set, come before the parts of an official split.
    """
    try:
        return datasets.load_stimuli(name, data)
    except NameUnknown:
        pass
    try:
        return datasets.load(name, data)
    except NameUnknown:
        whole, _, part = name.rpartition("/")
        if part not in PARTS or not whole:
            raise
    dataset = datasets.load(whole, data)
    if dataset.official is None:
        raise DataError(f"'{whole}' has no official split, so it has no part '{part}'. Leave '/{part}' out.")
    return dataset.take(dataset.official == part)


def _read(path: Path) -> Any:
    try:
        loaded = np.load(path)  # without pickles, NumPy's default
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            return {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: cannot be read as images ({error}).") from error
