"""Build a model from an architecture: the shapes go in, random numbers come from the task's own streams."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from neurofit import datasets
from neurofit.errors import ShapeError, UsageError
from neurofit.models.labels import NEURONS, Classes

NOISE = "seed_generator_state"  # what Keras calls the state of a layer's random numbers


@dataclass(frozen=True)
class Shapes:
    """The shapes that an architecture receives.

    Parameters
    ----------
    inputs : mapping of str to tuple of int
        Name of an input → shape of one image's input, (height, width, channel) for "image".
    outputs : mapping of str to int
        Recording → number of its neurons. A model returns one output (image, neuron), or one per recording in
        this order.
    label : str, optional
        For co-training: the label that the model predicts as well. It then returns a dict of outputs,
        {"neurons": (image, neuron), label: (image, class)}, the latter as logits (no softmax).
    classes : int, optional
        Number of classes of the label.
    """

    inputs: Mapping[str, tuple[int, ...]]
    outputs: Mapping[str, int]
    label: str | None = None
    classes: int | None = None

    @property
    def image(self) -> tuple[int, ...]:
        """(height, width, channel) of the input "image", or the shape of the first input."""
        return tuple(self.inputs.get("image", next(iter(self.inputs.values()))))

    @property
    def neurons(self) -> int:
        """Number of neurons of all recordings together."""
        return sum(self.outputs.values())


def shapes_of(dataset: datasets.Dataset, classes: Classes | None = None) -> Shapes:
    """The shapes of a data set; recordings whose neurons are interleaved count as one output."""
    inputs = {name: tuple(array.shape[1:]) for name, array in dataset.inputs.items()}
    label = (None, None) if classes is None else (classes.label, len(classes.names))
    runs = itertools.groupby(dataset.neurons["recording"].astype(str))
    counts = [(name, len(list(group))) for name, group in runs]
    if len({name for name, _ in counts}) < len(counts):  # recordings interleaved: no readout of their own
        return Shapes(inputs, {dataset.name: dataset.n_neurons}, *label)
    return Shapes(inputs, dict(counts), *label)


def build(
    architecture: Callable[..., Any],
    shapes: Shapes,
    arguments: Mapping[str, Any],
    seeds: Any,
    dtype: str = "float32",
) -> keras.Model:
    """Build the model: weights are drawn from `seeds.init`; dropout and other noise from `seeds.noise`.

    Parameters
    ----------
    architecture : callable
        Called with `shapes` and the arguments.
    shapes : Shapes
    arguments : mapping of str to object
        Keyword arguments of the architecture.
    seeds : object
        Has the integers `init` and `noise`.
    dtype : str, default "float32"
        Of every weight and of every computation.

    Returns
    -------
    keras.Model

    Raises
    ------
    UsageError
        If the architecture does not return a Keras model, or Keras does not run on TensorFlow.
    ShapeError
        If the output is not (image, neuron).
    """
    if keras.backend.backend() != "tensorflow":
        raise UsageError(
            f"Training needs Keras on TensorFlow, not {keras.backend.backend()}: unset KERAS_BACKEND in the "
            "script."
        )
    keras.utils.set_random_seed(seeds.init)
    with _precision(dtype):
        model = architecture(shapes, **arguments)
    if not isinstance(model, keras.Model):
        model = getattr(model, "model", model)  # what `neurofit.load` returned
    if not isinstance(model, keras.Model):
        raise UsageError(
            f"{architecture.__name__}() returned a {type(model).__name__}, expected a keras.Model."
        )
    if "training" not in inspect.signature(model.call).parameters:
        raise UsageError(
            f"{type(model).__name__}.call has no argument `training`, without which its dropout would do "
            "nothing. Write `def call(self, inputs, training=None)`, and pass it on to the layers that take "
            "it."
        )
    with _precision(dtype):
        _complete(model, shapes)
    _check_output(model, shapes, architecture.__name__)
    seed_noise(model, seeds.noise)
    return model


@contextlib.contextmanager
def _precision(dtype: str) -> Iterator[None]:
    """Within this context, Keras creates layers of this dtype."""
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])


def _complete(model: keras.Model, shapes: Shapes) -> None:
    if not model.built:
        model.build(as_model_takes(model, {name: (None, *shape) for name, shape in shapes.inputs.items()}))


def seed_noise(model: keras.Model, seed: int) -> None:
    """Start every SeedGenerator (dropout, noise layers) from this seed, each from a different state."""
    for index, variable in enumerate(model.non_trainable_variables):
        if variable.name == NOISE:
            number = zlib.crc32(f"{seed}:{index}".encode()) % 2**31
            variable.assign(keras.ops.cast([number, 0], variable.dtype))


def every_layer(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Every layer of the model, in order; layers of nested models take the place of the nested model."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from every_layer(layer)
        else:
            yield layer


def equal_initial_weights(model: keras.Model) -> list[tuple[str, str]]:
    """Pairs of random weights with equal shape and equal values: one initializer instance made both."""
    random = [(one.path, np.asarray(one.value)) for one in model.trainable_variables if len(one.shape)]
    random = [(path, values) for path, values in random if values.size > 1 and np.ptp(values) > 0]
    return [
        (path, other)
        for (path, values), (other, others) in itertools.combinations(random, 2)
        if values.shape == others.shape and np.array_equal(values, others)
    ]


def _check_output(model: keras.Model, shapes: Shapes, name: str) -> None:
    specs = {key: keras.KerasTensor((None, *shape), "float32") for key, shape in shapes.inputs.items()}
    outputs = model.compute_output_spec(as_model_takes(model, specs))
    if shapes.label is not None:
        _check_label(outputs, shapes, name)
        outputs = outputs[NEURONS]
    found = [tuple(one.shape) for one in keras.tree.flatten(outputs)]
    if any(len(shape) != 2 for shape in found) or sum(shape[-1] for shape in found) != shapes.neurons:
        raise ShapeError(
            f"{name}() gives {found}; expected (image, neuron) with {shapes.neurons} neurons in all."
        )


def _check_label(outputs: Any, shapes: Shapes, name: str) -> None:
    wanted = f"{{'{NEURONS}': (image, neuron), '{shapes.label}': (image, class)}}"
    names = list(outputs) if isinstance(outputs, Mapping) else None
    if names is None or set(names) != {NEURONS, shapes.label}:
        found = (
            f"has the outputs {', '.join(map(repr, names))}" if names is not None else "has no named outputs"
        )
        raise ShapeError(
            f"{name}() {found}. With label='{shapes.label}' it must return a model with a dict of outputs, {wanted}."
        )
    shape = tuple(outputs[shapes.label].shape)
    if shape != (None, shapes.classes):
        raise ShapeError(
            f"{name}() gives {shape} for '{shapes.label}'; expected (image, class) with {shapes.classes} classes, "
            "which `shapes.classes` has."
        )


def responses_in(outputs: Any, label: str | None) -> list[Any]:
    """The outputs of a model that are responses, (image, neuron) each; all unless it is co-trained."""
    return list(keras.tree.flatten(outputs if label is None else outputs[NEURONS]))


def as_model_takes(model: keras.Model, inputs: Mapping[str, Any]) -> Any:
    """Several inputs as a dict; a single input without its name, unless the model was made with a dict."""
    by_name = len(inputs) > 1 or isinstance(getattr(model, "input", None), Mapping)
    return dict(inputs) if by_name else next(iter(inputs.values()))
