"""A readout that looks at one learned position per neuron."""

from __future__ import annotations

import keras
from keras import ops

from neurofit.errors import UsageError
from neurofit.models.layers.readout import Readout
from neurofit.models.layers.weights import Between, needs_maps


@keras.saving.register_keras_serializable("neurofit")
class GaussianReadout(Readout):
    """act(Σ_c x[y, x, c] · what[c] + b): the features at one position (y, x) per neuron.

    Bilinear between pixels.

    During training, the position is drawn from N(μ, S Sᵀ) for every image and neuron, so that gradients reach
    positions further away than the next pixel; otherwise it is μ. −1 is the centre of the first pixel and 1
    that of the last, along y and along x. Drawn positions are clipped to this range, and μ is clipped to it
    after each step.

    In (image, height, width, channel), out (image, neuron). Weights: `what` (channel, neuron), 1 / channel;
    `position` μ (2, neuron), y and x; `spread` S (2, 2, neuron); `bias` (neuron,), 0.

    Parameters
    ----------
    neurons : int
    learned_positions : bool, default True
        If False, μ and S stay as they are initialised or assigned.
    sampled : bool, default True
        If False, the position is always μ.
    start_within : float, default 0.3
        μ starts uniform within ± this, in [0, 1].
    start_spread : float, default 0.1
        S starts as this number times the unit matrix.
    activation : str or callable, optional
        Default: linear.
    use_bias : bool, default True
    bias_initializer, what_initializer : str or keras.initializers.Initializer, optional
    what_regularizer : keras.regularizers.Regularizer, optional
    seed : int, optional

    Raises
    ------
    UsageError
        If start_within or start_spread is out of range.

    References
    ----------
    K.-K. Lurz et al. (2021), doi:10.1101/2020.10.05.326256, with their defaults except for S, which they
    initialise at random.
    """

    factors_named = ("what",)
    what = None  # until the layer is built

    def __init__(
        self,
        neurons,
        *,
        learned_positions=True,
        sampled=True,
        start_within=0.3,
        start_spread=0.1,
        activation=None,
        use_bias=True,
        bias_initializer="zeros",
        what_initializer=None,
        what_regularizer=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(
            neurons,
            activation=activation,
            use_bias=use_bias,
            bias_initializer=bias_initializer,
            starts={"what": _one_over_channels if what_initializer is None else what_initializer},
            regularizers={"what": what_regularizer},
            **kwargs,
        )
        if not 0 <= start_within <= 1 or start_spread < 0:
            raise UsageError(
                f"GaussianReadout(start_within={start_within!r}, start_spread={start_spread!r}): expected a "
                "number in [0, 1], and one ≥ 0."
            )
        self.learned_positions, self.sampled = learned_positions, sampled
        self.start_within, self.start_spread = float(start_within), float(start_spread)
        self.random = keras.random.SeedGenerator(seed) if sampled else None

    def build(self, input_shape):
        needs_maps(self, input_shape)
        self.what = self.add_factor("what", (input_shape[-1], self.neurons))
        uniform = keras.initializers.RandomUniform(-self.start_within, self.start_within)
        self.position = self.add_weight(
            name="position",
            shape=(2, self.neurons),
            initializer=uniform,
            trainable=self.learned_positions,
            constraint=Between(-1, 1),
        )
        self.spread = None
        if self.sampled:
            self.spread = self.add_weight(
                name="spread",
                shape=(2, 2, self.neurons),
                initializer=self._start_spread,
                trainable=self.learned_positions,
            )
        self.add_bias()

    def _start_spread(self, shape, dtype=None):
        return self.start_spread * ops.eye(2, dtype=dtype)[:, :, None] * ops.ones(shape, dtype)

    def positions(self, images=None):
        """Positions in [−1, 1]: (2, 1, neuron), or (2, images, neuron) if drawn for that number of images."""
        centre = ops.cast(self.position, self.compute_dtype)[:, None, :]
        if images is not None:
            shape = (2, images, self.neurons)
            noise = keras.random.normal(shape, dtype=self.compute_dtype, seed=self.random)
            centre = centre + ops.einsum("abn,bin->ain", ops.cast(self.spread, self.compute_dtype), noise)
        return ops.clip(centre, -1, 1)

    def call(self, features, training=None):
        drawn = training and self.sampled
        places = self.positions(ops.shape(features)[0] if drawn else None)
        there = bilinear(features, places[0], places[1])
        return self.activated(ops.sum(there * ops.transpose(self.what), axis=-1))

    def get_config(self):
        return super().get_config() | {
            "learned_positions": self.learned_positions,
            "sampled": self.sampled,
            "start_within": self.start_within,
            "start_spread": self.start_spread,
        }


def bilinear(maps, y, x):
    """Values between pixels.

    Parameters
    ----------
    maps : tensor, shape (image, height, width, channel)
    y, x : tensor, shape (image or 1, neuron)
        In [−1, 1], from the centre of the first pixel to that of the last.

    Returns
    -------
    tensor, shape (image, neuron, channel)
    """
    _, height, width, channels = maps.shape
    flat = ops.reshape(maps, (-1, height * width, channels))
    rows, columns = _around(y, height), _around(x, width)
    value = 0.0
    for row, share_y in rows:
        for column, share_x in columns:
            value = value + _taken(flat, row * width + column) * (share_y * share_x)[..., None]
    return value


def _around(along, length):
    """The two pixels around each position and their shares, which add up to 1."""
    place = (along + 1) * (length - 1) / 2
    first = ops.clip(ops.floor(place), 0, max(length - 2, 0))
    share = place - first
    first = ops.cast(first, "int32")
    return [(first, 1 - share), (ops.minimum(first + 1, length - 1), share)]


def _taken(flat, index):
    if index.shape[0] == 1:
        return ops.take(flat, index[0], axis=1)
    return ops.take_along_axis(flat, index[..., None], axis=1)


@keras.saving.register_keras_serializable("neurofit")
def _one_over_channels(shape, dtype=None):
    return ops.ones(shape, dtype) / shape[0]
