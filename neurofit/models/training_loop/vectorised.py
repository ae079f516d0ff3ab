"""Compiled training of several repetitions of a model at once, with a repetition axis in front of every weight.

TensorFlow vectorises the update of one model (`tf.vectorized_map`): each operation then computes all repetitions, which
so share the overhead of a step, most of a small model's time.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from neurofit.errors import NeurofitError
from neurofit.models.data import Arrays
from neurofit.models.training_loop.program import Program, State, compiled

_OPERATION = re.compile(r"(?:vectorization defined for |of op ')(\w+)")  # in TensorFlow's errors


class NotVectorised(NeurofitError):
    """TensorFlow cannot vectorise the update of this model; the message says which operation stands in the way."""


class VectorisedProgram(Program):
    """Compiled epochs of several repetitions of one model, on one training set.

    States have the repetition as first axis: weights (repetition, weight), step (repetition,). Predictions are those of
    a single repetition.

    Parameters
    ----------
    single : Program
        The program of one repetition.
    """

    steps_at_once = 4

    def __init__(self, single: Program) -> None:
        vars(self).update(vars(single))  # the same model, data and predictions
        self._number = 0  # of repetitions in the compiled functions

    def epochs(
        self, state: State, orders: np.ndarray, learning_rate: float | np.ndarray
    ) -> tuple[State, np.ndarray, np.ndarray]:
        """Train one epoch for each row of `orders`.

        Parameters
        ----------
        state : State
        orders : ndarray of int, shape (epoch, repetition, image)
        learning_rate : ndarray, shape (repetition,)

        Returns
        -------
        state : State
        cost, penalised : ndarray, shape (epoch, repetition)

        Raises
        ------
        NotVectorised
            TensorFlow cannot vectorise an operation of the model.
        """
        number = orders.shape[1]
        if number != self._number:  # it is compiled in; TensorFlow would make an unknown number of several
            self._number = number
            self._make_functions()
            self._predict_all, self._losses = compiled(self._forward_all), compiled(self._all_losses)
        return super().epochs(state, orders, learning_rate)

    @property
    def _update_of_step(self) -> Callable:
        return self._vectorised

    def seen(self, state: State, part: Arrays) -> list[tuple[np.ndarray, float, float]]:
        """Predictions of each repetition for a part, (image, neuron), its penalties, and its loss without them."""
        predicted, penalties = [], state.weights[:, 0]
        for inputs in self._inputs_of(part):
            predictions, penalties = self._predict_all(inputs, state.weights, state.other)
            predicted.append(predictions)
        whole = tf.concat(predicted, axis=1) if len(predicted) > 1 else predicted[0]
        losses = self._losses(whole, *self._wanted_of(part))
        return list(zip(whole.numpy(), penalties.numpy().tolist(), losses.numpy().tolist()))

    def _forward_all(self, inputs, weights, other):
        return self._mapped(lambda one: self._forward(inputs, *one), (weights, other))

    def _all_losses(self, predictions, responses, mask):
        return self._mapped(lambda one: self.loss(responses, one, mask), predictions)

    @staticmethod
    def _mapped(function, repetitions):
        try:
            with _silent():
                return tf.vectorized_map(function, repetitions, fallback_to_while_loop=False)
        except (ValueError, TypeError, NotImplementedError) as error:
            raise NotVectorised(_reason(error)) from error

    def _vectorised(self, batch, weights, moments, step, other, rate):
        parts = tf.nest.flatten(batch)
        given = [one for one in parts if one is not None]  # no mask if every response counts

        def update(of_one: tuple[Any, ...]) -> Any:
            own, *state = of_one
            own = iter(own)
            whole = tf.nest.pack_sequence_as(batch, [None if one is None else next(own) for one in parts])
            return self._one_update(whole, *state)

        return self._mapped(update, (given, weights, moments, step, other, rate))


def stacked(states: Sequence[State]) -> State:
    """One state of several repetitions."""
    first, *_ = states
    return State(
        tf.stack([one.weights for one in states]),
        tuple(tf.stack([one.moments[index] for one in states]) for index in range(len(first.moments))),
        tf.stack([one.step for one in states]),
        tuple(tf.stack([one.other[index] for one in states]) for index in range(len(first.other))),
    )


def unstacked(state: State) -> list[State]:
    """The states of the single repetitions."""
    moments = [tf.unstack(one) for one in state.moments]
    other = [tf.unstack(one) for one in state.other]
    return [
        State(weights, tuple(one[index] for one in moments), step, tuple(one[index] for one in other))
        for index, (weights, step) in enumerate(zip(tf.unstack(state.weights), tf.unstack(state.step)))
    ]


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Without TensorFlow's own pages about an operation that it cannot vectorise: the error says which it is."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("CRITICAL")
    try:
        yield
    finally:
        logger.setLevel(level)


def _reason(error: Exception) -> str:
    found = _OPERATION.search(str(error))
    what = f"its operation {found[1]}" if found else "this model"
    return f"TensorFlow cannot vectorise {what}"
