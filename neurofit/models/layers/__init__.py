"""Layers that Keras lacks, in `keras.ops` alone, so that they run on every Keras backend."""

from __future__ import annotations

from neurofit.models.layers.gaussians import DifferenceOfGaussians
from neurofit.models.layers.readout import FactorisedReadout

__all__ = ["DifferenceOfGaussians", "FactorisedReadout"]
