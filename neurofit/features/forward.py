"""One compiled function for the outputs of several layers, so that many batches neither leak nor compile again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def compiled(model: Any, outputs: Sequence[Any], batch: int) -> Callable[[np.ndarray], list[np.ndarray]]:
    """A function of exactly `batch` images, in inference mode.

    Parameters
    ----------
    model : keras.Model
    outputs : sequence of KerasTensor
        Of its layers.
    batch : int

    Returns
    -------
    callable
        From images, (image, height, width, channel) of float32, to one array of float32 per output.
    """
    import keras
    import tensorflow as tf

    several = keras.Model(model.inputs, list(outputs))
    shape = (batch, *several.inputs[0].shape[1:])

    def outputs_of(images: Any) -> list[Any]:
        found = several(images, training=False)
        found = found if isinstance(found, list | tuple) else [found]
        return [tf.cast(one, tf.float32) for one in found]

    run = tf.function(outputs_of, input_signature=[tf.TensorSpec(shape, tf.float32)])
    return lambda images: [one.numpy() for one in run(tf.constant(images, tf.float32))]
