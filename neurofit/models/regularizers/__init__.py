"""Penalties on weights: λ times a sum over the weight, never divided by its size.

One penalty belongs to one weight of one layer (`kernel_regularizer=…`), and Keras applies it once. `added`
combines several. `penalties(model)` shows what each is worth.

Axes are those of the weight: a convolution's kernel is (height, width, channel, filter), a readout's `where`
(height, width, neuron), its `what` (channel, neuron). The last axis always belongs to the units, and each
unit is penalised separately. A weight whose first axis is a flattened image needs `grid`, its (height, width,
channel), for penalties of places; neurofit's own dense layer knows it for images.

If a weight lacks the places, channels or neighbours that a penalty needs, building the layer raises a
ShapeError.
"""

from __future__ import annotations

from neurofit.models.regularizers.combine import JointNorm2, OfProduct, Sum, added, penalties
from neurofit.models.regularizers.competition import Glocal, Local, Max, MaxFilters, MaxSpace
from neurofit.models.regularizers.named import KEYS, named
from neurofit.models.regularizers.penalty import L1, L2, GroupSparsity, Norm2, Orthogonal
from neurofit.models.regularizers.smoothness import Center, Differences, Laplacian, NormalisedLaplacian

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
