"""Layers that Keras lacks, written with `keras.ops` alone, so that they run on every Keras backend."""

from __future__ import annotations

from neurofit.models.layers.activations import OutputNonlinearity
from neurofit.models.layers.convolution import Convolution, SeparableConvolution
from neurofit.models.layers.gabor import GaborEnergy
from neurofit.models.layers.gaussians import ConvolutionalDifferenceOfGaussians, DifferenceOfGaussians
from neurofit.models.layers.linear import Dense, Scale, UnitScale
from neurofit.models.layers.positions import GaussianReadout
from neurofit.models.layers.readout import FactorisedReadout, RankOneReadout
from neurofit.models.layers.weights import Between

__all__ = [
    "Between",
    "Convolution",
    "ConvolutionalDifferenceOfGaussians",
    "Dense",
    "DifferenceOfGaussians",
    "FactorisedReadout",
    "GaborEnergy",
    "GaussianReadout",
    "OutputNonlinearity",
    "RankOneReadout",
    "Scale",
    "SeparableConvolution",
    "UnitScale",
]
