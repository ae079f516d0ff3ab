"""Architectures that jobs share: each a function of shapes and arguments that returns a Keras model.

`basic` has the ones to begin with, `klindt` the field's convolutional network; `thesis_dense` and
`thesis_convolution` those of the thesis' experiments, whose arguments are called as the thesis called them,
so that its run lists and ours read alike (`docs/thesis.md`); `kindel` those of the macaque recordings'
authors (`docs/macaque.md`). Cheap to import: Keras loads when a model is built.
"""

from __future__ import annotations

from neurofit.models.architectures.basic import hsm, linear_nonlinear, penalty, what_where
from neurofit.models.architectures.kindel import kindel_cnn, kindel_lnln
from neurofit.models.architectures.klindt import klindt
from neurofit.models.architectures.thesis_convolution import (
    conv_dog,
    conv_factorised,
    conv_factorised_max,
    conv_factorised_norm2,
    conv_hidden,
    conv_penalised,
)
from neurofit.models.architectures.thesis_dense import (
    dog_dropout,
    dog_hidden,
    dog_l2,
    dog_penalised,
    ln,
    lnln,
)

__all__ = [
    "conv_dog",
    "conv_factorised",
    "conv_factorised_max",
    "conv_factorised_norm2",
    "conv_hidden",
    "conv_penalised",
    "dog_dropout",
    "dog_hidden",
    "dog_l2",
    "dog_penalised",
    "hsm",
    "kindel_cnn",
    "kindel_lnln",
    "klindt",
    "linear_nonlinear",
    "ln",
    "lnln",
    "penalty",
    "what_where",
]
