"""Records as types: JSON becomes a frozen msgspec Struct, and what does not fit is named with its field.

A file may have been cut by a full disk, edited by hand, or written by a later version. A value that is not
what its field expects is an error that names the file, the field, the value and what was expected; it is
never taken for something else.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from types import GenericAlias, UnionType
from typing import Annotated, Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from neurofit.errors import StoreError
from neurofit.files import parse_lines, read_json

_SHOWN = 60
_NULL = type(None)
_PLAIN = {int: "a whole number", float: "a number", str: "text", bool: "true or false", dict: "an object"}
_UNKNOWN = "unknown fields"
_REFUSALS = (msgspec.DecodeError, UnicodeError, RecursionError)

R = TypeVar("R", bound="Record")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A record that neurofit writes. A field without a default has to be there."""

    what: ClassVar[str] = "a record"

    def as_object(self) -> dict[str, Any]:
        """The JSON object to write."""
        return _object(msgspec.to_builtins(self))


class OpenRecord(Record, frozen=True, kw_only=True):
    """A record that may be written again: fields that this version does not know are kept."""

    unknown: dict[str, Any] = msgspec.field(default_factory=dict, name=_UNKNOWN)

    def as_object(self) -> dict[str, Any]:
        known = super().as_object()
        return {**known.pop(_UNKNOWN), **known}


def _object(value: Any) -> dict[str, Any]:
    assert isinstance(value, dict)
    return value


def structured(value: Any, kind: type[R], path: Path | str) -> R:
    """The JSON value as a record.

    Parameters
    ----------
    value : Any
        What was read from `path`.
    kind : type
        A subclass of Record.

    Raises
    ------
    StoreError : naming the file, the field, what is there, and what was expected
    """
    record = structured_or_none(value, kind)
    if record is None:
        raise StoreError(f"{path}: damaged: {fault(value, kind)}.")
    return record


def structured_or_none(value: Any, kind: type[R]) -> R | None:
    """The JSON value as a record, or None if it does not fit."""
    try:
        if not issubclass(kind, OpenRecord):
            return msgspec.convert(value, kind)
        record = msgspec.convert(value, kind)
        unknown = {name: value[name] for name in value.keys() - set(kind.__struct_encode_fields__)}
        return msgspec.structs.replace(record, unknown=unknown) if unknown else record
    except _REFUSALS:
        return None


def read_record(path: Path, kind: type[R], *, late: bool = False) -> R:
    """The record in a file.

    Raises
    ------
    FileNotFoundError : there is no such file
    StoreError : the file is damaged
    """
    return structured(read_json(path, late=late), kind, path)


def structured_lines(data: bytes, kind: type[R]) -> tuple[list[R], int]:
    """The records of whole lines of JSON, and how many lines are not one (torn, damaged)."""
    lines = [line for line in data.split(b"\n") if line.strip()]
    if not issubclass(kind, OpenRecord):
        try:  # all lines at once, straight into records
            found = _decoder(kind).decode(b"[" + b",".join(lines) + b"]")
            if len(found) == len(lines):
                return found, 0
        except _REFUSALS:
            pass
    values, damaged = parse_lines(data)
    if not damaged and not set(chain.from_iterable(values)) - set(kind.__struct_encode_fields__):
        with contextlib.suppress(*_REFUSALS):  # no field is unknown, so that all are converted at once
            return msgspec.convert(values, GenericAlias(list, (kind,))), 0
    records = [record for value in values if (record := structured_or_none(value, kind)) is not None]
    return records, damaged + len(values) - len(records)


_decoders: dict[type[Record], msgspec.json.Decoder[Any]] = {}


def _decoder(kind: type[Record]) -> msgspec.json.Decoder[Any]:
    if kind not in _decoders:
        _decoders[kind] = msgspec.json.Decoder(GenericAlias(list, (kind,)))
    return _decoders[kind]


def fault(value: Any, kind: type[Record]) -> str | None:
    """What is wrong with a value as a record of this kind, or None: the first field that does not fit."""
    if structured_or_none(value, kind) is not None:
        return None
    if not isinstance(value, dict):
        return f"expected {kind.what}, an object, found {_named(value)}"
    field, why = _fault(value, kind) or ("", "")
    return f"in {kind.what}, '{field}' {why}" if field else f"not {kind.what}"


def _fault(value: Mapping[str, Any], kind: Any) -> tuple[str, str] | None:
    """The path of the first field that does not fit, and why."""
    known = _fields(kind)
    for name, (hint, needed) in known.items():
        if name not in value:
            if needed:
                near = difflib.get_close_matches(name, sorted(value.keys() - known.keys()), n=1)
                return name, f"is missing; '{near[0]}' may be a misspelling of it" if near else "is missing"
            continue
        found = value[name]
        try:
            msgspec.convert(found, hint)
        except _REFUSALS:
            inner = _inner(found, hint)
            if inner is not None:
                return f"{name}{'' if inner[0].startswith('[') else '.'}{inner[0]}", inner[1]
            return name, f"is {_short(found)}, expected {words(hint)}"
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:  # of `__post_init__`, which names its field
        field, _, why = str(error).partition(" ")
        return field.strip("'"), why
    return None


def _fields(kind: Any) -> dict[str, tuple[Any, bool]]:
    """Names of the fields as they are in a file, with their types and whether each has to be there."""
    hints = get_type_hints(kind, include_extras=True)
    if dataclasses.is_dataclass(kind):
        return {
            one.name: (hints[one.name], one.default is dataclasses.MISSING)
            for one in dataclasses.fields(kind)
        }
    fields = msgspec.structs.fields(kind)
    return {one.encode_name: (hints[one.name], one.required) for one in fields if one.encode_name != _UNKNOWN}


def _inner(value: Any, hint: Any) -> tuple[str, str] | None:
    """Where inside of a nested record, or a list of them, the fault is."""
    for kind in _choices(hint):
        if isinstance(value, dict) and _is_record(kind):
            return _fault(value, kind)
        if isinstance(value, list) and get_origin(kind) is list and _is_record(get_args(kind)[0]):
            for index, one in enumerate(value):
                if not isinstance(one, dict):
                    return f"[{index}]", f"is {_short(one)}, expected {words(get_args(kind)[0])}"
                if inner := _fault(one, get_args(kind)[0]):
                    return f"[{index}].{inner[0]}", inner[1]
        if isinstance(value, dict) and get_origin(kind) is dict:
            for name, one in value.items():
                try:
                    msgspec.convert(one, get_args(kind)[1])
                except _REFUSALS:
                    return name, f"is {_short(one)}, expected {words(get_args(kind)[1])}"
    return None


def _choices(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _is_record(kind: Any) -> bool:
    return isinstance(kind, type) and (issubclass(kind, msgspec.Struct) or dataclasses.is_dataclass(kind))


def words(hint: Any) -> str:
    """What a type allows, as text: its own description, or for example "text or null"."""
    if hint is _NULL:
        return "null"
    if get_origin(hint) is Annotated:
        described = [one.description for one in hint.__metadata__ if isinstance(one, msgspec.Meta)]
        return next((one for one in described if one), None) or words(hint.__origin__)
    if get_origin(hint) is Literal:
        return f"one of {', '.join(get_args(hint))}"
    if get_origin(hint) in (Union, UnionType):
        plain = [one for one in get_args(hint) if one is not int or float not in get_args(hint)]
        return " or ".join(dict.fromkeys(map(words, plain)))
    if get_origin(hint) in (list, frozenset):
        return f"a list of {words(get_args(hint)[0])}"
    if get_origin(hint) is tuple:
        return f"[{', '.join(words(one) for one in get_args(hint))}]"
    if get_origin(hint) is dict:
        return (
            "an object" if get_args(hint)[1] is Any else f"an object, each value {words(get_args(hint)[1])}"
        )
    return _PLAIN.get(hint) or str(getattr(hint, "what", "an object"))


def _named(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of more digits than Python prints, or lists too deep
        text = type(value).__name__
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
