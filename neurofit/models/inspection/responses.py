"""A model's responses to images, and their gradients."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from neurofit.errors import ShapeError, UsageError

IMAGES_AT_A_TIME = 256


def respond(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Predictions of a model.

    Parameters
    ----------
    model : keras.Model
        With one image input.
    images : ndarray of shape (image, height, width, channel)
        Normalised.

    Returns
    -------
    ndarray of shape (image, neuron)
        Several outputs are side by side, in order.
    """
    images = _checked(model, images)
    parts = [
        _outputs(model, images[at : at + IMAGES_AT_A_TIME]) for at in range(0, len(images), IMAGES_AT_A_TIME)
    ]
    return np.concatenate([part.numpy() for part in parts])


def gradients(model: keras.Model, images: np.ndarray, neurons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How the response of neuron `neurons[i]` changes with each pixel of image i, and what that response is.

    Parameters
    ----------
    model : keras.Model
        With one image input.
    images : ndarray of shape (image, height, width, channel)
        Normalised.
    neurons : int ndarray of shape (image,)
        One neuron per image.

    Returns
    -------
    gradients : ndarray of shape (image, height, width, channel)
        Responses per normalised unit.
    responses : ndarray of shape (image,)
        The response of each neuron to its image.
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
    """(height, width, channel) of the one image that the model takes.

    Raises
    ------
    UsageError
        The model has several inputs, or no known input.
    ShapeError
        Its input is not an image.
    """
    inputs = getattr(model, "inputs", None) or []
    if len(inputs) != 1:
        raise UsageError(
            f"The model '{model.name}' has {len(inputs)} known inputs, and inspection needs the one image. "
            "Build it "
            "with keras.Input; of several inputs, wrap those that are held: keras.Model(image, "
            "model([image, held]))."
        )
    shape = tuple(inputs[0].shape[1:])
    if len(shape) != 3 or None in shape:
        raise ShapeError(f"The model '{model.name}' takes {shape}, expected (height, width, channel).")
    return shape


def chosen(model: keras.Model, neurons) -> np.ndarray:
    """Indices of neurons; None means all of them.

    Raises
    ------
    UsageError
        There is no such neuron.
    """
    image_shape(model)  # says what is missing of a model without known inputs and outputs
    count = int(sum(one.shape[-1] for one in keras.tree.flatten(model.outputs)))
    indices = np.arange(count) if neurons is None else np.atleast_1d(np.asarray(neurons, int))
    if len(indices) == 0 or indices.min() < 0 or indices.max() >= count:
        raise UsageError(f"neurons={neurons!r}: the model '{model.name}' has neurons 0 to {count - 1}.")
    return indices


def _gradient(model, images, neurons):
    variable = tf.convert_to_tensor(images)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        # Without training, each row depends on its own image alone: the gradient of the sum is every row's
        # own.
        responses = tf.gather(_outputs(model, variable), tf.convert_to_tensor(neurons), axis=1, batch_dims=1)
        total = tf.reduce_sum(responses)
    slopes = tape.gradient(total, variable, unconnected_gradients="zero")
    return slopes.numpy(), responses.numpy()


def _outputs(model, images):
    return tf.concat(keras.tree.flatten(model(images, training=False)), axis=-1)


def _checked(model, images) -> np.ndarray:
    images, shape = np.asarray(images, np.float32), image_shape(model)
    if images.ndim != 4 or images.shape[1:] != shape:
        raise ShapeError(f"images are {images.shape}, expected (image, {', '.join(map(str, shape))}).")
    return images
