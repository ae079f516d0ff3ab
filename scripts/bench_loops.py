"""Training loops written by hand in TensorFlow, for one model each: what `scripts/bench training` compares ours with.

They know nothing of Keras or neurofit. The mathematics and penalties are those of `architectures.hsm`, `what_where` and
`klindt` with their default arguments, trained by Adam on the Poisson loss; tests/models/test_bench_loops.py holds that
weights agree. Weights are arrays in the order of a model's `trainable_variables`, other variables in that of its
`non_trainable_variables`. Each loop is one compiled while loop over all steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
BATCH = 16
Tensors = list[tf.Tensor]
Forward = Callable[[Tensors, Tensors, tf.Tensor], tuple[tf.Tensor, Tensors, tf.Tensor]]


@dataclass(frozen=True)
class Parts:
    """What a hand-written loop does in another way, or leaves out, to see what that costs.

    Parameters
    ----------
    adam : {"fused", "each", "vector"}
        TensorFlow's kernel on variables; the formula on each tensor; the formula on one vector of all weights,
        which is split for the model and whose gradients are joined, as in our loop.
    nested : bool
        A loop over steps inside a loop over epochs.
    gather : bool
        False: the same batch in every step.
    penalties : bool
        False: without them.
    missing : bool
        Leave out responses that are NaN, as our loss does.
    forward : callable, optional
        Instead of the hand-written model: (weights, other, images) → (predictions, other, penalty).
    """

    adam: str = "fused"
    nested: bool = False
    gather: bool = True
    penalties: bool = True
    missing: bool = False
    forward: Forward | None = None


class Loop:
    """A compiled loop over steps.

    Parameters
    ----------
    name : str
        A key of FORWARD.
    weights, other : sequence of ndarray
        Initial values.
    images : ndarray, shape (image, height, width, 1)
    responses : ndarray, shape (image, neuron)
    parts : Parts, optional
    jit : bool, default False
        Compile each step with XLA.
    """

    def __init__(
        self,
        name: str,
        weights: Sequence[np.ndarray],
        other: Sequence[np.ndarray],
        images: np.ndarray,
        responses: np.ndarray,
        parts: Parts | None = None,
        *,
        jit: bool = False,
    ):
        self.parts = parts or Parts()
        self._forward = self.parts.forward or FORWARD[name]
        self._images, self._responses = tf.constant(images), tf.constant(responses)
        self._shapes = [tuple(one.shape) for one in weights]
        self._other = [tf.constant(one) for one in other]
        self._step = tf.constant(0)
        self._fused = self.parts.adam == "fused"
        start = [tf.constant(one) for one in weights]
        if self.parts.adam == "vector":
            start = [self._joined(start)]
        make = tf.Variable if self._fused else tf.identity
        self._weights = [make(one) for one in start]
        self._moments = [make(tf.zeros_like(one)) for one in start + start]
        self._update = self._one_update
        if jit:
            self._update = tf.function(self._one_update, jit_compile=True, autograph=False)
        self._run = tf.function(self._many, autograph=False, reduce_retracing=True)

    def run(self, orders: np.ndarray, rate: float) -> float:
        """Train an epoch per row of `orders`, whole batches of 16 only; the last step's penalised loss."""
        orders = np.asarray(orders, np.int32)
        steps = orders.shape[1] // BATCH
        rows = orders[:, : steps * BATCH].reshape(len(orders), steps, BATCH)
        state = ([], []) if self._fused else (self._weights, self._moments)
        weights, moments, self._step, self._other, cost = self._run(
            tf.constant(rows if self.parts.nested else rows.reshape(-1, BATCH)),
            *state,
            self._step,
            self._other,
            tf.constant(rate, self._images.dtype),
        )
        if not self._fused:
            self._weights, self._moments = weights, moments
        return float(cost)

    def weights(self) -> list[np.ndarray]:
        """The weights now, as they were given."""
        now = [tf.convert_to_tensor(one) for one in self._weights]
        return [one.numpy() for one in (self._pieces(now[0]) if self.parts.adam == "vector" else now)]

    def _many(self, rows, weights, moments, step, other, rate):
        def steps(rows, *state):
            def body(index, *state):
                return index + 1, *self._one_step(rows[index], *state[:-1], rate)

            count = tf.shape(rows)[0]
            return tf.while_loop(lambda index, *_: index < count, body, (0, *state))[1:]

        state = (weights, moments, step, other, tf.zeros((), self._images.dtype))
        if not self.parts.nested:
            return steps(rows, *state)
        epochs = tf.shape(rows)[0]
        return tf.while_loop(
            lambda index, *_: index < epochs,
            lambda index, *state: (index + 1, *steps(rows[index], *state)),
            (0, *state),
        )[1:]

    def _one_step(self, rows, weights, moments, step, other, rate):
        if self.parts.gather:
            batch = tf.gather(self._images, rows), tf.gather(self._responses, rows)
        else:
            batch = self._images[:BATCH], self._responses[:BATCH]
        return self._update(*batch, weights, moments, step, other, rate)

    def _one_update(self, images, responses, weights, moments, step, other, rate):
        held = weights
        if self._fused:
            held = [one.read_value() for one in self._weights]
        with tf.GradientTape() as tape:
            tape.watch(held)
            used = self._pieces(held[0]) if self.parts.adam == "vector" else held
            rates, other, penalty = self._forward(used, other, images)
            if self.parts.missing:
                there = tf.math.is_finite(responses)
                responses, rates = (tf.where(there, one, tf.zeros_like(one)) for one in (responses, rates))
            cost = -tf.reduce_sum(responses * tf.math.log(1e-6 + rates) - rates) / BATCH
            if self.parts.penalties:
                cost += penalty
        slopes = tape.gradient(cost, held)
        step += 1
        one, two = (-tf.math.expm1(tf.cast(step, cost.dtype) * math.log(beta)) for beta in (BETA_1, BETA_2))
        if self._fused:
            self._apply(slopes, one, two, rate)
        else:
            weights, moments = self._moved(weights, moments, slopes, rate * tf.sqrt(two) / one)
        return weights, moments, step, other, cost

    def _apply(self, slopes, one, two, rate):
        count = len(slopes)
        for weight, mean, square, slope in zip(
            self._weights, self._moments[:count], self._moments[count:], slopes
        ):
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=mean.handle,
                v=square.handle,
                beta1_power=1 - one,
                beta2_power=1 - two,
                lr=rate,
                beta1=BETA_1,
                beta2=BETA_2,
                epsilon=EPSILON,
                grad=slope,
            )

    @staticmethod
    def _moved(weights, moments, slopes, rate):
        count = len(slopes)
        means = [BETA_1 * m + (1 - BETA_1) * g for m, g in zip(moments[:count], slopes)]
        squares = [BETA_2 * v + (1 - BETA_2) * tf.square(g) for v, g in zip(moments[count:], slopes)]
        moved = [w - rate * m / (tf.sqrt(v) + EPSILON) for w, m, v in zip(weights, means, squares)]
        return moved, means + squares

    @staticmethod
    def _joined(tensors):
        return tf.concat([tf.reshape(one, [-1]) for one in tensors], axis=0)

    def _pieces(self, vector):
        pieces = tf.split(vector, [math.prod(shape) for shape in self._shapes])
        return [tf.reshape(piece, shape) for piece, shape in zip(pieces, self._shapes)]


# The models: (weights, other variables, images) → predictions (image, neuron), other variables, penalty


def hsm(weights, other, images):
    """Nine differences of Gaussians → 20 → neurons."""
    gaussians, bias, kernel_1, bias_1, kernel_2, bias_2 = weights
    height, width = images.shape[1:3]
    smallest = np.finfo(np.float64).eps
    low = np.array([[smallest], [1], [2], [2], [smallest], [1]])
    high = np.array([[np.inf], [25], [width - 2], [height - 2], [np.inf], [25]])
    low, high = (tf.constant(one, images.dtype) for one in (low, high))
    centre, variance, x, y, surround, added = tf.unstack(tf.clip_by_value(gaussians, low, high))
    variances = tf.concat([variance, variance + added], 0)
    amplitudes = tf.concat([centre, -surround], 0) / (2 * np.pi * variances)
    down = tf.range(height, dtype=images.dtype)[:, None] - tf.concat([y, y], 0)
    along = tf.range(width, dtype=images.dtype)[:, None] - tf.concat([x, x], 0)
    along_y = tf.exp(-tf.square(down) / (2 * variances)) * amplitudes
    along_x = tf.exp(-tf.square(along) / (2 * variances))
    seen = tf.reduce_sum(tf.tensordot(images[..., 0], along_x, 1) * along_y, axis=1)
    filters = bias.shape[0]
    dogs = seen[:, :filters] + seen[:, filters:] + bias
    hidden = tf.nn.softplus(dogs @ kernel_1 + bias_1)
    return tf.nn.softplus(hidden @ kernel_2 + bias_2), other, tf.zeros((), images.dtype)


def what_where(weights, other, images):
    """A convolution 9 wide with stride 3 → what × where. Penalties: Laplacian .1, L1 of where .01."""
    kernel, bias, what, where, bias_2 = weights
    features = tf.nn.softplus(tf.nn.conv2d(images, kernel, 3, "SAME") + bias)
    unit = what * tf.math.rsqrt(tf.maximum(tf.reduce_sum(tf.square(what), axis=0), 1e-12))
    drive = _readout(features, unit, where)
    padded = tf.pad(kernel, [[1, 1], [1, 1], [0, 0], [0, 0]])
    around = padded[2:, 1:-1] + padded[:-2, 1:-1] + padded[1:-1, 2:] + padded[1:-1, :-2]
    rough = tf.reduce_sum(tf.square(around - 4 * kernel))
    return tf.nn.softplus(drive + bias_2), other, 0.1 * rough + 0.01 * tf.reduce_sum(tf.abs(where))


def klindt(weights, other, images):
    """Three convolutions with normalised batches → |what| × |where|.

    Penalties: normalised Laplacian .03, group sparsity .05, L1 of the product .02.
    """
    kernel_1, beta_1, kernel_2, beta_2, kernel_3, beta_3, what, where, bias = weights
    later: Tensors = []
    x = tf.nn.conv2d(images, kernel_1, 1, "VALID")
    x = tf.nn.softplus(_normalised(x, beta_1, other[0:2], later))
    x = tf.nn.conv2d(x, kernel_2, 1, "SAME")
    x = tf.nn.softplus(_normalised(x, beta_2, other[2:4], later))
    x = tf.nn.conv2d(x, kernel_3, 1, "SAME")
    x = _normalised(x, beta_3, other[4:6], later)
    what, where = tf.abs(what), tf.abs(where)
    rates = tf.nn.softplus(_readout(x, what, where) + bias)
    product = tf.reduce_sum(tf.reduce_sum(what, 0) * tf.reduce_sum(where, [0, 1]))
    sparse = sum(
        tf.reduce_sum(tf.sqrt(tf.reduce_sum(tf.square(one), [0, 1]))) for one in (kernel_2, kernel_3)
    )
    return rates, later, 0.03 * _roughness(kernel_1) + 0.05 * sparse + 0.02 * product


def _normalised(x, beta, moving, later):
    mean, variance = tf.nn.moments(x, [0, 1, 2])
    later += [0.9 * old + 0.1 * new for old, new in zip(moving, (mean, variance))]
    return tf.nn.batch_normalization(x, mean, variance, beta, None, 1e-3)


def _roughness(kernel):
    # ((¼, ½, ¼), (½, −3, ½), (¼, ½, ¼)) is (½, 1, ½) in both directions, less 4 in the middle
    padded = tf.pad(kernel, [[1, 1], [1, 1], [0, 0], [0, 0]])
    down = 0.5 * (padded[2:] + padded[:-2]) + padded[1:-1]
    lap = 0.5 * (down[:, 2:] + down[:, :-2]) + down[:, 1:-1] - 4 * kernel
    rough = tf.reduce_sum(tf.square(lap), [0, 1])
    return tf.reduce_sum(rough / tf.maximum(tf.reduce_sum(tf.square(kernel), [0, 1]), 1e-12))


def _readout(features, what, where):
    """Σ_{h,w,c} features · where · what, (image, neuron)."""
    channels, neurons = what.shape
    places = where.shape[0] * where.shape[1]
    pixels = tf.reshape(features, (-1, places, channels))
    there = tf.matmul(pixels, tf.reshape(where, (places, neurons)), transpose_a=True)
    return tf.reduce_sum(there * what, axis=1)


FORWARD: dict[str, Forward] = {"hsm": hsm, "what_where": what_where, "klindt": klindt}
