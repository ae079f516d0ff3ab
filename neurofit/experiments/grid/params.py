"""Values of arguments: conversion to JSON, comparison, and parsing of command-line words.

`plain` gives the value that is stored and passed to a fit, `canonical` the text whose hash is a run's id. Two
values are identical if they are equal in Python, with two exceptions: booleans are not numbers (True is not 1),
and tuples equal lists ((1, 2) is [1, 2]).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import TYPE_CHECKING, Any

from neurofit.errors import GridError
from neurofit.text import cut, one_line

if TYPE_CHECKING:
    import yaml

ALLOWED = (
    "Allowed values: text, finite numbers, True, False, None, and lists and dicts (with text keys) of these."
)
_DEEPEST = 50
_LONGEST_INTEGER = 10**4000  # Python cannot print integers of more than 4300 digits
_WORDS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_INTEGER = re.compile(r"[+-]?[0-9]+")
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?\.?(nan|inf|infinity)", re.IGNORECASE)


def plain(value: Any, where: str, _above: tuple[int, ...] = ()) -> Any:
    """The value as JSON represents it: tuples as lists, NumPy scalars as Python scalars.

    Parameters
    ----------
    value : object
    where : str
        What the value belongs to, for error messages: "axis 'filters'".

    Returns
    -------
    None, bool, int, float, str, list or dict

    Raises
    ------
    GridError
        JSON cannot represent the value.
    """
    value = _python_scalar(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _whole_text(value)
    if isinstance(value, (int, float)):
        return _finite(value, where)
    if not isinstance(value, (list, tuple, dict)):
        raise GridError(f"{where} has the value {short(value)}, {_kind(value)}. {ALLOWED}{_advice(value)}")
    if id(value) in _above:
        raise GridError(f"{where} has a value that contains itself. {ALLOWED}")
    if len(_above) == _DEEPEST:
        raise GridError(f"{where} has a value nested more than {_DEEPEST} levels deep. Use a flatter value.")
    above = (*_above, id(value))
    if isinstance(value, dict):
        return {_key(key, where): plain(inner, where, above) for key, inner in value.items()}
    return [plain(inner, where, above) for inner in value]


def canonical(value: Any, where: str = "this") -> str:
    """The JSON text of a value in a unique form: keys sorted, 1.0 as 1, -0.0 as 0."""
    return json.dumps(_normal(plain(value, where)), sort_keys=True, separators=(",", ":"), allow_nan=False)


def identity(value: Any, where: str = "this") -> str:
    """A hash of 16 hexadecimal digits, the same for identical values."""
    return hashlib.sha256(canonical(value, where).encode()).hexdigest()[:16]


def short(value: Any, width: int = 40) -> str:
    """The value on one line of at most `width` printable characters, as it would be written in a grid."""
    if isinstance(value, str):
        is_bare = value and value == value.strip() and isinstance(_word(value), str)
        return one_line(value if is_bare else repr(value), width)
    return cut(one_line(_shown(value), 10_000), width, width // 2)


def parse(text: str, default: Any = None, where: str = "this argument") -> Any:
    """The value of a command-line word, for an argument with this default.

    If the default is text, the word is text. Otherwise it is a number (16, 1e-3), true, false, null, or a list or
    dict in JSON or YAML. Any other word is text, unless the default is a number or a boolean.

    Parameters
    ----------
    text : str
    default : object, optional
        The default of the argument.
    where : str
        The name of the argument, for error messages: "--filters".

    Raises
    ------
    GridError
        The word does not have the type of the default, or JSON cannot represent its value.
    """
    if isinstance(default, str):
        return _whole_text(text)
    value = plain(_structure(text, where), where)
    if isinstance(default, bool) and isinstance(value, (str, int, float)) and not isinstance(value, bool):
        raise GridError(
            f"{where} must be true or false like its default ({short(default)}), got '{one_line(text)}'."
        )
    number = isinstance(default, (int, float)) and not isinstance(default, bool)
    if number and isinstance(value, (str, bool)):
        raise GridError(
            f"{where} must be a number like its default ({short(default)}), got '{one_line(text)}'."
        )
    return value


def _python_scalar(value: Any) -> Any:
    is_scalar = getattr(value, "shape", None) == () and hasattr(value, "dtype") and hasattr(value, "item")
    return value.item() if is_scalar else value


def _whole_text(text: str) -> str:
    """The text as an exact `str`, with surrogate pairs joined to one character as JSON does; lone ones stay."""
    text = str.__str__(text)
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return text


def _finite(value: int | float, where: str) -> int | float:
    if isinstance(value, int):
        if abs(value) >= _LONGEST_INTEGER:
            raise GridError(f"{where} has an integer of more than 4000 digits. Pass it as text.")
        return int(value)
    if not math.isfinite(value):
        raise GridError(
            f"{where} has the value {value}, which JSON cannot represent. {ALLOWED} Use None for 'no value'."
        )
    return float(value)


def _key(key: Any, where: str) -> str:
    if not isinstance(key, str):
        raise GridError(f"{where} has a dict with the key {short(key)}, {_kind(key)}. {ALLOWED}")
    return _whole_text(key)


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _advice(value: Any) -> str:
    if hasattr(value, "tolist"):
        return " Convert an array with .tolist()."
    if isinstance(value, (set, frozenset)):
        return " Convert a set with sorted(…)."
    if hasattr(value, "__fspath__"):
        return " Convert a path with str(…)."
    return " Pass a name, and let the fit look up the object."


def _normal(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_normal(inner) for inner in value]
    if isinstance(value, dict):
        return {key: _normal(inner) for key, inner in value.items()}
    return value


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except Exception:  # a foreign object's repr may raise anything, and this is for an error message
        return f"<{type(value).__name__}>"


def _word(text: str) -> Any:
    """The number, boolean or None that an unquoted word stands for, otherwise the word; nan if not finite."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text) and len(text) < 4000:
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return float("nan") if _NOT_FINITE.fullmatch(text) else text


def _structure(text: str, where: str) -> Any:
    if text[:1] not in ("[", "{", '"'):
        return _word(text)
    try:
        return json.loads(text)  # JSON first: it reads what `neurofit show --json` prints, including escapes
    except (ValueError, RecursionError):
        pass
    import yaml  # slow to import; few commands are given a list

    from neurofit import yaml_text

    try:
        node = yaml_text.compose(text)
        return text if node is None else _from_node(node)
    except (yaml.YAMLError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise GridError(
            f"{where}: '{one_line(text)}' is neither JSON nor YAML ({reason}). Write a list as [1, 2]."
        ) from None


def _from_node(node: yaml.Node) -> Any:
    """The value of a YAML node, with scalars read by `_word`: YAML 1.1 reads 1e-3 as text, `no` as false and
    1:30 as 90.
    """
    import yaml

    if isinstance(node, yaml.SequenceNode):
        return [_from_node(inner) for inner in node.value]
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): _from_node(inner) for key, inner in node.value}
    is_plain = isinstance(node, yaml.ScalarNode) and not node.style
    return _word(node.value) if is_plain else node.value
