"""Penalties by NDN's names, several penalties on one weight or on a product, and their values."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import keras

from neurofit.errors import UsageError, nearest
from neurofit.models.regularizers.penalty import L1, L2, Norm2, OnKernel, Orthogonal, Penalty, parts_of
from neurofit.models.regularizers.spatial import Center, Glocal, Laplacian, Local, Max, MaxFilters, MaxSpace


@keras.saving.register_keras_serializable("neurofit")
class Sum(keras.regularizers.Regularizer):
    """The sum of several penalties on one weight. `added` makes it and leaves out those that are None.

    Parameters
    ----------
    terms : list of keras.regularizers.Regularizer

    Raises
    ------
    UsageError
        If there are no terms, or one of them is None.
    """

    def __init__(self, terms):
        self.terms = [keras.regularizers.get(term) for term in terms]
        if not self.terms or None in self.terms:
            raise UsageError(
                f"Sum({terms!r}): expected penalties. `added(…)` leaves out those that are None."
            )

    def __call__(self, weight):
        return sum(term(weight) for term in self.terms)

    def parts(self, weight) -> dict[str, Any]:
        """Name → value of each term; terms of the same name are added."""
        worth: dict[str, Any] = {}
        for term in self.terms:
            for name, value in parts_of(term, weight, type(term).__name__).items():
                worth[name] = worth.get(name, 0.0) + value
        return worth

    def get_config(self):
        return {"terms": [keras.regularizers.serialize(term) for term in self.terms]}

    @classmethod
    def from_config(cls, config):
        return cls([keras.regularizers.deserialize(term) for term in config["terms"]])


class OfSeveral(Penalty):
    """A penalty of this weight (…, unit) together with those that `others()` returns, of the same units.

    A layer makes it for Keras to apply to one of its weights; it is not a setting, and cannot be saved.

    Parameters
    ----------
    strength : float
        λ, at least 0.
    others : callable
        Returns the other weights.
    unless : callable
        While it returns True, another weight has this penalty.
    """

    def __init__(self, strength, others: Callable[[], list], unless: Callable[[], bool] = lambda: False):
        super().__init__(strength)
        self.others, self.unless = others, unless

    def __call__(self, weight):
        return sum(self.parts(weight).values(), keras.ops.zeros((), weight.dtype))

    def parts(self, weight) -> dict[str, Any]:
        """Name → value; empty while another weight has this penalty."""
        if self.unless():
            return {}
        return {type(self).__name__: self.strength * self._size([weight, *self.others()])}

    @abstractmethod
    def _size(self, weights: list):
        """The expression of these weights that the strength multiplies."""


class OfProduct(OfSeveral):
    """λ Σ|w · v · …| over all products of these weights, one of each.

    It equals the product of sums, Σ_units (Σ|w|)(Σ|v|)…, so the products themselves are never computed.

    Parameters
    ----------
    strength : float
        λ, at least 0.
    others : callable
        Returns the other weights.
    unless : callable
        While it returns True, another weight has this penalty.
    """

    def _size(self, weights: list):
        return keras.ops.sum(math.prod(map(_sizes, weights)))


class JointNorm2(OfSeveral):
    """λ (Σ w² − units)², one sum over all of these weights: NDN's norm2 on `sep`.

    Parameters
    ----------
    strength : float
        λ, at least 0.
    others : callable
        Returns the other weights.
    unless : callable
        While it returns True, another weight has this penalty.
    """

    def _size(self, weights: list):
        squares = sum(keras.ops.sum(keras.ops.square(one)) for one in weights)
        return keras.ops.square(squares - weights[0].shape[-1])


def _sizes(weight):
    return keras.ops.sum(keras.ops.abs(weight), axis=tuple(range(len(weight.shape) - 1)))


def added(*terms: keras.regularizers.Regularizer | None) -> keras.regularizers.Regularizer | None:
    """The sum of several penalties.

    Parameters
    ----------
    *terms : keras.regularizers.Regularizer or None
        None is left out.

    Returns
    -------
    keras.regularizers.Regularizer or None
        None if all terms are None.
    """
    there = [term for term in terms if term is not None]
    return Sum(there) if len(there) > 1 else (there or [None])[0]


def penalties(model: keras.Model) -> dict[str, float]:
    """The current value of each penalty on a weight.

    Their sum is what training adds to the loss, apart from Keras' activity regularisers.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    dict of str to float
        "layer/weight" → value; for a weight with several penalties "layer/weight/L1",
        "layer/weight/Laplacian", ….
    """
    found = {}
    for variable in model.trainable_variables:
        if variable.regularizer is None:
            continue
        for name, value in parts_of(variable.regularizer, variable.value).items():
            found["/".join(filter(None, (variable.path, name)))] = float(value)
    return found


KEYS: dict[str, tuple[type[Penalty], dict[str, Any]]] = {
    "l1": (L1, {}),
    "l2": (L2, {}),
    "norm2": (Norm2, {}),
    "max": (Max, {}),
    "max_filt": (MaxFilters, {}),
    "max_space": (MaxSpace, {}),
    "d2x": (Laplacian, {"axes": (0, 1)}),
    "d2t": (Laplacian, {"axes": (2,)}),
    "d2xt": (Laplacian, {"axes": (0, 1, 2)}),
    "local": (Local, {}),
    "glocal": (Glocal, {}),
    "center": (Center, {}),
    "orth": (Orthogonal, {}),
}

OF_FACTORS = {"norm2_filt": "what", "norm2_space": "where"}


def named(key: str, strength: float | None, grid: tuple[int, int, int] | None = None) -> Penalty | None:
    """The penalty that NDN calls `key`.

    Parameters
    ----------
    key : str
        One of KEYS.
    strength : float or None
        λ.
    grid : tuple of int, optional
        (height, width, channel) of a flattened weight's first axis, for penalties of places or channels.

    Returns
    -------
    Penalty or None
        None if the strength is 0 or None.

    Raises
    ------
    UsageError
        If the key is not known, or the strength is below 0.
    """
    if key not in KEYS:
        of = OF_FACTORS.get(key)
        offer = f" It is norm2 on a readout's {of}: {of}_regularizer=Norm2(λ)." if of else nearest(key, KEYS)
        raise UsageError(f"No penalty '{key}'.{offer} There are: {', '.join(KEYS)}.")
    if not strength:
        return None
    kind, settings = KEYS[key]
    where = {"grid": grid} if issubclass(kind, OnKernel) else {}
    return kind(strength, **settings, **where)
