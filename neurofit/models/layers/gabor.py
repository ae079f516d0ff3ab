"""The energy of pairs of Gabor filters, a model of complex cells; the filters are fixed or learned."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from neurofit.errors import UsageError
from neurofit.models.layers.convolution import Window
from neurofit.models.layers.weights import Between, one_of, whole

ROWS = ("orientation", "frequency", "spread", "aspect")
FREQUENCIES = (0.01, 0.49)  # cycles per pixel: at 0 and at .5 an odd filter may be 0 everywhere
OUTPUTS = ("amplitude", "energy")
SMALLEST_ENERGY = 1e-6  # added before a square root, whose slope has no end at 0


@keras.saving.register_keras_serializable("neurofit")
class GaborEnergy(keras.layers.Layer):
    """√(even² + odd²) of cross-correlations with an even and an odd Gabor filter, one pair per filter.

    On a grid (size, size), with X and Y from its middle, u = X cos θ + Y sin θ, v = −X sin θ + Y cos θ:
    envelope = exp(−(u² + (γ v)²) / 2σ²); even = envelope · (cos 2πfu − m), where m makes it sum to 0; odd =
    envelope · sin 2πfu; both are then divided by their L2 norms. So uniform light gives 0, and a filter's
    size does not change its scale. Channels are added up.

    In (image, height, width, channel), out (image, height', width', filter). Weights: `gabors` (4, filter),
    rows as in ROWS: θ [rad] (0: upright stripes), f [cycles per pixel], σ [pixels], γ. If learned, they stay
    within f [.01, .49], where both filters exist, σ [.5, size] and γ [.1, 10].

    Parameters
    ----------
    size : int
        Height and width of the filters [pixels].
    orientations : int, default 8
        The filters start with every orientation k π / orientations for every frequency, frequency by
        frequency.
    frequencies : float or sequence of float, default (0.1, 0.2)
        [Cycles per pixel], in [.01, .49].
    octaves : float, default 1
        Half-amplitude bandwidth of the filters, which determines the initial σ; γ starts at 1.
    learned : bool, default False
        Whether training changes the filters.
    output : {"amplitude", "energy"}
        "amplitude" is √(even² + odd² + 1e-6), "energy" is even² + odd².
    stride, dilation : int, default 1
        [Pixels]; see `layers.convolution.Window`.
    padding : {"same", "valid"}
        See `layers.convolution.Window`.

    Raises
    ------
    UsageError
        If a value is not valid.

    References
    ----------
    E. Adelson and J. Bergen (1985), the energy model, doi:10.1364/JOSAA.2.000284.
    """

    def __init__(
        self,
        size,
        *,
        orientations=8,
        frequencies=(0.1, 0.2),
        octaves=1.0,
        learned=False,
        output="amplitude",
        stride=1,
        dilation=1,
        padding="same",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.window = Window(size, stride, dilation, padding).checked(self)
        self.orientations = whole(self, "orientations", orientations)
        self.frequencies = tuple(np.atleast_1d(frequencies).astype(float).tolist())
        self.octaves, self.learned = float(octaves), learned
        self.output_kind = one_of(self, "output", output, OUTPUTS)
        low, high = FREQUENCIES
        if not self.frequencies or octaves <= 0 or not all(low <= one <= high for one in self.frequencies):
            raise UsageError(
                f"GaborEnergy(frequencies={frequencies!r}, octaves={octaves!r}): expected frequencies from "
                f"{low} to {high} cycles per pixel, one or more, and octaves > 0."
            )

    @property
    def filters(self) -> int:
        """Number of filters."""
        return self.orientations * len(self.frequencies)

    def build(self, input_shape):
        self.compute_output_shape(input_shape)
        self.gabors = self.add_weight(
            name="gabors",
            shape=(len(ROWS), self.filters),
            initializer=self._start,
            trainable=self.learned,
            constraint=Between(*self._bounds()),
        )

    def _bounds(self):
        """Lowest and highest value of each row of `gabors`, each (row, 1)."""
        rows = [(-np.inf, np.inf), FREQUENCIES, (0.5, max(0.5, self.window.size)), (0.1, 10)]
        return np.array(rows, np.float64).T[:, :, None]

    def _start(self, shape, dtype=None):
        frequency = np.repeat(self.frequencies, self.orientations)
        orientation = np.tile(np.arange(self.orientations) * np.pi / self.orientations, len(self.frequencies))
        wide = 2**self.octaves
        spread = np.sqrt(np.log(2) / 2) / np.pi * (wide + 1) / (wide - 1) / frequency
        rows = np.stack([orientation, frequency, spread, np.ones(self.filters)])
        return ops.convert_to_tensor(np.clip(rows, *self._bounds()), dtype)

    def kernels(self):
        """The even and the odd filters, each (size, size, filter)."""
        theta, frequency, spread, aspect = ops.unstack(
            ops.cast(self.gabors, self.compute_dtype), num=4, axis=0
        )
        middle = ops.arange(self.window.size, dtype=self.compute_dtype) - (self.window.size - 1) / 2
        y, x = middle[:, None, None], middle[None, :, None]
        along, across = x * ops.cos(theta) + y * ops.sin(theta), y * ops.cos(theta) - x * ops.sin(theta)
        squares = ops.square(along) + ops.square(aspect * across)
        envelope = ops.exp(-squares / (2 * ops.square(spread)))
        even, odd = (envelope * wave(2 * np.pi * frequency * along) for wave in (ops.cos, ops.sin))
        even = even - envelope * (ops.sum(even, axis=(0, 1)) / ops.sum(envelope, axis=(0, 1)))
        return _unit(even), _unit(odd)

    def call(self, images):
        flat = images if images.shape[-1] == 1 else ops.sum(images, axis=-1, keepdims=True)
        both = self.window.convolved(flat, ops.concatenate(self.kernels(), axis=-1)[:, :, None, :])
        energy = ops.square(both[..., : self.filters]) + ops.square(both[..., self.filters :])
        return energy if self.output_kind == "energy" else ops.sqrt(energy + SMALLEST_ENERGY)

    def compute_output_shape(self, input_shape):
        return self.window.shape(self, input_shape, self.filters)

    def get_config(self):
        return (
            super().get_config()
            | self.window.get_config()
            | {
                "orientations": self.orientations,
                "frequencies": list(self.frequencies),
                "octaves": self.octaves,
                "learned": self.learned,
                "output": self.output_kind,
            }
        )


def _unit(kernels):
    squares = ops.sum(ops.square(kernels), axis=(0, 1))
    return kernels * ops.rsqrt(ops.maximum(squares, 1e-12))
