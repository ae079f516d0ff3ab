"""The outcomes of a large experiment, from its journals, as JSON values of which equal ones are one object.

Repetitions share their arguments, and nearly all tasks their versions, environment and code: of 100,000 outcomes,
what is read and kept once takes a fifth of the memory.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import msgspec

from neurofit.store.journal import OUTCOME, read_outcomes
from neurofit.store.records import JournalLine, Outcome, TaskOutcome, Values
from neurofit.transient import retry

_NULL = msgspec.Raw(b"null")
_OBJECTS = ("params", "derived", "defaults", "seeds", "facts", "versions", "environment")
_TEXTS = ("experiment", "id", "architecture", "split_by", "submission", "host", "code", "commit")


class _PackedOutcome(TaskOutcome, frozen=True, kw_only=True):
    """An outcome whose objects are not decoded yet."""

    params: msgspec.Raw = _NULL  # type: ignore[assignment]
    derived: msgspec.Raw = _NULL  # type: ignore[assignment]
    defaults: msgspec.Raw = _NULL  # type: ignore[assignment]
    seeds: msgspec.Raw = _NULL  # type: ignore[assignment]
    facts: msgspec.Raw = _NULL  # type: ignore[assignment]
    versions: msgspec.Raw = _NULL  # type: ignore[assignment]
    environment: msgspec.Raw = _NULL  # type: ignore[assignment]


class _PackedLine(JournalLine, frozen=True, kw_only=True):
    outcome: _PackedOutcome


class KnownOutcome(NamedTuple):
    """The fields of an outcome that are not null, as JSON values, and the size of its `outcome.json` in bytes.

    A size of None says that the file itself must be read. What outcomes share must not be changed.
    """

    fields: dict[str, Any]
    size: int | None

    @property
    def key(self) -> tuple[int, int, int]:
        """Run, repetition and attempt."""
        return self.fields["run"], self.fields["repetition"], self.fields["attempt"]


def fields_of(outcome: Outcome) -> dict[str, Any]:
    """The fields of an outcome that are not null, as JSON values."""
    fields = _without_nulls(msgspec.structs.asdict(outcome))
    for name in ("error", "reason"):
        if name in fields:
            fields[name] = _without_nulls(fields[name].as_object())
    return fields


def _without_nulls(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def read_journal(path: str) -> bytes:
    """The content of a journal."""
    return retry(partial(_content, path))


def _content(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


class OutcomeReader:
    """Reads journals of one experiment; what their outcomes share is kept once."""

    def __init__(self) -> None:
        self._lines = msgspec.json.Decoder(list[_PackedLine])
        self._values = msgspec.json.Decoder(Values | None)
        self._objects: dict[bytes, Values | None] = {}
        self._texts: dict[Any, Any] = {}

    def read(self, path: str, content: bytes) -> tuple[list[KnownOutcome], bool]:
        """The outcomes in a journal with this content, and whether any of its lines is damaged."""
        lines = content.split(b"\n")
        is_torn = any(line and not (line.startswith(b'{"') and line.endswith(b"}")) for line in lines[:-1])
        lines = [line for line in lines if line.startswith(OUTCOME)]
        try:
            packed = self._lines.decode(b"[%b]" % b",".join(lines))
            if len(packed) == len(lines):
                sizes = [len(line) - len(OUTCOME) for line in lines]
                return [
                    KnownOutcome(self._unpacked(one.outcome), size) for one, size in zip(packed, sizes)
                ], is_torn
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            pass
        found, is_damaged = read_outcomes(path)
        return [KnownOutcome(fields_of(outcome), size) for outcome, size in found], is_damaged

    def _unpacked(self, outcome: _PackedOutcome) -> dict[str, Any]:
        fields = _without_nulls(msgspec.structs.asdict(outcome))
        for name in _OBJECTS:
            packed = bytes(fields[name])
            try:
                value = self._objects[packed]
            except KeyError:
                value = self._objects[packed] = self._values.decode(packed)
            if value is None:
                del fields[name]
            else:
                fields[name] = value
        for name in _TEXTS:
            if name in fields:
                fields[name] = self._texts.setdefault(fields[name], fields[name])
        for name in ("error", "reason"):
            if name in fields:
                fields[name] = _without_nulls(fields[name].as_object())
        return fields
