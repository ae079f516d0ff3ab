"""L-BFGS: all images at once, in float64, by SciPy; for models whose loss is deterministic."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import scipy.optimize
import tensorflow as tf

from neurofit.errors import UsageError
from neurofit.models.building import every_layer
from neurofit.models.data import Arrays
from neurofit.models.layers.weights import bounds
from neurofit.models.training import Training
from neurofit.models.training_loop.program import Program, State, compiled

PAIRS = 20  # of steps and gradients that are remembered
# Training ends at a smaller relative decrease of the loss, or a smaller largest gradient
TOLERANCES = {"ftol": 1e-12, "gtol": 1e-8}
EVALUATIONS = 20  # at most, per iteration: a line search takes one or two


class LbfgsProgram(Program):
    """A `Program` whose epochs are iterations of L-BFGS.

    A call is one run of SciPy, which keeps nothing of the call before. The state of a training is therefore
    its weights alone, and a stopped training continues bit by bit identically. So one call must do many
    iterations.
    """

    whole_rounds = True

    def __init__(
        self, model: keras.Model, training: Training, train: Arrays, rates: np.ndarray | None = None
    ):
        super().__init__(model, training, train, rates)
        changing = self._changing_variables()
        if changing:
            raise UsageError(
                f"optimizer='lbfgs' needs a loss that is deterministic; {', '.join(changing)} changes it. "
                "Leave out dropout, noise and batch normalisation (or freeze the latter), or use adam."
            )
        self._bounds = _all_bounds(model.trainable_variables)
        _check_float64(model)
        self._slope = compiled(self._loss_and_gradient)

    def epochs(
        self, state: State, orders: np.ndarray, learning_rate: float | np.ndarray
    ) -> tuple[State, np.ndarray, np.ndarray]:
        """Do one iteration per row of `orders`, fewer if it converges; losses are after each."""
        losses: list[tuple[float, float]] = []
        last = (np.nan, np.nan)

        def objective(weights: np.ndarray) -> tuple[float, np.ndarray]:
            nonlocal last
            cost, penalised, gradient = (one.numpy() for one in self._slope(weights, state.other))
            last = float(cost), float(penalised)
            return last[1], gradient

        result = scipy.optimize.minimize(
            objective,
            state.weights.numpy(),
            jac=True,
            method="L-BFGS-B",
            bounds=self._bounds,
            callback=lambda _: losses.append(last),  # a line search ends at the point that it evaluated last
            options={
                "maxiter": len(orders),
                "maxfun": EVALUATIONS * len(orders),
                "maxcor": PAIRS,
                **TOLERANCES,
            },
        )
        # Status 1: all iterations or evaluations used; 2: a line search failed, which a restart may
        # overcome.
        self.converged = result.status == 0 or (result.status == 2 and result.nit == 0)
        cost, penalised = np.array(losses or [last]).T
        return State(tf.constant(result.x), (), state.step + len(cost), state.other), cost, penalised

    def _changing_variables(self) -> list[str]:
        """Variables that a call during training changes: batch statistics, states of random numbers."""
        before = self.start()
        inputs = tf.nest.map_structure(lambda one: one[:2], self._data[0])
        _, after, _ = self._called(before.weights, before.other, inputs, training=True)
        changed = [not np.array_equal(one, other) for one, other in zip(before.other, after)]
        return [one.path for one, moved in zip(self.model.non_trainable_variables, changed) if moved]

    def _loss_and_gradient(self, weights: tf.Tensor, other: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
        inputs, responses, mask = self._data
        with tf.GradientTape() as tape:
            tape.watch(weights)
            predictions, _, penalties = self._called(weights, other, inputs, training=True)
            cost = self.loss(responses, predictions, mask)
            penalised = cost + penalties
        return cost, penalised, tape.gradient(penalised, weights)


def _all_bounds(variables: Sequence[keras.Variable]) -> scipy.optimize.Bounds | None:
    """Bounds of all weights in one vector; None if no weight has bounds."""
    if not any(one.constraint for one in variables):
        return None
    pairs = [bounds(one) for one in variables]
    low, high = (np.concatenate([pair[side].ravel() for pair in pairs]) for side in (0, 1))
    return scipy.optimize.Bounds(low, high)


def _check_float64(model: keras.Model) -> None:
    """Raise UsageError unless every layer computes in float64.

    The gradient is float64 in any case, so precision lost in a layer would not be noticed.
    """
    for layer in every_layer(model):
        found = {layer.compute_dtype, *(str(one.dtype) for one in layer.weights if "float" in str(one.dtype))}
        if found != {"float64"}:
            raise UsageError(
                f"optimizer='lbfgs': layer '{layer.name}' computes in "
                f"{', '.join(sorted(found - {'float64'}))}; "
                "expected float64. Leave its dtype out: a model for lbfgs is built in float64."
            )
