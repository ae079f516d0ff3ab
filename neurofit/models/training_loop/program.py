"""The compiled training of a model: many epochs per call, without Python between steps.

All trainable weights are one vector, (weight,), in the order of `model.trainable_variables`; so is each
moment. The optimiser then has a dozen operations however many layers there are. `training_loop.vectorised` puts a
repetition axis in front of everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from neurofit.datasets.disk_images import DiskImages
from neurofit.errors import NeurofitError, UsageError
from neurofit.models import losses, optimizers
from neurofit.models.building import as_model_takes, every_layer
from neurofit.models.data import Arrays
from neurofit.models.layers.activations import for_xla
from neurofit.models.training import Training
from neurofit.models.training_loop.compilation import handed_on
from neurofit.models.weight_names import rate_factors

ROWS_AT_ONCE = 512  # images per call when predicting, fewer if they are large
BYTES_AT_ONCE = 32 * 2**20  # of their inputs
LEAST_COMPILED = 20_000  # steps: fewer do not make up for XLA's compilation, which takes 1 to 2 s
READ_AHEAD = 2  # steps whose batches are read from disk while others are computed


@dataclass(frozen=True)
class State:
    """What training changes.

    Parameters
    ----------
    weights : tensor, shape (weight,)
    moments : tuple of tensor, shape (weight,)
    step : tensor of int32
        Number of steps done.
    other : tuple of tensor
        The model's other variables: batch statistics, states of dropout's random numbers.
    """

    weights: tf.Tensor
    moments: tuple[tf.Tensor, ...]
    step: tf.Tensor
    other: tuple[tf.Tensor, ...]


class Program:
    """Compiled epochs, predictions and losses of one model with one training, on one training set."""

    columns = 2  # numbers that each epoch returns
    whole_rounds = False  # whether a call must do all epochs until the next validation
    steps_at_once = 2  # in one program of XLA, which takes time to start; more take longer to compile
    converged = False  # whether more epochs would change nothing

    def __init__(
        self, model: keras.Model, training: Training, train: Arrays, rates: np.ndarray | None = None
    ):
        self.model, self.training = model, training
        self.optimizer = optimizers.optimizer(training)
        self.loss = losses.loss(training, rates)
        self.n_images = train.n_images
        self._shapes = [tuple(one.shape) for one in model.trainable_variables]
        self._constraints = [one.constraint for one in model.trainable_variables]
        if len({str(one.dtype) for one in model.trainable_variables}) != 1:
            raise UsageError(f"The model needs weights to train, all of one dtype ({training.dtype}).")
        self._rate_factors = None
        if training.rate_factors:
            self._rate_factors = self._vector(rate_factors(model, training.rate_factors))
        self._data = tuple(map(_tensors, (train.inputs, train.responses, train.mask)))
        self._on_disk = [one for one in train.inputs.values() if isinstance(one, DiskImages)]
        self._unreadable: NeurofitError | None = None
        # a part, its inputs in pieces, its responses and mask
        self._held: tuple[Arrays, list[dict[str, tf.Tensor]], tuple[tf.Tensor, tf.Tensor | None]] | None = (
            None
        )
        self._make_functions()
        self._predict = compiled(self._forward)
        self._loss_of = compiled(self.loss)

    def _make_functions(self) -> None:
        """Make the functions that train, which TensorFlow compiles in their first call."""
        self._update, self._some_updates = self._update_of_step, self._updates
        if self.training.jit:
            self._update = compiled(self._update)  # traced once for all steps of a program
            self._some_updates = compiled(for_xla(self._updates), jit_compile=True)
        self._epochs = compiled(self._many_epochs)
        self._is_compiled = False

    @property
    def _update_of_step(self) -> Callable:
        return self._one_update

    # States

    def start(self, model: keras.Model | None = None) -> State:
        """The weights of a model, moments 0, no steps. Default: the program's own model."""
        model = model or self.model
        weights = self._vector([tf.convert_to_tensor(one.value) for one in model.trainable_variables])
        other = tuple(tf.convert_to_tensor(one.value) for one in model.non_trainable_variables)
        return self.fresh(weights, other)

    def fresh(self, weights: tf.Tensor, other: tuple[tf.Tensor, ...]) -> State:
        """These weights and variables, moments 0, no steps."""
        moments = tuple(tf.zeros_like(weights) for _ in range(self.optimizer.moments))
        return State(weights, moments, tf.constant(0, tf.int32), other)

    def install(self, weights: tf.Tensor, other: tuple[tf.Tensor, ...]) -> None:
        """Put these weights into the model."""
        for variable, value in zip(self.model.trainable_variables, self._weights(weights)):
            variable.assign(value)
        for variable, value in zip(self.model.non_trainable_variables, other):
            variable.assign(value)

    # Training

    def epochs(
        self, state: State, orders: np.ndarray, learning_rate: float | np.ndarray
    ) -> tuple[State, np.ndarray, np.ndarray]:
        """Train one epoch for each row of `orders`.

        Parameters
        ----------
        state : State
        orders : ndarray of int, shape (epoch, image)
        learning_rate : float

        Returns
        -------
        state : State
        cost, penalised : ndarray, shape (epoch,)
            Loss of each epoch, without and with penalties: the mean over its batches, weighted by their
            images, each before its own update.
        """
        state, rows = self._rows(state, orders, learning_rate)
        return state, rows[..., 0], rows[..., 1]

    def _rows(
        self, state: State, orders: np.ndarray, learning_rate: float | np.ndarray
    ) -> tuple[State, np.ndarray]:
        """Train; the state and the numbers of each epoch, (epoch, …, column)."""
        orders = tf.convert_to_tensor(orders, tf.int32)  # the length of a row is compiled in
        rate = tf.constant(learning_rate, state.weights.dtype)
        try:
            weights, moments, step, other, lost = self._trained(
                orders, state.weights, state.moments, state.step, state.other, rate
            )
        except tf.errors.OpError as error:  # TensorFlow's, about the error in a function that it has called
            raise self._unreadable or error from None
        return State(weights, moments, step, other), lost.numpy()

    def _trained(self, *arguments):
        """Call `_epochs`; the first time with what an earlier task of the job has compiled."""
        if self._is_compiled or not self.training.jit:
            return self._epochs(*arguments)
        found = False
        try:
            with handed_on(self._epochs, arguments) as found:
                returned = self._epochs(*arguments)
        except tf.errors.OpError:
            if not found or self._unreadable:
                raise
            self._make_functions()  # TensorFlow remembers for the others that it could not load what was found
            returned = self._epochs(*arguments)
        self._is_compiled = True
        return returned

    def _many_epochs(self, orders, weights, moments, step, other, rate):
        count = tf.shape(orders)[0]
        rows = tf.TensorArray(weights.dtype, size=count, element_shape=(*weights.shape[:-1], self.columns))

        def body(index, rows, *state):
            *state, lost = self._one_epoch(orders[index], *state, rate)
            return index + 1, rows.write(index, lost), *state

        state = (weights, moments, step, other)
        _, rows, *state = tf.while_loop(lambda index, *_: index < count, body, (0, rows, *state))
        return *state, rows.stack()

    def _one_epoch(self, order, weights, moments, step, other, rate):
        *repetitions, images = order.shape  # no repetitions, unless several are trained together
        size = self.training.batch_size
        full = images // size
        together = self.steps_at_once if self.training.jit and not self._on_disk else 1
        rounds = full // together

        def body(index, total, *state):
            *state, lost = self._some_steps(order, index * together * size, [size] * together, *state, rate)
            return index + 1, total + lost, *state

        state = (0, tf.zeros((*repetitions, self.columns), weights.dtype), weights, moments, step, other)
        _, total, *state = tf.while_loop(
            lambda index, *_: index < rounds, body, state, parallel_iterations=self._ahead()
        )
        rest = [size] * (full % together)
        if images % size:
            rest.append(images % size)
        if rest:
            *state, lost = self._some_steps(order, rounds * together * size, rest, *state, rate)
            total = total + lost
        return *state, total / images

    def _ahead(self) -> int:
        """How many rounds of the loop over steps TensorFlow may begin before the first has ended."""
        if self._on_disk:
            return READ_AHEAD
        # More batches than the next program needs would leave too little of the processor's cache.
        return 1 if self.training.jit else 10  # TensorFlow's default

    def _some_steps(self, order, first, sizes, weights, moments, step, other, rate):
        """Successive steps on batches of these sizes, from place `first` of the order; returns their summed losses."""
        # Gathered outside what XLA compiles: its own gather on a CPU is several times slower.
        batches = []
        for size in sizes:
            # tf.slice, unlike order[a:b], knows the length: with an unknown one, gradients take a fifth more time
            rows = tf.slice(order, [*[0] * (order.shape.rank - 1), first], [*order.shape[:-1], size])
            batches.append(tf.nest.map_structure(partial(self._gathered, rows), self._data))
            first += size
        return self._some_updates(batches, weights, moments, step, other, rate)

    def _updates(self, batches, weights, moments, step, other, rate):
        total = 0.0
        for batch in batches:
            _, responses, *_ = batch
            *state, lost = self._update(batch, weights, moments, step, other, rate)
            weights, moments, step, other = state
            total = total + lost * tf.cast(tf.shape(responses)[-2], lost.dtype)
        return weights, moments, step, other, total

    def _gathered(self, rows: tf.Tensor, one: tf.Tensor | DiskImages | None) -> tf.Tensor | None:
        if not isinstance(one, DiskImages):
            return None if one is None else tf.gather(one, rows)
        batch = tf.numpy_function(lambda numbers: self._read(one, numbers), [rows], tf.float32)
        batch.set_shape((rows.shape[0], *one.shape[1:]))
        return batch

    def _read(self, images: DiskImages, rows: np.ndarray) -> np.ndarray:
        try:
            return images[rows]
        except NeurofitError as error:
            self._unreadable = error
            raise

    def _one_update(self, batch, weights, moments, step, other, rate):
        inputs, *wanted = batch
        with tf.GradientTape() as tape:
            tape.watch(weights)
            predictions, other, penalties = self._called(weights, other, inputs, training=True)
            costs = self._costs(predictions, penalties, *wanted)
        gradients = tape.gradient(costs[1], weights)
        if self._rate_factors is not None:
            rate = rate * self._rate_factors
        weights, moments = self.optimizer.update(weights, gradients, moments, step + 1, rate)
        weights = self._constrained(weights)
        return weights, moments, step + 1, other, tf.stack(costs)

    def _costs(self, predictions, penalties, responses, mask):
        """Numbers of a batch; the second one is minimised."""
        cost = self.loss(responses, predictions, mask)
        return [cost, cost + penalties]

    def _constrained(self, weights):
        if not any(self._constraints):
            return weights
        pairs = zip(self._weights(weights), self._constraints)
        return self._vector([constraint(one) if constraint else one for one, constraint in pairs])

    # Predicting

    def predict(self, weights: tf.Tensor, other: tuple, part: Arrays) -> tuple[np.ndarray, float]:
        """Predictions without dropout, (image, neuron), and the value of the penalties."""
        predicted, penalty = [], 0.0
        for inputs in self._inputs_of(part):
            predictions, penalties = self._predict(inputs, weights, other)
            predicted.append(predictions.numpy())
            penalty = float(penalties)
        return np.concatenate(predicted), penalty

    def loss_of(self, predictions: np.ndarray, part: Arrays) -> float:
        """The loss, without penalties, of predictions for a part."""
        responses, mask = self._wanted_of(part)
        return float(self._loss_of(responses, tf.convert_to_tensor(predictions), mask))

    def hold(self, part: Arrays) -> None:
        """Keep a part that is predicted again and again where the model is computed, unless its images are on disk."""
        on_disk = any(isinstance(one, DiskImages) for one in part.inputs.values())
        if not on_disk and (self._held is None or self._held[0] is not part):
            self._held = part, list(_pieces(part)), (_tensors(part.responses), _tensors(part.mask))

    def _inputs_of(self, part: Arrays) -> Iterable[dict[str, tf.Tensor]]:
        """The inputs of a part, a few hundred images at a time."""
        return self._held[1] if self._held is not None and self._held[0] is part else _pieces(part)

    def _wanted_of(self, part: Arrays) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Responses and mask of a part."""
        if self._held is not None and self._held[0] is part:
            return self._held[2]
        return _tensors(part.responses), _tensors(part.mask)

    def _forward(self, inputs, weights, other):
        predictions, _, penalties = self._called(weights, other, inputs, training=False)
        return predictions, penalties

    def _called(self, weights, other, inputs, *, training: bool):
        outputs, other, penalties = self.model.stateless_call(
            self._weights(weights),
            list(other),
            as_model_takes(self.model, inputs),
            training=training,
            return_losses=True,
        )
        outputs = self._outputs(outputs)
        predictions = ops.concatenate(outputs, axis=-1) if len(outputs) > 1 else outputs[0]
        penalties = tf.add_n(penalties) if penalties else tf.zeros((), weights.dtype)
        return predictions, tuple(tf.convert_to_tensor(one) for one in other), penalties

    def _outputs(self, outputs: Any) -> list[tf.Tensor]:
        """The model's outputs, (image, …), in the order of the predictions."""
        return keras.tree.flatten(outputs)

    # A label, which only co-training has

    def label_in_training(self) -> dict[str, float]:
        return {}

    def predict_both(
        self, weights: tf.Tensor, other: tuple, part: Arrays
    ) -> tuple[np.ndarray, np.ndarray | None, float]:
        predictions, penalty = self.predict(weights, other, part)
        return predictions, None, penalty

    def label_scores(self, logits: np.ndarray | None, part: Arrays) -> dict[str, float]:
        return {}

    def weighted(self, seen: dict[str, float]) -> float:
        return 0.0

    # One vector and its pieces

    def _vector(self, weights):
        return tf.concat([tf.reshape(one, [-1]) for one in weights], axis=0)

    def _weights(self, vector):
        pieces = tf.split(vector, [int(np.prod(shape)) for shape in self._shapes])
        return [tf.reshape(piece, shape) for piece, shape in zip(pieces, self._shapes)]


def is_faster_compiled(model: keras.Model, steps: int) -> bool:
    """Whether XLA makes a training faster, as far as that was measured (docs/performance.md).

    True on a CPU for a model of dense and Gaussian layers, without convolutions, whose training has enough steps to
    make up for the compilation. Layers of others are not tried: XLA may not know their operations.
    """
    if steps < LEAST_COMPILED or tf.config.list_physical_devices("GPU"):
        return False
    return all(
        type(layer).__module__.startswith(("keras.", "neurofit."))
        and not any(part in type(layer).__name__ for part in ("Conv", "Lambda", "Random"))
        for layer in every_layer(model)
    )


def _pieces(part: Arrays) -> Iterator[dict[str, tf.Tensor]]:
    step = rows_at_once(part)
    for start in range(0, part.n_images, step):
        yield _tensors({name: values[start : start + step] for name, values in part.inputs.items()})


def rows_at_once(part: Arrays) -> int:
    """How many images of a part are predicted in one call."""
    each = sum(4 * int(np.prod(one.shape[1:])) for one in part.inputs.values())
    return max(1, min(ROWS_AT_ONCE, BYTES_AT_ONCE // max(each, 1)))


def compiled(function: Callable, **how: bool) -> Callable:
    """The function compiled by TensorFlow."""
    # Without AutoGraph, which rewrites Python's `if` and `for`: nothing here needs it, and it takes seconds.
    return tf.function(function, reduce_retracing=True, autograph=False, **how)


def _tensors(values: Any) -> Any:
    return tf.nest.map_structure(
        lambda one: one if one is None or isinstance(one, DiskImages) else tf.convert_to_tensor(one), values
    )
