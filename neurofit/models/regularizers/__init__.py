"""Penalties on weights: λ times a sum over the weight, never divided by its size.

One penalty belongs to one weight of one layer (`kernel_regularizer=…`), and Keras applies it once; `added`
combines several. `penalties(model)` computes their values. Axes are those of the weight: a convolution's
kernel is (height, width, channel, filter), a readout's `where` (height, width, neuron), its `what` (channel,
neuron). The last axis is always the unit's, and each unit is penalised separately. A weight whose first axis
is a flattened image needs `grid`, its (height, width, channel), for penalties of places; our own dense layer
on an image knows it.

A penalty of places, channels or neighbours that a weight does not have is a ShapeError when the layer is
built.
"""

from __future__ import annotations

from neurofit.models.regularizers.combine import KEYS, JointNorm2, OfProduct, Sum, added, named, penalties
from neurofit.models.regularizers.penalty import L1, L2, GroupSparsity, Norm2, Orthogonal
from neurofit.models.regularizers.spatial import (
    Center,
    Differences,
    Glocal,
    Laplacian,
    Local,
    Max,
    MaxFilters,
    MaxSpace,
    NormalisedLaplacian,
)

__all__ = [
    "KEYS",
    "L1",
    "L2",
    "Center",
    "Differences",
    "Glocal",
    "GroupSparsity",
    "JointNorm2",
    "Laplacian",
    "Local",
    "Max",
    "MaxFilters",
    "MaxSpace",
    "Norm2",
    "NormalisedLaplacian",
    "OfProduct",
    "Orthogonal",
    "Sum",
    "added",
    "named",
    "penalties",
]
