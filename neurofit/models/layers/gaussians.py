"""Differences of Gaussians: over an image (the LGN stage of the HSM model), and as kernels."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from neurofit.errors import UsageError
from neurofit.models.layers.activations import activation_of
from neurofit.models.layers.convolution import Window
from neurofit.models.layers.weights import initializer, needs_maps, whole

SMALLEST_AMPLITUDE = float(np.finfo(np.float64).eps)
LARGEST_FIRST_AMPLITUDE = 10.0
MARGIN = 2  # pixels: centres stay this far from the first row and column, and from the size
ROWS = ("amplitude_centre", "variance_centre", "x", "y", "amplitude_surround", "variance_surround")


class Gaussians(keras.layers.Layer):
    """Pairs of Gaussians on a grid (height, width): `gaussians` (6, filter), `bias` (filter,)."""

    def __init__(
        self,
        filters,
        *,
        variance_bounds,
        start_below=0.0,
        activation=None,
        use_bias=True,
        bias_initializer="zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = whole(self, "filters", filters)
        self.variance_bounds = _ascending(self, variance_bounds)
        self.start_below = float(start_below)
        self.activation = activation_of(activation)
        self.use_bias = use_bias
        self.bias_initializer = initializer(bias_initializer)

    def _add(self, height, width):
        self.height, self.width = height, width
        self.gaussians = self.add_weight(
            name="gaussians", shape=(len(ROWS), self.filters), initializer=self._start
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer=self.bias_initializer)

    def _bounds(self):
        """Lowest and highest value of each row, each (row, 1); the lowest wins if they contradict."""
        low, high = self.variance_bounds
        lowest = np.array([SMALLEST_AMPLITUDE, low, MARGIN, MARGIN, SMALLEST_AMPLITUDE, low])
        highest = np.array([np.inf, high, self.width - MARGIN, self.height - MARGIN, np.inf, high])
        return lowest[:, None], np.maximum(lowest, highest)[:, None]

    def _start(self, shape, dtype=None):
        low, high = self._bounds()
        high = np.where(np.isinf(high), LARGEST_FIRST_AMPLITUDE, high)
        below = self.start_below * np.array([[name == "y"] for name in ROWS])
        return keras.random.uniform(shape, dtype=dtype) * ops.cast(high - low, dtype) + ops.cast(
            low + below, dtype
        )

    def clipped(self):
        """The six rows as the forward pass sees them: α₁, σ₁, x, y, α₂, σ₁ + σ₂, each (filter,)."""
        low, high = (ops.cast(bound, self.compute_dtype) for bound in self._bounds())
        rows = ops.unstack(
            ops.clip(ops.cast(self.gaussians, self.compute_dtype), low, high), num=len(ROWS), axis=0
        )
        rows[5] = rows[1] + rows[5]
        return rows

    def profiles(self):
        """Profiles of centres, then surrounds: along y (height, 2 · filter), along x (width, 2 · filter).

        Those along y are scaled and signed.
        """
        amplitude_1, variance_1, x, y, amplitude_2, variance_2 = self.clipped()
        variance = ops.concatenate([variance_1, variance_2])
        amplitude = ops.concatenate([amplitude_1, -amplitude_2]) / (2 * np.pi * variance)
        down = ops.arange(self.height, dtype=self.compute_dtype)[:, None] - ops.concatenate([y, y])
        along = ops.arange(self.width, dtype=self.compute_dtype)[:, None] - ops.concatenate([x, x])
        return ops.exp(-ops.square(down) / (2 * variance)) * amplitude, ops.exp(
            -ops.square(along) / (2 * variance)
        )

    def kernel(self):
        """Each filter as an image, (height, width, filter)."""
        along_y, along_x = self.profiles()
        return self._difference(along_y[:, None, :] * along_x[None, :, :])

    def _difference(self, both):
        return both[..., : self.filters] + both[..., self.filters :]

    def get_config(self):
        return super().get_config() | {
            "filters": self.filters,
            "variance_bounds": list(self.variance_bounds),
            "start_below": self.start_below,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }


@keras.saving.register_keras_serializable("neurofit")
class DifferenceOfGaussians(Gaussians):
    """Centre minus surround: one pair of concentric Gaussians per filter, one number per filter and image.

    G(X, Y) = α · exp(−((X − x)² + (Y − y)²) / 2σ) / 2πσ, pixels counted from 0; act(Σ image · (G₁ − G₂) + b).
    σ is a variance [pixels²]. The surround's is the sum of both: σ₂ ← σ₁ + σ₂. A Gaussian is a product of one
    along x and one along y, so a kernel is a product of matrices with two columns and two rows.

    In (image, height, width, channel), out (image, filter); all channels have the same weights. Weights:
    `gaussians` (6, filter), rows as in ROWS (variance_surround is what is added to variance_centre); `bias`
    (filter,). The forward pass clips: α ≥ 2.2e-16, both σ into `variance_bounds` *before* they are summed, x
    into [2, width − 2], y into [2, height − 2]; a weight outside its bounds has gradient 0. Initial values
    are uniform: α in (0, 10), σ in `variance_bounds`, x and y in their bounds.

    Parameters
    ----------
    filters : int
    variance_bounds : tuple of float, default (1, 25)
        Lowest and highest σ [pixels²].
    **kwargs
        `start_below` (default 0) moves the initial y down [pixels]. NDN3 had 2: some of its filters
        start beyond the bound, and stay there. `activation`, `use_bias` and `bias_initializer` are those of
        `Dense`.

    Raises
    ------
    UsageError
        If the bounds are not 0 < low ≤ high.

    References
    ----------
    J. Antolík et al. (2016), the HSM model, doi:10.1371/journal.pcbi.1004927. Bounds, initial values and the
    sum of variances are those of petrroll/NDN3.
    """

    def __init__(self, filters, *, variance_bounds=(1.0, 25.0), **kwargs):
        super().__init__(filters, variance_bounds=variance_bounds, **kwargs)

    def build(self, input_shape):
        needs_maps(self, input_shape)
        self._add(*input_shape[1:3])

    def call(self, images):
        along_y, along_x = self.profiles()
        flat = images[..., 0] if images.shape[-1] == 1 else ops.sum(images, axis=-1)
        # Products of matrices alone: sums over rows of an image, which XLA does not vectorise, take twice as long
        along_y, along_x = (
            ops.transpose(ops.reshape(one, (-1, 2, self.filters)), (2, 1, 0)) for one in (along_y, along_x)
        )
        kernel = ops.einsum(
            "fgy,fgx->fyx", along_y, along_x
        )  # matmul's gradient takes XLA five times as long
        kernel = ops.reshape(kernel, (self.filters, self.height * self.width))
        # Filters first: a product with a long sum and few columns takes Eigen a fifth more time the other way round
        out = ops.matmul(kernel, ops.transpose(ops.reshape(flat, (-1, self.height * self.width))))
        return self.activation(ops.transpose(out if self.bias is None else out + self.bias[:, None]))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.filters)


@keras.saving.register_keras_serializable("neurofit")
class ConvolutionalDifferenceOfGaussians(Gaussians):
    """A convolution whose kernels are differences of Gaussians, the same for every channel.

    In (image, height, width, channel), out (image, height', width', filter), as `Convolution` with padding
    "same". Weights, clips and formula are those of `DifferenceOfGaussians`, on the grid of the kernel: x and
    y in [2, size − 2] (always 2 for a size below 4).

    Parameters
    ----------
    filters : int
    size : int
        Height and width of the kernel, before dilation [pixels].
    stride, dilation : int, default 1
        [Pixels]; see `layers.convolution.Window`.
    variance_bounds : tuple of float, optional
        Lowest and highest σ [pixels²]. Default: (1, max(1, int(.82 · size))).
    **kwargs
        As for `DifferenceOfGaussians`.

    References
    ----------
    petrroll/NDN3.
    """

    def __init__(self, filters, size, *, stride=1, dilation=1, variance_bounds=None, **kwargs):
        whole(self, "size", size)
        super().__init__(
            filters, variance_bounds=variance_bounds or (1.0, max(1, int(0.82 * size))), **kwargs
        )
        self.window = Window(size, stride, dilation).checked(self)

    def build(self, input_shape):
        needs_maps(self, input_shape)
        self._add(self.window.size, self.window.size)

    def call(self, images):
        flat = images if images.shape[-1] == 1 else ops.sum(images, axis=-1, keepdims=True)
        out = self.window.convolved(flat, self.kernel()[:, :, None, :])
        return self.activation(out if self.bias is None else out + self.bias)

    def compute_output_shape(self, input_shape):
        return self.window.shape(self, input_shape, self.filters)

    def get_config(self):
        config = self.window.get_config()
        config.pop("padding")
        return super().get_config() | config


def _ascending(layer, bounds):
    """(low, high), with 0 < low ≤ high; if they are equal, every variance has that value."""
    try:
        low, high = (float(bound) for bound in bounds)
    except (TypeError, ValueError):
        low, high = np.nan, np.nan
    if not 0 < low <= high < np.inf:
        raise UsageError(
            f"{type(layer).__name__}(variance_bounds={bounds!r}): expected two numbers, 0 < low ≤ high."
        )
    return low, high
