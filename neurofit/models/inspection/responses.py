"""A model's responses to images, their gradients, and conversion between pixels and the model's units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from neurofit.errors import DataError, ShapeError, UsageError
from neurofit.models.labels import NEURONS

IMAGES_AT_A_TIME = 256


def respond(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Predictions for images.

    Parameters
    ----------
    model : keras.Model
    images : ndarray, shape (image, height, width, channel)
        Normalised.

    Returns
    -------
    ndarray, shape (image, neuron)
        Several outputs side by side, in order.

    Raises
    ------
    ShapeError
        If the images do not have the shape that the model takes.
    """
    images = _checked(model, images)
    parts = [
        _outputs(model, images[at : at + IMAGES_AT_A_TIME]) for at in range(0, len(images), IMAGES_AT_A_TIME)
    ]
    return np.concatenate([part.numpy() for part in parts])


def gradients(model: keras.Model, images: np.ndarray, neurons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of the response of neuron `neurons[i]` at image i with respect to each pixel.

    Parameters
    ----------
    model : keras.Model
    images : ndarray, shape (image, height, width, channel)
        Normalised.
    neurons : ndarray of int, shape (image,)
        Indices.

    Returns
    -------
    gradients : ndarray, shape (image, height, width, channel)
        Responses per normalised unit.
    responses : ndarray, shape (image,)
    """
    images, neurons = _checked(model, images), np.asarray(neurons)
    found, values = [], []
    for at in range(0, len(images), IMAGES_AT_A_TIME):
        chosen = slice(at, at + IMAGES_AT_A_TIME)
        slopes, responses = _gradient(model, images[chosen], neurons[chosen])
        found.append(slopes)
        values.append(responses)
    return np.concatenate(found), np.concatenate(values)


def image_shape(model: keras.Model) -> tuple[int, int, int]:
    """Shape of the image that the model takes.

    Returns
    -------
    tuple of int
        (height, width, channel).

    Raises
    ------
    UsageError
        If the model does not have exactly one known input.
    ShapeError
        If its input is not an image.
    """
    inputs = inputs_of(model)
    if len(inputs) != 1:
        raise UsageError(
            f"The model '{model.name}' has {len(inputs)} known inputs, and inspection needs exactly one, the "
            "image. Build it with keras.Input; with several inputs, wrap it and hold the others constant: "
            "keras.Model(image, model([image, held]))."
        )
    shape = tuple(inputs[0].shape[1:])
    if len(shape) != 3 or None in shape:
        raise ShapeError(f"The model '{model.name}' takes {shape}, expected (height, width, channel).")
    return shape


def inputs_of(model: keras.Model) -> list[Any]:
    """The model's symbolic inputs; empty if they are not known, as of a subclass of Model."""
    try:
        return list(model.inputs or [])
    except AttributeError:  # of Model itself, and of a Sequential without an Input
        return []


def chosen(model: keras.Model, neurons: Sequence[int] | np.ndarray | None) -> np.ndarray:
    """Indices of neurons; all of them for None.

    Raises
    ------
    UsageError
        If there is no such neuron.
    """
    outputs = model.compute_output_spec(keras.KerasTensor((1, *image_shape(model))))
    count = int(sum(one.shape[-1] for one in keras.tree.flatten(_responses(outputs))))
    indices = np.arange(count) if neurons is None else np.atleast_1d(np.asarray(neurons, int))
    if len(indices) == 0 or indices.min() < 0 or indices.max() >= count:
        raise UsageError(f"neurons={neurons!r}: the model '{model.name}' has neurons 0 to {count - 1}.")
    return indices


def _gradient(model: keras.Model, images: np.ndarray, neurons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    variable = tf.convert_to_tensor(images)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        # Without training, each row depends on its own image alone: the gradient of the sum is every row's
        # own.
        responses = tf.gather(_outputs(model, variable), tf.convert_to_tensor(neurons), axis=1, batch_dims=1)
        total = tf.reduce_sum(responses)
    slopes = tape.gradient(total, variable, unconnected_gradients="zero")
    return slopes.numpy(), responses.numpy()


def _outputs(model: keras.Model, images: Any) -> tf.Tensor:
    return tf.concat(keras.tree.flatten(_responses(model(images, training=False))), axis=-1)


def _responses(outputs: Any) -> Any:
    """Those of a model's outputs that are responses: of a co-trained model "neurons", else all."""
    return outputs[NEURONS] if isinstance(outputs, dict) and NEURONS in outputs else outputs


def _checked(model: keras.Model, images: np.ndarray) -> np.ndarray:
    images = np.asarray(images, np.float32)
    shape = image_shape(model)
    if images.ndim != 4 or images.shape[1:] != shape:
        raise ShapeError(f"images are {images.shape}, expected (image, {', '.join(map(str, shape))}).")
    return images


@dataclass(frozen=True)
class Units:
    """Conversion to a model's units: normalised = (pixels − mean) / std of its training set.

    Parameters
    ----------
    mean, std : float or ndarray, shape (height, width, channel)
    grey : float
        Light of a blank screen, around which gratings vary [pixels]; above 0.
    spread : float, optional
        Standard deviation of all pixels of the training set around their mean [pixels]. None if it is not
        known.
    """

    mean: Any
    std: Any
    grey: float
    spread: float | None = None

    @classmethod
    def of(cls, record: Mapping[str, Any], *, name: str = "image", grey: float | None = None) -> Units:
        """The units of a task: `Units.of(neurofit.models.saved.normalisation(folder))`.

        Parameters
        ----------
        record : mapping
            The numbers that the inputs were scaled with.
        name : str, default "image"
            Name of the input.
        grey : float, optional
            Light of a blank screen [pixels]. Default: the mean of all pixels of the training set.

        Returns
        -------
        Units

        Raises
        ------
        DataError
            If there is no such input, or no grey above 0 is known.
        """
        inputs = record["parts"]["train"]["inputs"]
        if name not in inputs:
            raise DataError(f"No statistics for input '{name}'. Inputs with statistics: {', '.join(inputs)}.")
        mean, std = (np.asarray(inputs[name][key], np.float64) for key in ("mean", "std"))
        seen = record["parts"]["train"].get("seen", {}).get(name, {})  # tasks of earlier versions have none
        grey = float(seen.get("mean", mean.mean()) if grey is None else grey)
        if not grey > 0:
            raise DataError(
                f"The normalisation has no grey above 0 (mean {grey:g}), so contrast is not defined. Give "
                "the light of a blank screen in pixels: Units.of(record, grey=127.5)."
            )
        return cls(mean, std, grey, seen.get("std"))

    @property
    def centred(self) -> bool:
        """Whether 0 is the middle of the training images."""
        return bool(np.any(self.mean != 0))

    @property
    def middle(self) -> float:
        """Middle of the training images, normalised: 0 if they were centred, otherwise the mean grey."""
        return 0.0 if self.centred else float(self.grey / self.std)

    @property
    def typical(self) -> float:
        """Typical distance of a pixel from the middle, normalised: 1 if images were divided by its std."""
        return 1.0 if self.centred or self.spread is None else float(self.spread / self.std)

    def to_model(self, pixels: np.ndarray) -> np.ndarray:
        """Images in pixels, (image, height, width, channel), as the model takes them, float32."""
        return np.asarray((np.asarray(pixels, np.float64) - self.mean) / self.std, np.float32)

    def to_pixels(self, images: np.ndarray) -> np.ndarray:
        """Normalised images, (image, height, width, channel), in pixels."""
        return np.asarray(np.asarray(images, np.float64) * self.std + self.mean)

    def fields_to_pixels(self, fields: np.ndarray) -> np.ndarray:
        """Gradients per normalised unit as gradients per pixel value."""
        return np.asarray(np.asarray(fields, np.float64) / self.std)
