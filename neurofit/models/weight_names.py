"""Names of a model's layers and weights, as settings of a training use them: "core", "neurons/where", "network/*".

A layer inside of a nested model is "network/conv1_conv", and its weight "network/conv1_conv/kernel".
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from neurofit.errors import UsageError, nearest


def named_layers(model: keras.Model, within: str = "") -> Iterator[tuple[str, keras.layers.Layer]]:
    """Each layer with its name; layers of nested models follow the nested model."""
    for layer in model.layers:
        yield f"{within}{layer.name}", layer
        if isinstance(layer, keras.Model):
            yield from named_layers(layer, f"{within}{layer.name}/")


def named_weights(model: keras.Model) -> list[tuple[str, Any]]:
    """Each weight with its name, which begins with that of its layer: "neurons/where"."""
    holders = {id(one): (path, layer) for path, layer in named_layers(model) for one in layer.weights}
    weights = [one for layer in model.layers for one in layer.weights] or list(model.weights)
    named = []
    for one in weights:
        path, layer = holders.get(id(one), (model.name, model))
        named.append((f"{path}/{one.path.split(f'{layer.name}/', 1)[-1]}", one))
    return named


def matching(pattern: str, names: Sequence[str], setting: str) -> list[str]:
    """The names that a name or glob means.

    Raises
    ------
    UsageError
        If there are none.
    """
    found = [name for name in names if name == pattern] or [
        name for name in names if fnmatch.fnmatchcase(name, pattern)
    ]
    if not found:
        shown = ", ".join(names[:40]) + (f", … ({len(names)} names)" if len(names) > 40 else "")
        raise UsageError(f"{setting}: no '{pattern}'.{nearest(pattern, names)} Layers and weights: {shown}.")
    return found


def rate_factors(model: keras.Model, factors: Sequence[tuple[str, float]]) -> list[np.ndarray]:
    """What the learning rate of each trained weight is multiplied by, in arrays of the weights' shapes.

    Parameters
    ----------
    model : keras.Model
    factors : sequence of (str, float)
        Name or glob of layers or weights, and the factor; the first that matches a weight counts, and 1 otherwise.

    Raises
    ------
    UsageError
        If a name or glob matches no weight that is trained.
    """
    trained = {id(one) for one in model.trainable_variables}
    names = {id(one): name for name, one in named_weights(model) if id(one) in trained}
    chosen: dict[int, float] = {}
    for pattern, factor in factors:
        known = [part for name in names.values() for part in _with_layers(name)]
        found = set(matching(pattern, list(dict.fromkeys(known)), "rate_factors, among what is trained"))
        for key, name in names.items():
            if found & set(_with_layers(name)):
                chosen.setdefault(key, factor)
    return [
        np.full(tuple(one.shape), chosen.get(id(one), 1.0), np.dtype(one.dtype))
        for one in model.trainable_variables
    ]


def _with_layers(name: str) -> list[str]:
    """ "network/conv1/kernel" → "network", "network/conv1", "network/conv1/kernel"."""
    parts = name.split("/")
    return ["/".join(parts[: end + 1]) for end in range(len(parts))]
