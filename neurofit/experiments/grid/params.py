"""Arguments of a run: what JSON can carry of them, what makes two of them the same, how a word becomes one.

`plain` is what is stored and handed to a fit, `canonical` the text that a run's id is the hash of. Two values
are the same when Python says that they are equal, but for booleans (True is not 1) and sequences ((1, 2) is
[1, 2]).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import Any

import yaml

from neurofit import yaml_text
from neurofit.errors import GridError

ALLOWED = (
    "Allowed are text, finite numbers, True, False, None, and lists and dicts (with text keys) of these."
)
_DEEPEST = 50
_LONGEST_INTEGER = 10**4000  # Python refuses to print integers of more than 4300 digits
_WORDS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_INTEGER = re.compile(r"[+-]?[0-9]+")
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[+-]?\.?(nan|inf|infinity)", re.IGNORECASE)


def plain(value: Any, where: str, _above: tuple[int, ...] = ()) -> Any:
    """The value as JSON carries it: tuples as lists, NumPy scalars as Python's own.

    Parameters
    ----------
    where : what the value belongs to, as an error says it: "axis 'filters'"

    Raises
    ------
    GridError : JSON cannot carry it
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
        raise GridError(f"{where} has a value of more than {_DEEPEST} levels. Make it flatter.")
    above = (*_above, id(value))
    if isinstance(value, dict):
        return {_key(key, where): plain(inner, where, above) for key, inner in value.items()}
    return [plain(inner, where, above) for inner in value]


def canonical(value: Any, where: str = "this") -> str:
    """The one JSON text of a value: sorted keys, 1 for 1.0 and for -0.0 a 0."""
    return json.dumps(_normal(plain(value, where)), sort_keys=True, separators=(",", ":"), allow_nan=False)


def identity(value: Any, where: str = "this") -> str:
    """16 hexadecimal digits that equal values share."""
    return hashlib.sha256(canonical(value, where).encode()).hexdigest()[:16]


def short(value: Any, width: int = 40) -> str:
    """The value on one line of at most this many printable characters, as a person would write it in a
    grid.
    """
    if isinstance(value, str):
        is_bare = value and value == value.strip() and isinstance(_word(value), str)
        return one_line(value if is_bare else repr(value), width)
    return cut(one_line(_shown(value), 10_000), width, width // 2)


def cut(text: str, width: int, end: int) -> str:
    """A text of at most this many characters, cut before its last `end`: of long ones, the beginnings are
    alike.
    """
    return text if len(text) <= width else f"{text[: width - end - 1]}…{text[len(text) - end :]}"


def one_line(text: str, width: int = 40) -> str:
    """The text in at most this many printable characters, others as escapes."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: width + 1])
    return text if len(text) <= width else text[: width - 1] + "…"


def parse(text: str, default: Any = None, where: str = "this argument") -> Any:
    """The value that a word of the command line means, for an argument with this default.

    Text where the default is text. Otherwise a number (16, 1e-3), true, false, null, or a list or dict as
    JSON or YAML; what is none of these is text, unless the default is a number or a boolean.
    """
    if isinstance(default, str):
        return _whole_text(text)
    value = plain(_structure(text, where), where)
    if isinstance(default, bool) and isinstance(value, (str, int, float)) and not isinstance(value, bool):
        raise GridError(
            f"{where} is {short(default)} by default: write true or false, not '{one_line(text)}'."
        )
    number = isinstance(default, (int, float)) and not isinstance(default, bool)
    if number and isinstance(value, (str, bool)):
        raise GridError(f"{where} is {short(default)} by default: write a number, not '{one_line(text)}'.")
    return value


def _python_scalar(value: Any) -> Any:
    is_scalar = getattr(value, "shape", None) == () and hasattr(value, "dtype") and hasattr(value, "item")
    return value.item() if is_scalar else value


def _whole_text(text: str) -> str:
    """Exactly str, and a pair of surrogates as the character that JSON would make of it; a lone one stays."""
    text = str.__str__(text)
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return text


def _finite(value: int | float, where: str) -> int | float:
    if isinstance(value, int):
        if abs(value) >= _LONGEST_INTEGER:
            raise GridError(f"{where} has an integer of more than 4000 digits. Give it as text.")
        return int(value)
    if not math.isfinite(value):
        raise GridError(
            f"{where} has the value {value}, which JSON cannot carry. {ALLOWED} Use None for 'no value'."
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
        return " Write .tolist() after an array."
    if isinstance(value, (set, frozenset)):
        return " Write sorted(…) around a set."
    if hasattr(value, "__fspath__"):
        return " Write str(…) around a path."
    return " Give a name, and let the fit look up what it means."


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
    except Exception:  # a foreign object's own repr, on the way to an error message
        return f"<{type(value).__name__}>"


def _word(text: str) -> Any:
    """The number, boolean or None that an unquoted word means; otherwise the word; `float` where it is not
    finite.
    """
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
        return json.loads(text)  # json first: it reads what `neurofit show --json` prints, escapes included
    except (ValueError, RecursionError):
        pass
    try:
        node = yaml_text.compose(text)
        return text if node is None else _from_node(node)
    except (yaml.YAMLError, TypeError) as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise GridError(
            f"{where}: '{one_line(text)}' is neither JSON nor YAML ({said}). Write [1, 2] for a list."
        ) from None


def _from_node(node: yaml.Node) -> Any:
    """A YAML node with our own scalars: YAML 1.1 takes 1e-3 for text, `no` for false and 1:30 for 90."""
    if isinstance(node, yaml.SequenceNode):
        return [_from_node(inner) for inner in node.value]
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): _from_node(inner) for key, inner in node.value}
    is_plain = isinstance(node, yaml.ScalarNode) and not node.style
    return _word(node.value) if is_plain else node.value
