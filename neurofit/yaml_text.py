"""YAML with the numbers that people expect: 24:00:00 and 010 stay text, and 1e3 is a number.

PyYAML reads YAML 1.1, in which 24:00:00 is 86400, 010 is 8, 2026-11-20 is a date, and 1e3 is text. The size of
a text is limited, including what its aliases stand for.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

MOST_CHARACTERS = 200_000
MOST_NODES = 20_000  # with aliases expanded
DEEPEST = 60

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9_]*)$")
_FLOAT = re.compile(
    r"""[-+]?((0|[1-9][0-9_]*)(\.[0-9_]*)?|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?$
    |[-+]?\.(inf|Inf|INF)$
    |\.(nan|NaN|NAN)$""",
    re.VERBOSE,
)
_REPLACED = {f"tag:yaml.org,2002:{name}" for name in ("int", "float", "timestamp")}


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the numbers of YAML 1.2 and without dates."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _REPLACED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INTEGER, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))


def compose(text: str) -> yaml.Node | None:
    """The nodes of a text, or None if it is empty.

    Raises
    ------
    yaml.YAMLError
        The text is not YAML, too long, nested too deeply, or too large with its aliases.
    """
    if len(text) > MOST_CHARACTERS:
        raise yaml.YAMLError(f"{len(text)} characters; expected at most {MOST_CHARACTERS}.")
    try:
        node = yaml.compose(text, Loader=_Loader)
    except RecursionError:
        raise yaml.YAMLError(f"nested more than {DEEPEST} levels deep") from None
    except (ValueError, OverflowError) as error:  # PyYAML: an escape that is not a character
        raise yaml.YAMLError(str(error)) from None
    if node is not None:
        _weigh(node, {}, 0)
    return node


def load(text: str) -> Any:
    """The value of a text, in built-in types.

    Raises
    ------
    yaml.YAMLError
        As `compose`; or the value cannot be built, such as a number with too many digits.
    """
    node = compose(text)
    if node is None:
        return None
    loader = _Loader("")
    try:
        return loader.construct_document(node)
    except (
        ValueError,
        OverflowError,
        TypeError,
    ) as error:  # a number of too many digits; a key that is a list
        raise yaml.YAMLError(str(error)) from None
    finally:
        loader.dispose()


def _weigh(node: yaml.Node, known: dict[int, int | None], depth: int) -> int:
    """The number of nodes in this one, with aliases expanded."""
    if depth > DEEPEST:
        raise yaml.YAMLError(f"nested more than {DEEPEST} levels deep")
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) in known:
        weight = known[id(node)]
        if weight is None:
            raise yaml.YAMLError("an alias that contains itself")
        return weight
    known[id(node)] = None
    inner = [one for pair in node.value for one in pair] if isinstance(node, yaml.MappingNode) else node.value
    weight = 1 + sum(_weigh(one, known, depth + 1) for one in inner)
    if weight > MOST_NODES:
        raise yaml.YAMLError(f"more than {MOST_NODES} values, with aliases expanded")
    known[id(node)] = weight
    return weight
