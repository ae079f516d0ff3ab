"""Compiled training of a model with two outputs: the neurons, and the logits of a label's classes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from neurofit.models.data import Arrays
from neurofit.models.labels import MISSING, NEURONS, Classes
from neurofit.models.training import Training
from neurofit.models.training_loop.program import Program, State, compiled


class CotrainingProgram(Program):
    """Compiled epochs whose loss is response loss + label_weight × cross-entropy of the label.

    Inside, a model's predictions are one tensor, (image, neuron + class). `predict` returns those of the neurons.

    Parameters
    ----------
    model : keras.Model
        Returns {"neurons": (image, neuron), label: (image, class)}.
    training : Training
    train : Arrays
        With labels.
    rates : ndarray, shape (neuron,), or None
        Divides each neuron's Poisson loss.
    classes : Classes
    """

    columns = 5  # losses, then per image: cross-entropy, correct, has a label

    def __init__(
        self,
        model: keras.Model,
        training: Training,
        train: Arrays,
        rates: np.ndarray | None,
        classes: Classes,
    ):
        super().__init__(model, training, train, rates)
        self.classes = classes
        self._n_neurons = train.responses.shape[1]
        self._data = (*self._data, tf.convert_to_tensor(train.labels, tf.int32))
        self._label_sums = compiled(label_sums)
        self._last: dict[str, float] = {}

    def epochs(
        self, state: State, orders: np.ndarray, learning_rate: float | np.ndarray
    ) -> tuple[State, np.ndarray, np.ndarray]:
        """As `Program.epochs`; the penalised loss includes the weighted cross-entropy."""
        state, rows = self._rows(state, orders, learning_rate)
        self._last = self._label_numbers(*rows[-1, 2:])
        return state, rows[:, 0], rows[:, 1]

    def label_in_training(self) -> dict[str, float]:
        """Cross-entropy and accuracy of the label in the last epoch, each batch before its own update."""
        return self._last

    def predict(self, weights: tf.Tensor, other: tuple, part: Arrays) -> tuple[np.ndarray, float]:
        """Predictions of the neurons without dropout, (image, neuron), and the value of the penalties."""
        both, penalty = super().predict(weights, other, part)
        return both[:, : self._n_neurons], penalty

    def predict_both(
        self, weights: tf.Tensor, other: tuple, part: Arrays
    ) -> tuple[np.ndarray, np.ndarray | None, float]:
        """Predictions of the neurons, logits (image, class), and the value of the penalties."""
        both, penalty = super().predict(weights, other, part)
        return both[:, : self._n_neurons], both[:, self._n_neurons :], penalty

    def label_scores(self, logits: np.ndarray | None, part: Arrays) -> dict[str, float]:
        """Cross-entropy and accuracy of the label in a part."""
        assert logits is not None and part.labels is not None
        sums = self._label_sums(tf.convert_to_tensor(part.labels, tf.int32), tf.convert_to_tensor(logits))
        return self._label_numbers(*(float(one) for one in sums))

    def weighted(self, seen: dict[str, float]) -> float:
        """What the label adds to the loss, given its `label_scores`."""
        return self.training.label_weight * seen.get(f"{self.classes.label}_loss", 0.0)

    def _label_numbers(self, entropy: float, correct: float, labelled: float) -> dict[str, float]:
        if not labelled:
            return {}
        name = self.classes.label
        return {f"{name}_loss": float(entropy / labelled), f"{name}_accuracy": float(correct / labelled)}

    def _costs(self, both, penalties, responses, mask, codes):
        predictions, logits = both[:, : self._n_neurons], both[:, self._n_neurons :]
        cost, penalised = super()._costs(predictions, penalties, responses, mask)
        entropy, correct, labelled = label_sums(codes, logits)
        if self.training.label_weight:
            penalised = penalised + self.training.label_weight * entropy / tf.maximum(labelled, 1)
        images = tf.cast(tf.shape(codes)[0], penalised.dtype)
        return [cost, penalised, entropy / images, correct / images, labelled / images]

    def _outputs(self, outputs: Any) -> list[tf.Tensor]:
        return [*keras.tree.flatten(outputs[NEURONS]), outputs[self.classes.label]]


def label_sums(codes: tf.Tensor, logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Summed cross-entropy, and numbers of correct images and of images with a label.

    Parameters
    ----------
    codes : tensor of int, shape (image,)
        -1 where there is no label: such an image counts nowhere.
    logits : tensor, shape (image, class)

    Returns
    -------
    entropy, correct, labelled : tensor
    """
    wanted = tf.one_hot(codes, logits.shape[-1], dtype=logits.dtype)  # zeros for -1
    entropy = -tf.reduce_sum(wanted * tf.nn.log_softmax(logits))
    correct = tf.cast(tf.argmax(logits, axis=-1, output_type=codes.dtype) == codes, logits.dtype)
    return entropy, tf.reduce_sum(correct), tf.reduce_sum(tf.cast(codes != MISSING, logits.dtype))
