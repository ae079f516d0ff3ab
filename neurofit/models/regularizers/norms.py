"""How large weights are, together or each: penalties that know no places."""

from __future__ import annotations

import keras
from keras import ops

from neurofit.errors import ShapeError
from neurofit.models.regularizers.penalty import OnKernel, Penalty


@keras.saving.register_keras_serializable("neurofit")
class L1(Penalty):
    """λ Σ|w|."""

    def __call__(self, weight):
        return self.strength * ops.sum(ops.abs(weight))


@keras.saving.register_keras_serializable("neurofit")
class L2(Penalty):
    """λ · ½ Σ w², as NDN and `tf.nn.l2_loss` have it; Keras' own L2 has no ½."""

    def __call__(self, weight):
        return self.strength * 0.5 * ops.sum(ops.square(weight))


@keras.saving.register_keras_serializable("neurofit")
class Norm2(Penalty):
    """λ (Σ w² − units)², one sum over the whole weight: NDN's norm2.

    On a readout's `what` and `where` it is NDN's norm2_filt and norm2_space. NDN's norm2 on `sep`, one sum
    over both, is `FactorisedReadout(joint_norm2=λ)`. Only the sum over all units is held near their number; a
    unit may be large and another 0.
    """

    def __call__(self, weight):
        _with_units(self, weight)
        return self.strength * ops.square(ops.sum(ops.square(weight)) - weight.shape[-1])


@keras.saving.register_keras_serializable("neurofit")
class Orthogonal(Penalty):
    """λ Σ (WᵀW − I)² for W (input, unit), all axes but the unit's as one: units of norm 1, at right
    angles.
    """

    def __call__(self, weight):
        _with_units(self, weight)
        units = weight.shape[-1]
        flat = ops.reshape(weight, (-1, units))
        products = ops.matmul(ops.transpose(flat), flat)
        return self.strength * ops.sum(ops.square(products - ops.eye(units, dtype=products.dtype)))


@keras.saving.register_keras_serializable("neurofit")
class GroupSparsity(OnKernel):
    """λ Σ_{channel, unit} √(Σ_{height, width} w²): whole kernels at 0, so that a unit reads few channels.

    The slope of √ has no end at 0; a kernel that is all 0 has gradient 0 here.
    Source: doi:10.48550/arXiv.1711.02653 (Klindt, Ecker, Euler, Bethge 2017).
    """

    def __call__(self, weight):
        squares = ops.sum(ops.square(self.kernel(weight)), axis=(0, 1))
        above = squares > 0
        return self.strength * ops.sum(ops.where(above, ops.sqrt(ops.where(above, squares, 1)), 0))


def _with_units(penalty, weight):
    if len(weight.shape) < 2:
        shape = tuple(weight.shape)
        raise ShapeError(f"{type(penalty).__name__} needs a weight (input, unit), not {shape}.")
