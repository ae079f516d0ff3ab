"""Layers that Keras lacks, in `keras.ops` alone, so that they run on every Keras backend."""

from __future__ import annotations

from neurofit.models.layers.gaussians import ConvolutionalDifferenceOfGaussians, DifferenceOfGaussians
from neurofit.models.layers.linear import Convolution, Dense, Scale
from neurofit.models.layers.readout import FactorisedReadout

__all__ = [
    "Convolution",
    "ConvolutionalDifferenceOfGaussians",
    "Dense",
    "DifferenceOfGaussians",
    "FactorisedReadout",
    "Scale",
]
