"""Optimisers as functions: (weights, gradients, moments, step, learning rate) → (weights, moments).

They work elementwise: weights are (weight,) or (repetition, weight); step and learning rate are numbers, or
(repetition, 1), or the rate is (weight,). `step` counts from 1. A moment has the shape of the weights and starts at 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from keras import ops

from neurofit.models.training import Training

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Optimizer:
    """One optimiser.

    Parameters
    ----------
    update : callable or None
        The function described in the module's docstring; None for L-BFGS, which is SciPy's
        (`training_loop.lbfgs`).
    moments : int
        Number of moments that it keeps.
    """

    update: Callable[..., Any] | None
    moments: int


def adam(weights, gradients, moments, step, learning_rate):
    """w − lr · √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε).

    As in TensorFlow 1 and NDN: ε is outside the bias correction.

    References
    ----------
    D. Kingma and J. Ba (2015), doi:10.48550/arXiv.1412.6980, the form before section 2.1.
    """
    mean, square = moments
    mean = BETA_1 * mean + (1 - BETA_1) * gradients
    square = BETA_2 * square + (1 - BETA_2) * ops.square(gradients)
    step = ops.cast(step, weights.dtype)
    # 1 − βᵗ by expm1: float32 has few digits of it left in the first steps, enough to move weights by 2e-6
    # after 200.
    one, two = (-ops.expm1(step * math.log(beta)) for beta in (BETA_1, BETA_2))
    rate = learning_rate * ops.sqrt(two) / one
    return weights - rate * mean / (ops.sqrt(square) + EPSILON), (mean, square)


def adamw(weights, gradients, moments, step, learning_rate, *, weight_decay):
    """Adam, and every weight shrinks by lr · weight_decay · w.

    References
    ----------
    I. Loshchilov and F. Hutter (2019), doi:10.48550/arXiv.1711.05101.
    """
    moved, moments = adam(weights, gradients, moments, step, learning_rate)
    return moved - learning_rate * weight_decay * weights, moments


def sgd(weights, gradients, moments, step, learning_rate, *, momentum):
    """v ← momentum · v + g; w − lr · v. Without momentum there is no moment."""
    if not momentum:
        return weights - learning_rate * gradients, ()
    (velocity,) = moments
    velocity = momentum * velocity + gradients
    return weights - learning_rate * velocity, (velocity,)


def optimizer(training: Training) -> Optimizer:
    """The optimiser that a training names, with its settings."""
    if training.optimizer == "adam":
        return Optimizer(adam, moments=2)
    if training.optimizer == "lbfgs":
        return Optimizer(None, moments=0)
    if training.optimizer == "adamw":
        return Optimizer(partial(adamw, weight_decay=training.weight_decay), moments=2)
    return Optimizer(partial(sgd, momentum=training.momentum), moments=1 if training.momentum else 0)
