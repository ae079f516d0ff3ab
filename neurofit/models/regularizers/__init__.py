"""Penalties on weights: λ times a sum over the weight, never divided by its size.

One penalty belongs to one weight of one layer (`kernel_regularizer=…`), and Keras applies it once; `added`
makes one of several. `penalties(model)` shows what each is worth. Axes are those of the weight: a
convolution's kernel is (height, width, channel, filter), a readout's `where` (height, width, neuron), its
`what` (channel, neuron); the last axis is always the unit's, and units are penalised each by itself. A weight
whose first axis is a flattened image needs `grid`, its (height, width, channel), for the penalties of places;
our own dense layer on an image knows it.

A penalty of places, channels or neighbours that a weight does not have is a ShapeError when the layer is
built.
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
