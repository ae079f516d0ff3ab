"""Convolutional networks for large colour images, or for a layer's activations. Cheap to import.

Their outputs are linear, because the responses of IT recordings are normalised and can be negative: train them with
`Training(loss="mean_squared")`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from neurofit.errors import UsageError

# Keras clips images to a range after changing brightness or contrast, and the ranges it expects, such as 0 … 255,
# would cut standardised images at their mean. No image has values beyond this one.
LARGEST = 1e4


def shallow_cnn(
    shapes,
    *,
    filters=(16, 32),
    size=3,
    hidden=128,
    dropout=0.0,
    batch_norm=False,
    flip=False,
    shift=0.0,
    brightness=0.0,
    contrast=0.0,
):
    """[convolution → ReLU → max pooling by 2] × filters → dense ReLU → linear: a CNN as students of IT train it.

    Parameters
    ----------
    shapes : Shapes
    filters : sequence of int, default (16, 32)
        Of each convolution; (16, 32, 64) has a third one. Padding is "same".
    size : int, default 3
        Width of the convolutions [pixels].
    hidden : int, default 128
        Dense units.
    dropout : float, default 0
        Share of dense units that is dropped during training.
    batch_norm : bool, default False
        Normalise batches between each convolution and its ReLU, and between the dense units and theirs.
    flip, shift, brightness, contrast
        Random changes of training images; see `augmentation`.

    Returns
    -------
    keras.Model
    """
    import keras

    changes = {"flip": flip, "shift": shift, "brightness": brightness, "contrast": contrast}
    model = keras.Sequential([keras.Input(shapes.image, name="image")])
    for layer in _shallow("shallow_cnn", filters, size, hidden, dropout, batch_norm, changes):
        model.add(layer)
    model.add(keras.layers.Dense(shapes.neurons, name="neurons"))
    return model


def pooled_cnn(
    shapes,
    *,
    filters=(16, 32),
    sizes=(5, 3),
    hidden=128,
    dropout=0.0,
    batch_norm=False,
    flip=False,
    shift=0.0,
    brightness=0.0,
    contrast=0.0,
):
    """[convolution → ReLU] × filters → mean over positions → dense ReLU → linear.

    The mean over positions leaves far fewer weights than `shallow_cnn` has, and no position of anything.

    Parameters
    ----------
    shapes : Shapes
    filters : sequence of int, default (16, 32)
        Of each convolution. Padding is "same".
    sizes : sequence of int, default (5, 3)
        Width of each convolution [pixels].
    hidden, dropout, batch_norm
        As for `shallow_cnn`.
    flip, shift, brightness, contrast
        Random changes of training images; see `augmentation`.

    Returns
    -------
    keras.Model

    Raises
    ------
    UsageError
        If filters and sizes differ in length.
    """
    import keras

    filters = _filters("pooled_cnn", filters)
    if len(filters) != len(sizes):
        raise UsageError(
            f"pooled_cnn: filters={list(filters)} and sizes={list(sizes)}; expected one size per convolution."
        )
    changes = {"flip": flip, "shift": shift, "brightness": brightness, "contrast": contrast}
    model = keras.Sequential([keras.Input(shapes.image, name="image"), *augmentation(**changes)])
    for index, (count, size) in enumerate(zip(filters, sizes), 1):
        for layer in _convolution(index, count, size, batch_norm):
            model.add(layer)
    model.add(keras.layers.GlobalAveragePooling2D(name="mean"))
    for layer in _dense(hidden, dropout, batch_norm):
        model.add(layer)
    model.add(keras.layers.Dense(shapes.neurons, name="neurons"))
    return model


def co_trained_cnn(
    shapes,
    *,
    filters=(16, 32),
    size=3,
    hidden=128,
    dropout=0.0,
    batch_norm=False,
    flip=False,
    shift=0.0,
    brightness=0.0,
    contrast=0.0,
):
    """The layers of `shallow_cnn`, of which two linear readouts see the dense units: neurons, and logits of a label.

    It is for `Fit(label=…)`. Without a label it has the readout of the neurons alone, with the same initial weights.

    Parameters
    ----------
    shapes : Shapes
    filters, size, hidden, dropout, batch_norm, flip, shift, brightness, contrast
        As for `shallow_cnn`.

    Returns
    -------
    keras.Model
        With the outputs "neurons" and, if there is a label, the label's name.
    """
    import keras

    changes = {"flip": flip, "shift": shift, "brightness": brightness, "contrast": contrast}
    image = keras.Input(shapes.image, name="image")
    x = image
    for layer in _shallow("co_trained_cnn", filters, size, hidden, dropout, batch_norm, changes):
        x = layer(x)
    neurons = keras.layers.Dense(shapes.neurons, name="neurons")(x)
    if shapes.label is None:
        return keras.Model(image, neurons)
    # made last, so that the other layers draw the weights that they draw without a label
    classes = keras.layers.Dense(shapes.classes, name="classes")(x)
    return keras.Model(image, {"neurons": neurons, shapes.label: classes})


cast(Any, co_trained_cnn).predicts_label = True  # `Fit` refuses a label with other architectures of neurofit


def augmentation(*, flip=False, shift=0.0, brightness=0.0, contrast=0.0) -> Iterator:
    """Layers that change training images at random, each image in its own way, and leave others as they are.

    The random numbers come from the task's seed for noise, as those of dropout do.

    Parameters
    ----------
    flip : bool, default False
        Mirror half of the images, left to right.
    shift : float, default 0
        Largest shift in each direction, as a share of height and width; edges are filled by reflection.
        XLA cannot compile it, so not with `Training(jit=True)`.
    brightness : float, default 0
        Largest number that is added to an image, in the units of the model's input: standard deviations, if the
        fit standardises.
    contrast : float, default 0
        Distances from the mean of an image's channel are multiplied by 1 - contrast … 1 + contrast; less than 1.

    Yields
    ------
    keras.layers.Layer

    Raises
    ------
    UsageError
        If a number is out of range.
    """
    import keras

    limits = (("shift", shift, 1), ("brightness", brightness, LARGEST), ("contrast", contrast, 1))
    for name, value, end in limits:
        if not 0 <= value < end:
            raise UsageError(f"{name}={value!r}: expected a number of at least 0 and less than {end:g}.")
    unclipped = {"value_range": (-LARGEST, LARGEST)}
    if flip:
        yield keras.layers.RandomFlip("horizontal", name="flip")
    if shift:
        yield keras.layers.RandomTranslation(shift, shift, fill_mode="reflect", name="shift")
    if brightness:
        yield keras.layers.RandomBrightness(brightness / (2 * LARGEST), name="brightness", **unclipped)
    if contrast:
        # a pair: Keras takes one number for 1 … 1 + contrast
        yield keras.layers.RandomContrast((contrast, contrast), name="contrast", **unclipped)


def _shallow(
    name: str,
    filters: Sequence[int],
    size: int,
    hidden: int,
    dropout: float,
    batch_norm: bool,
    changes: Mapping[str, Any],
) -> Iterator:
    """The layers of `shallow_cnn` before its readout, each made when it is asked for: weights are drawn in turn."""
    import keras

    yield from augmentation(**changes)
    for index, count in enumerate(_filters(name, filters), 1):
        yield from _convolution(index, count, size, batch_norm)
        yield keras.layers.MaxPooling2D(2, padding="same", name=f"pool_{index}")
    yield keras.layers.Flatten(name="flatten")
    yield from _dense(hidden, dropout, batch_norm)


def _convolution(index: int, filters: int, size: int, batch_norm: bool) -> Iterator:
    import keras

    yield keras.layers.Conv2D(filters, size, padding="same", name=f"features_{index}")
    if batch_norm:
        yield keras.layers.BatchNormalization(name=f"norm_{index}")
    yield keras.layers.ReLU(name=f"rate_{index}")


def _dense(hidden: int, dropout: float, batch_norm: bool) -> Iterator:
    import keras

    yield keras.layers.Dense(hidden, name="hidden")
    if batch_norm:
        yield keras.layers.BatchNormalization(name="norm_hidden")
    yield keras.layers.ReLU(name="rate_hidden")
    if dropout:
        yield keras.layers.Dropout(dropout, name="dropout")


def _filters(name: str, filters: Sequence[int]) -> tuple[int, ...]:
    if isinstance(filters, int) or not filters:
        raise UsageError(f"{name}: filters={filters!r}; expected a list with a number for each convolution.")
    return tuple(filters)
