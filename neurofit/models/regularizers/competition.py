"""Weights that compete: λ tr((W²)ᵀ M W²), one implementation for every M that NDN has.

M (input, input) says how much two inputs of a unit may not both be used. It is never made: each M here is a
few products aᵢ bⱼ, less the diagonal, so that Σᵢⱼ sᵢ Mᵢⱼ sⱼ, s = w², is Σ_k (Σᵢ aₖᵢ sᵢ)(Σⱼ bₖⱼ sⱼ) − Σᵢ sᵢ².
"""

from __future__ import annotations

import keras
from keras import ops

from neurofit.models.regularizers.penalty import OnKernel
from neurofit.models.regularizers.smoothness import places


class _Competition(OnKernel):
    needs: str  # what a weight must have several of
    rivals: tuple[int, ...]  # axes of (height, width, channel, unit) whose entries compete with each other
    pooled: tuple[int, ...] = ()  # axes that are summed over first
    diagonal = 1.0  # what is taken off each entry's pair with itself

    def products(self, height, width):
        """Pairs (a, b), each a number or (height, width, 1, 1), whose products make M with its diagonal."""
        return [(1.0, 1.0)]

    def __call__(self, weight):
        squares = ops.square(self.kernel(weight, self.needs))
        if self.pooled:
            squares = ops.sum(squares, axis=self.pooled, keepdims=True)
        total = -self.diagonal * ops.sum(ops.square(squares)) if self.diagonal else 0.0
        for pair in self.products(*squares.shape[:2]):
            one, other = (ops.sum(ops.cast(side, squares.dtype) * squares, axis=self.rivals) for side in pair)
            total = total + ops.sum(one * other)
        return self.strength * total


@keras.saving.register_keras_serializable("neurofit")
class Max(_Competition):
    """λ Σ_units [(Σ w²)² − Σ w⁴]: of all inputs of a unit, one should win. NDN's max."""

    needs, rivals = "inputs", (0, 1, 2)


@keras.saving.register_keras_serializable("neurofit")
class MaxFilters(_Competition):
    """λ Σ_{place, unit} [(Σ_channel w²)² − Σ_channel w⁴]: one channel should win at each place. NDN's max_filt.

    A weight (channel, unit), such as a readout's `what`, is one place.
    """

    needs, rivals = "channels", (2,)


@keras.saving.register_keras_serializable("neurofit")
class MaxSpace(_Competition):
    """λ Σ_{channel, unit} [(Σ_place w²)² − Σ_place w⁴]: one place should win in each channel. NDN's max_space."""

    needs, rivals = "places", (0, 1)


class _Apart(_Competition):
    """|p − q|² = |p|² + |q|² − 2 p · q, divided by (height / 2)² + (width / 2)²."""

    needs, rivals, diagonal = "places", (0, 1), 0.0

    def products(self, height, width):
        y, x = places(height, width)
        size = (height / 2) ** 2 + (width / 2) ** 2
        squared = (y**2 + x**2) / size
        return [(squared, 1.0), (1.0, squared), (-2 * y / size, y), (-2 * x / size, x)]


@keras.saving.register_keras_serializable("neurofit")
class Local(_Apart):
    """λ Σ_{channel, unit} Σ_pq w²_p w²_q |p − q|² / ((height / 2)² + (width / 2)²): each channel at one place.

    It is NDN's local.
    """


@keras.saving.register_keras_serializable("neurofit")
class Glocal(_Apart):
    """As `Local` on w² summed over channels: a unit's channels all at one place. NDN's glocal."""

    pooled = (2,)
