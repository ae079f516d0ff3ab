"""Readouts: from a map of features to one number per neuron, by products of what and where."""

from __future__ import annotations

import logging

import keras
from keras import ops

from neurofit.errors import UsageError
from neurofit.models.layers.activations import activation_of
from neurofit.models.layers.weights import as_used, initializer, needs_maps, one_of, penalty_on, whole
from neurofit.models.regularizers import L2, JointNorm2, Norm2, OfProduct, added

log = logging.getLogger(__name__)

FACTORS = ("none", "what", "where", "both")


class Readout(keras.layers.Layer):
    """Base of readouts: weights by name, each with an initializer and a penalty; bias, activation."""

    # Attributes that hold a weight, or None until it is built; settings are NAME_initializer and NAME_regularizer
    factors_named: tuple[str, ...] = ()

    def __init__(
        self,
        neurons,
        *,
        activation,
        use_bias,
        bias_initializer,
        starts,
        regularizers,
        product_l1=0.0,
        joint_norm2=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.neurons, self.use_bias = whole(self, "neurons", neurons), use_bias
        self.activation = activation_of(activation)
        self.bias_initializer = initializer(bias_initializer)
        self.product_l1, self.joint_norm2 = product_l1, joint_norm2
        self.starts = {name: initializer(starts.get(name)) for name in self.factors_named}
        self.regularizers = {
            name: keras.regularizers.get(regularizers.get(name)) for name in self.factors_named
        }

    def used(self, name, weight):
        """A factor as the forward pass sees it."""
        return weight

    def add_factor(self, name, shape):
        """Create the weight with this name, its own penalty, and the penalties on all factors."""
        joint = self._joint(OfProduct, self.product_l1, name), self._joint(JointNorm2, self.joint_norm2, name)
        regularizer = added(self.regularizers[name], *joint)
        penalty = penalty_on(self, regularizer, shape, lambda weight: self.used(name, weight))
        return self.add_weight(name=name, shape=shape, initializer=self.starts[name], regularizer=penalty)

    def _joint(self, kind, strength, name):
        """A penalty on all factors, applied to the last one that is trained; None if its strength is 0."""
        if not strength:
            return None
        place = self.factors_named.index(name)
        others = [one for one in self.factors_named if one != name]
        return kind(
            strength,
            lambda: [self.used(one, getattr(self, one)) for one in others],
            unless=lambda: any(self._is_trained(one) for one in self.factors_named[place + 1 :]),
        )

    def _is_trained(self, name):
        weight = getattr(self, name)
        return weight is None or weight.trainable

    def add_bias(self):
        """Create the bias, if there is one."""
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.neurons,), initializer=self.bias_initializer)

    def activated(self, out):
        """The output after bias and activation."""
        return self.activation(out if self.bias is None else out + self.bias)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.neurons)

    def get_config(self):
        start, regularizer = keras.initializers.serialize, keras.regularizers.serialize
        return super().get_config() | {
            "neurons": self.neurons,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "bias_initializer": start(self.bias_initializer),
            **{f"{name}_initializer": start(one) for name, one in self.starts.items()},
            **{f"{name}_regularizer": regularizer(one) for name, one in self.regularizers.items()},
        }


@keras.saving.register_keras_serializable("neurofit")
class FactorisedReadout(Readout):
    """What each neuron looks for, and where: act(Σ_{h,w,c} x[h, w, c] · where[h, w] · what[c] + b).

    In (image, height, width, channel), out (image, neuron). Weights: `what` (channel, neuron) and `where`
    (height, width, neuron), N(0, .1); `bias` (neuron,), 0.

    Only the product of the factors matters, so one of them should be normalised, or their product penalised.
    Penalties see the factors as the forward pass does, so that Σ w² of a normalised one is constant; the
    optimiser moves the raw ones.

    Parameters
    ----------
    neurons : int
    normalised : {"what", "where", "both", "none"}
        Factors that are divided by their L2 norm per neuron. NDN3's `sep` has "what".
    positive : {"none", "what", "where", "both"}
        Factors whose negative part is set to 0 before that.
    magnitude : {"none", "what", "where", "both"}
        Factors that count by their absolute value. They are not negative either, but have a gradient on both
        sides of 0.
    product_l1 : float, default 0
        λ of λ Σ_{h,w,c,neuron} |where[h, w] · what[c]|, the authors' penalty on the weight itself. Moving
        scale from one factor to the other does not avoid it, so no factor needs to be normalised. Keras
        applies it to `where`, or to `what` while `where` is frozen.
    joint_norm2 : float, default 0
        λ of λ (Σ what² + Σ where² − neurons)², NDN3's `norm2` on `sep`; applied in the same way.
    activation : str or callable, optional
        Default: linear.
    use_bias : bool, default True
    what_initializer, where_initializer, bias_initializer : str or keras.initializers.Initializer, optional
    what_regularizer, where_regularizer : keras.regularizers.Regularizer, optional

    Raises
    ------
    UsageError
        If a value is not valid, or a factor is both positive and a magnitude.

    References
    ----------
    D. Klindt, A. Ecker, T. Euler and M. Bethge (2017), doi:10.48550/arXiv.1711.02653.
    """

    factors_named = ("what", "where")
    what = where = None  # until the layer is built

    def __init__(
        self,
        neurons,
        *,
        normalised="what",
        positive="none",
        magnitude="none",
        product_l1=0.0,
        joint_norm2=0.0,
        activation=None,
        use_bias=True,
        what_initializer=None,
        where_initializer=None,
        bias_initializer="zeros",
        what_regularizer=None,
        where_regularizer=None,
        **kwargs,
    ):
        super().__init__(
            neurons,
            activation=activation,
            use_bias=use_bias,
            bias_initializer=bias_initializer,
            starts={"what": what_initializer, "where": where_initializer},
            regularizers={"what": what_regularizer, "where": where_regularizer},
            product_l1=product_l1,
            joint_norm2=joint_norm2,
            **kwargs,
        )
        self.normalised = one_of(self, "normalised", normalised, FACTORS)
        self.positive = one_of(self, "positive", positive, FACTORS)
        self.magnitude = one_of(self, "magnitude", magnitude, FACTORS)
        if "none" not in (positive, magnitude) and (positive == magnitude or "both" in (positive, magnitude)):
            raise UsageError(
                f"FactorisedReadout(positive={positive!r}, magnitude={magnitude!r}): a magnitude is positive "
                "already. Give each factor one of the two."
            )

    def build(self, input_shape):
        needs_maps(self, input_shape)
        _, height, width, channels = input_shape
        for name in self.factors_named:
            if self.normalised in (name, "both") and isinstance(self.regularizers[name], (L2, Norm2)):
                kind = type(self.regularizers[name]).__name__
                log.warning(
                    "%s: %s on '%s' has no effect, as it is divided by its norm.", self.name, kind, name
                )
        self.what = self.add_factor("what", (channels, self.neurons))
        self.where = self.add_factor("where", (height, width, self.neurons))
        self.add_bias()

    def used(self, name, weight):
        normalised = "unit" if self.normalised in (name, "both") else "none"
        if self.magnitude in (name, "both"):
            weight = ops.abs(weight)
        return as_used(weight, normalised, positive=self.positive in (name, "both"))

    def factors(self):
        """what (channel, neuron) and where (height, width, neuron), as the forward pass uses them."""
        return self.used("what", self.what), self.used("where", self.where)

    def call(self, features):
        return self.activated(_looked(features, *self.factors()))

    def get_config(self):
        own = ("normalised", "positive", "magnitude", "product_l1", "joint_norm2")
        return super().get_config() | {name: getattr(self, name) for name in own}


@keras.saving.register_keras_serializable("neurofit")
class RankOneReadout(Readout):
    """act(Σ_{h,w,c} x[h, w, c] · where_y[h] · where_x[w] · what[c] + b): a row, a column, a mix.

    In (image, height, width, channel), out (image, neuron). Weights, all N(0, .1): `what` (channel, neuron),
    `where_y` (height, neuron), `where_x` (width, neuron); `bias` (neuron,), 0.

    Parameters
    ----------
    neurons : int
    activation : str or callable, optional
        Default: linear.
    use_bias : bool, default True
    product_l1 : float, default 0
        On the product of all three factors, as for `FactorisedReadout`.
    what_initializer, where_y_initializer, where_x_initializer : str or Initializer, optional
    bias_initializer : str or Initializer, default "zeros"
    what_regularizer, where_y_regularizer, where_x_regularizer : keras.regularizers.Regularizer, optional
        `Laplacian(λ, axes=(0,))` makes a `where` smooth along its only axis.

    References
    ----------
    Du et al. (2025), w_x, w_y and w_c of doi:10.1038/s41467-025-61171-9.
    """

    factors_named = ("what", "where_y", "where_x")
    what = where_y = where_x = None  # until the layer is built

    def __init__(
        self,
        neurons,
        *,
        activation=None,
        use_bias=True,
        bias_initializer="zeros",
        product_l1=0.0,
        what_initializer=None,
        where_y_initializer=None,
        where_x_initializer=None,
        what_regularizer=None,
        where_y_regularizer=None,
        where_x_regularizer=None,
        **kwargs,
    ):
        super().__init__(
            neurons,
            activation=activation,
            use_bias=use_bias,
            bias_initializer=bias_initializer,
            starts={"what": what_initializer, "where_y": where_y_initializer, "where_x": where_x_initializer},
            regularizers={
                "what": what_regularizer,
                "where_y": where_y_regularizer,
                "where_x": where_x_regularizer,
            },
            product_l1=product_l1,
            **kwargs,
        )

    def build(self, input_shape):
        needs_maps(self, input_shape)
        _, height, width, channels = input_shape
        self.what = self.add_factor("what", (channels, self.neurons))
        self.where_y = self.add_factor("where_y", (height, self.neurons))
        self.where_x = self.add_factor("where_x", (width, self.neurons))
        self.add_bias()

    def get_config(self):
        return super().get_config() | {"product_l1": self.product_l1}

    def factors(self):
        """what (channel, neuron) and where_y · where_x (height, width, neuron)."""
        return ops.convert_to_tensor(self.what), self.where_y[:, None, :] * self.where_x[None, :, :]

    def call(self, features):
        return self.activated(_looked(features, *self.factors()))


def _looked(features, what, where):
    """Σ_{h,w,c} features · where · what, (image, neuron)."""
    channels, neurons = what.shape
    pixels = ops.transpose(ops.reshape(features, (-1, where.shape[0] * where.shape[1], channels)), (0, 2, 1))
    # Where first: (image, channel, neuron) is the smallest of the three ways, and the fastest.
    there = ops.matmul(pixels, ops.reshape(where, (-1, neurons)))
    return ops.sum(there * what, axis=1)
