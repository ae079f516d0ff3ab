"""What features depend on, as one key: weights, architecture, preprocessing, images and layer.

A file of features that was keyed by names alone would be used again after any of these had changed, and the score
would look normal. Names are not part of the key: Keras numbers the layers that its user did not name, and the
numbers differ between two processes that build the same network.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np


def key_of(facts: Mapping[str, Any]) -> str:
    """The key of these facts: 32 hexadecimal digits."""
    text = json.dumps(facts, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def weights_digest(arrays: Iterable[Any]) -> str:
    """Digest of the values, types and shapes of weights, in this order."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        values = np.ascontiguousarray(array)
        little = values.astype(values.dtype.newbyteorder("<"), copy=False)
        digest.update(f"{values.dtype.name}{values.shape}".encode())
        digest.update(little.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def architecture_digest(config: Mapping[str, Any], classes: Iterable[type]) -> str:
    """Digest of a network's configuration with layers numbered instead of named.

    Parameters
    ----------
    config : mapping
        As `keras.Model.to_json` has it.
    classes : iterable of type
        Of the layers. The source of those that do not belong to Keras is part of the digest, because their
        configuration does not say what they compute.
    """
    numbers = {name: f"#{number}" for number, name in enumerate(dict.fromkeys(_names(config)))}
    own = {one for one in classes if one.__module__.split(".")[0] != "keras"}
    sources = {one.__qualname__: _source(one) for one in own}
    return key_of({"config": _numbered(config, numbers), "sources": sources})


def _names(config: Any) -> Iterator[str]:
    """Names of a network, its layers, and theirs, in order."""
    if not isinstance(config, Mapping):
        return
    if isinstance(config.get("name"), str):
        yield config["name"]
    layers = config.get("layers")
    for one in layers if isinstance(layers, list) else ():
        yield from _names(one.get("config") if isinstance(one, Mapping) else None)


def _numbered(value: Any, numbers: Mapping[str, str]) -> Any:
    """The configuration with the name of each layer, where it is one, replaced by its number."""
    if isinstance(value, list):
        return [_numbered(one, numbers) for one in value]
    if not isinstance(value, Mapping):
        return value
    found = {}
    for key, one in value.items():
        if key in ("name", "keras_history", "input_layers", "output_layers"):
            found[key] = _references(one, numbers)
        elif key in ("dtype", "dtype_policy"):  # a policy has a name as well, which is not a layer's
            found[key] = one
        else:
            found[key] = _numbered(one, numbers)
    return found


def _references(value: Any, numbers: Mapping[str, str]) -> Any:
    """The lists [name of a layer, node, tensor], or lists of them."""
    if isinstance(value, list):
        return [_references(one, numbers) for one in value]
    return numbers.get(value, value) if isinstance(value, str) else _numbered(value, numbers)


def _source(one: type) -> str:
    try:
        return inspect.getsource(one)
    except (OSError, TypeError):
        return f"{one.__module__}.{one.__qualname__}"
