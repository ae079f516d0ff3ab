"""Which weights of two models belong together: by the names of layers, and by structure where layers have none.

Keras names a layer without a name after its class and after how many were made before in the process ("dense_3"), so
that such a name says nothing about another model. These layers are matched by their place in the order of the model,
beside layers of the same kinds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from neurofit.errors import UsageError

_SHOWN = 12  # layers in a message


@dataclass(frozen=True)
class Matched:
    """Weights of a model here that have one of the same shape there, and those that have none.

    Parameters
    ----------
    taken : list of (str, variable, variable)
        Name here, the weight here, and the weight there.
    left : list of str
        Names here.
    shapes : dict of str to (tuple, tuple)
        Of weights of named layers that are left for their shape: here and there; without those of readouts.
    """

    taken: list[tuple[str, Any, Any]]
    left: list[str]
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]


@dataclass(frozen=True)
class _Pair:
    """A layer here and the one there that it belongs to; None if there is none."""

    name: str
    here: Any
    there: Any
    by_place: bool


def match(here: keras.Model, there: keras.Model) -> Matched:
    """Match the weights of two models.

    Layers with names of their own belong to those of the same name. Layers without are matched in order, within the
    same nested model, with those of the same classes. A readout of other neurons has no match, and neither does a
    named layer's weight of another shape.

    Parameters
    ----------
    here, there : keras.Model

    Returns
    -------
    Matched

    Raises
    ------
    UsageError
        If layers without names cannot be matched one to one, or their weights have other shapes; it names both sides.
    """
    readouts = {id(layer) for model in (here, there) for layer in _readouts(model)}
    taken, left, shapes = [], [], {}
    for pair in _pairs(here, there, readouts, ""):
        others = _by_key(pair.there)
        for key, (name, weight) in _by_key(pair.here).items():
            full, other = f"{pair.name}/{name}", others.get(key, (None, None))[1]
            if other is not None and tuple(other.shape) == tuple(weight.shape):
                taken.append((full, weight, other))
                continue
            left.append(full)
            if other is None or id(pair.here) in readouts:
                continue
            if pair.by_place:
                raise UsageError(
                    f"the weight '{name}' of the layer '{pair.here.name}' is {tuple(weight.shape)} here, and that of "
                    f"'{pair.there.name}' is {tuple(other.shape)} there. These layers have no names of their own and "
                    "were matched by their place. Use equal arguments, or give the layers that belong together equal "
                    "names (name=…)."
                )
            shapes[full] = tuple(weight.shape), tuple(other.shape)
    return Matched(taken, left, shapes)


def _pairs(here: Any, there: Any, readouts: set[int], within: str) -> Iterator[_Pair]:
    """Each layer here that has weights, in order, and the one there; layers of nested models by themselves."""
    ours, theirs = _weighted(here), _weighted(there)
    is_named = _names(ours, theirs)
    by_name = {one.name: one for one in theirs if is_named(one)}
    by_place = _by_place(
        [one for one in ours if not is_named(one)], [one for one in theirs if not is_named(one)], readouts
    )
    for layer in ours:
        other = by_name.get(layer.name) if is_named(layer) else by_place.get(id(layer))
        name = f"{within}{layer.name}"
        if isinstance(layer, keras.Model) and (other is None or isinstance(other, keras.Model)):
            yield from _pairs(layer, other, readouts, f"{name}/")
        else:
            yield _Pair(name, layer, other, not is_named(layer))
    if isinstance(here, keras.Model) and not ours and here.weights:  # a model that holds weights itself
        yield _Pair(within.rstrip("/") or here.name, here, there, True)


def _by_place(ours: Sequence[Any], theirs: Sequence[Any], readouts: set[int]) -> dict[int, Any]:
    """Layer here (its id) → layer there, of layers without names. Readouts are matched with each other alone."""
    found: dict[int, Any] = {}
    for of_outputs in (False, True):
        here = [one for one in ours if (id(one) in readouts) == of_outputs]
        there = [one for one in theirs if (id(one) in readouts) == of_outputs]
        both = {type(one) for one in here} & {type(one) for one in there}
        here, there = ([one for one in side if type(one) in both] for side in (here, there))
        if [type(one) for one in here] == [type(one) for one in there]:
            found |= {id(one): other for one, other in zip(here, there)}
        elif not of_outputs:
            raise UsageError(
                f"layers without names of their own cannot be matched one to one: here {_listed(here)}; there "
                f"{_listed(there)}. Give the layers that belong together equal names (name=…) in both architectures."
            )
    return found


def _names(ours: Sequence[Any], theirs: Sequence[Any]) -> Callable[[Any], bool]:
    """Whether a layer has a name of its own: one that Keras would not make, or all of them are the same here and there.

    Keras makes no name twice in a process, so that equal ones were given.
    """
    automatic = [sorted(one.name for one in side if _is_automatic(one)) for side in (ours, theirs)]
    given = automatic[0] == automatic[1]
    return lambda layer: given or not _is_automatic(layer)


def _is_automatic(layer: Any) -> bool:
    """Whether Keras may have made the name: the class in snake case, and a number."""
    words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", type(layer).__name__))
    snake = re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()
    return re.fullmatch(rf"{re.escape(snake)}(_\d+)?", layer.name) is not None


def _weighted(model: Any) -> list[Any]:
    return [one for one in model.layers if one.weights] if isinstance(model, keras.Model) else []


def _by_key(layer: Any) -> dict[str, tuple[str, Any]]:
    """The weights of a layer by name, without the numbers that Keras gave to layers inside of it."""
    found: dict[str, tuple[str, Any]] = {}
    for one in [] if layer is None else layer.weights:
        name = one.path.split(f"{layer.name}/", 1)[-1]
        key = "/".join(re.sub(r"_\d+$", "", part) for part in name.split("/"))
        count = sum(known.partition("#")[0] == key for known in found)
        found[f"{key}#{count}"] = name, one
    return found


def _readouts(model: keras.Model) -> Iterator[Any]:
    """The last layers with weights before each output; where the graph does not say, the last one of all."""
    for layer in list(_before_outputs(model)) or _weighted(model)[-1:]:
        if isinstance(layer, keras.Model):
            yield from _readouts(layer)
        else:
            yield layer


def _before_outputs(model: keras.Model) -> Iterator[Any]:
    try:
        wanted = {id(one) for one in keras.tree.flatten(model.outputs)}
    except AttributeError:  # of a subclass of Model
        return
    for layer in reversed(model.layers):
        try:
            outputs, inputs = keras.tree.flatten(layer.output), keras.tree.flatten(layer.input)
        except (AttributeError, ValueError):  # a layer that is used several times, or an input
            continue
        if wanted.isdisjoint(map(id, outputs)):
            continue
        if layer.weights:
            yield layer
        else:
            wanted |= set(map(id, inputs))


def _listed(layers: Sequence[Any]) -> str:
    shown = [f"'{one.name}' {type(one).__name__} {tuple(one.weights[0].shape)}" for one in layers[:_SHOWN]]
    return (", ".join(shown) or "none") + (", …" if len(layers) > _SHOWN else "")
