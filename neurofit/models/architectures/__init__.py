"""Architectures that jobs share: each is a function of shapes and arguments that returns a Keras model.

`basic` has general ones. `published` has the convolutional network of Klindt et al., and the networks of the
macaque recordings' authors (`docs/macaque.md`). `images` has networks for large colour images, and
`fine_tuning` one that is pretrained (`docs/it.md`).
`thesis` has those of the thesis' experiments, with the thesis' names of arguments, so that its run lists and ours
agree (`docs/thesis.md`). Cheap to import: Keras loads when a model is built.
"""

from __future__ import annotations

from neurofit.models.architectures.basic import hsm, linear_nonlinear, penalty, what_where
from neurofit.models.architectures.fine_tuning import fine_tuned
from neurofit.models.architectures.images import co_trained_cnn, pooled_cnn, shallow_cnn
from neurofit.models.architectures.published import kindel_cnn, kindel_lnln, klindt
from neurofit.models.architectures.thesis import (
    conv_dog,
    conv_factorised,
    conv_factorised_max,
    conv_factorised_norm2,
    conv_hidden,
    conv_penalised,
    dog_dropout,
    dog_hidden,
    dog_l2,
    dog_penalised,
    ln,
    lnln,
)

__all__ = [
    "co_trained_cnn",
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
    "fine_tuned",
    "hsm",
    "kindel_cnn",
    "kindel_lnln",
    "klindt",
    "linear_nonlinear",
    "ln",
    "lnln",
    "penalty",
    "pooled_cnn",
    "shallow_cnn",
    "what_where",
]
