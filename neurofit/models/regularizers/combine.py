"""Several penalties on one weight, a penalty on a product of weights, and what the penalties of a model are
worth.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import keras

from neurofit.errors import UsageError
from neurofit.models.regularizers.penalty import Penalty


@keras.saving.register_keras_serializable("neurofit")
class Sum(keras.regularizers.Regularizer):
    """Several penalties on one weight, added up. `added` makes it and leaves out those that are None."""

    def __init__(self, terms):
        self.terms = [keras.regularizers.get(term) for term in terms]
        if not self.terms or None in self.terms:
            raise UsageError(
                f"Sum({terms!r}): expected penalties. `added(…)` leaves out those that are None."
            )

    def __call__(self, weight):
        return sum(term(weight) for term in self.terms)

    def parts(self, weight) -> dict[str, Any]:
        """Name → value, of each term; terms of one name add up."""
        worth: dict[str, Any] = {}
        for term in self.terms:
            parts = term.parts(weight) if hasattr(term, "parts") else {type(term).__name__: term(weight)}
            for name, value in parts.items():
                worth[name] = worth.get(name, 0.0) + value
        return worth

    def get_config(self):
        return {"terms": [keras.regularizers.serialize(term) for term in self.terms]}

    @classmethod
    def from_config(cls, config):
        return cls([keras.regularizers.deserialize(term) for term in config["terms"]])


class OfSeveral(Penalty):
    """A penalty of this weight (…, unit) and those that `others()` gives, of the same unit, at once.

    A layer makes it for Keras to apply to one of its weights; it is not a setting, and cannot be saved. While
    `unless` says True, another weight bears the penalty.
    """

    def __init__(self, strength, others: Callable[[], list], unless: Callable[[], bool] = lambda: False):
        super().__init__(strength)
        self.others, self.unless = others, unless

    def __call__(self, weight):
        return sum(self.parts(weight).values(), keras.ops.zeros((), weight.dtype))

    def parts(self, weight) -> dict[str, Any]:
        if self.unless():
            return {}
        return {type(self).__name__: self.strength * self._size([weight, *self.others()])}

    @abstractmethod
    def _size(self, weights: list):
        """What of these weights the strength multiplies."""


class OfProduct(OfSeveral):
    """λ Σ|w · v · …| over all products of these weights: Σ_units (Σ|w|)(Σ|v|)…, without making the product."""

    def _size(self, weights: list):
        return keras.ops.sum(math.prod(map(_sizes, weights)))


class JointNorm2(OfSeveral):
    """λ (Σ w² − units)², one sum over all of these weights: NDN's norm2 on `sep`."""

    def _size(self, weights: list):
        squares = sum(keras.ops.sum(keras.ops.square(one)) for one in weights)
        return keras.ops.square(squares - weights[0].shape[-1])


def _sizes(weight):
    return keras.ops.sum(keras.ops.abs(weight), axis=tuple(range(len(weight.shape) - 1)))


def added(*terms: keras.regularizers.Regularizer | None) -> keras.regularizers.Regularizer | None:
    """One penalty of several: the sum of those that are not None; None where all are."""
    there = [term for term in terms if term is not None]
    return Sum(there) if len(there) > 1 else (there or [None])[0]


def penalties(model: keras.Model) -> dict[str, float]:
    """What each penalty on a weight is worth now.

    Their sum is what training adds to the loss, together with what Keras' activity regularisers add.

    Parameters
    ----------
    model : keras.Model
        Any.

    Returns
    -------
    dict of str to float
        By "layer/weight". If a weight has several, each has an entry: "layer/weight/L1",
        "layer/weight/Laplacian".
    """
    found = {}
    for variable in model.trainable_variables:
        for name, value in _parts(variable.regularizer, variable.value).items():
            found["/".join(filter(None, (variable.path, name)))] = float(value)
    return found


def _parts(regularizer, weight) -> dict[str, Any]:
    if regularizer is None:
        return {}
    return regularizer.parts(weight) if hasattr(regularizer, "parts") else {"": regularizer(weight)}
