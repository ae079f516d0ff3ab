"""What each kind of record under `training_data/` has to look like, checked by whoever reads one.

A file may have been cut by a full disk, edited by hand, or written by a later version: what is not as
expected is named with its file, its field and what was expected, and is never taken for something else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurofit.errors import StoreError
from neurofit.files import read_json
from neurofit.process import is_process

MOST_JOBS = 10**6  # of a submission
MOST_REPETITIONS = 10**5
LARGEST = 10**12  # of a number that counts something: what is larger cannot have been written by us
_SHOWN = 60
_WHERE = ("cluster", "user", "host", "server")


@dataclass(frozen=True)
class Kind:
    """What a value has to be: in words, and as a question."""

    words: str
    holds: Callable[[Any], bool]


def _is_whole(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LARGEST


def _is_number(value: Any) -> bool:
    return (type(value) is int and abs(value) < 10**300) or (type(value) is float and math.isfinite(value))


def _is_name(value: Any) -> bool:
    """A path below the folder that it is relative to."""
    return (
        isinstance(value, str)
        and bool(value)
        and "\0" not in value
        and not value.startswith("/")
        and (".." not in value.split("/"))
    )


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_whole, value))


def _is_span(value: Any) -> bool:
    return _is_pair(value) and value[0] <= value[1] < MOST_JOBS


def _is_queue(value: Any) -> bool:
    """Where a call was made: a process of a host, or a cluster's name and a user's."""
    if not isinstance(value, dict) or not all(
        isinstance(value.get(name, ""), (str, type(None))) for name in _WHERE
    ):
        return False
    return all(isinstance(one, (str, int, type(None))) for one in value.values())


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def maybe(kind: Kind) -> Kind:
    """The same, or null."""
    return Kind(f"{kind.words} or null", lambda value: value is None or kind.holds(value))


def list_of(kind: Kind) -> Kind:
    return Kind(
        f"a list of {kind.words}", lambda value: isinstance(value, list) and all(map(kind.holds, value))
    )


def values_of(kind: Kind, words: str) -> Kind:
    return Kind(words, lambda value: isinstance(value, dict) and all(map(kind.holds, value.values())))


def like(schema: Schema) -> Kind:
    return Kind(schema.what, lambda value: fault(value, schema) is None)


def one_of(*names: str) -> Kind:
    return Kind(f"one of {', '.join(names)}", lambda value: isinstance(value, str) and value in names)


WHOLE = Kind("a whole number of at least 0", _is_whole)
POSITIVE = Kind("a whole number of at least 1", lambda value: _is_whole(value) and value > 0)
NUMBER = Kind("a finite number", _is_number)
JOB = Kind(f"the number of a job, below {MOST_JOBS:,}", lambda value: _is_whole(value) and value < MOST_JOBS)
REPETITIONS = Kind(
    f"a whole number from 1 to {MOST_REPETITIONS:,}",
    lambda value: _is_whole(value) and 0 < value <= MOST_REPETITIONS,
)
SECONDS = Kind("a number of seconds", lambda value: _is_number(value) and 0 <= value <= LARGEST)
AMOUNT = Kind("a number above 0", lambda value: _is_number(value) and 0 < value <= LARGEST)
TEXT = Kind("text", lambda value: isinstance(value, str))
NAME = Kind("a name or a path without '..'", _is_name)
PATH = Kind(
    "an absolute path", lambda value: isinstance(value, str) and value.startswith("/") and "\0" not in value
)
ID = Kind("a run's id", lambda value: _is_name(value) and "/" not in value)
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
OBJECT = Kind("an object", _is_object)
TASK = Kind("[run, repetition]", _is_pair)
SPANS = list_of(Kind("[first, last]", _is_span))
METRICS = values_of(NUMBER, "an object of finite numbers")
CAUSES = values_of(SPANS, "an object of causes and their jobs")
STATE = one_of("done", "failed", "stopped", "abandoned")


@dataclass(frozen=True)
class Schema:
    """The fields of one kind of record that neurofit relies on; there may be others."""

    what: str
    needed: Mapping[str, Kind] = field(default_factory=dict)
    optional: Mapping[str, Kind] = field(default_factory=dict)


QUEUE = Kind("where a queue is", _is_queue)
PROCESS_KIND = Kind("a process (host, boot, pid, started)", is_process)
RESOURCES = Schema(
    "resources",
    {},
    {
        "cpus": maybe(POSITIVE),
        "gpus": maybe(WHOLE),
        "memory_gb": maybe(AMOUNT),
        "walltime_minutes": maybe(AMOUNT),
    },
)
SUBMISSION = Schema(
    "a submission",
    {
        "experiment": NAME,
        "study": PATH,
        "script": NAME,
        "repetitions": REPETITIONS,
        "fresh": FLAG,
        "code": NAME,
        "runner": TEXT,
        "backend": TEXT,
        "jobs": WHOLE,
        "resources": like(RESOURCES),
    },
    {
        "whole_grid": FLAG,
        "keep_going": FLAG,
        "task_minutes": maybe(AMOUNT),
        "code_hash": TEXT,
        "host": maybe(TEXT),
        "user": maybe(TEXT),
        "split_by": maybe(TEXT),
        "inode": WHOLE,
        "commit": maybe(TEXT),
        "dirty": maybe(FLAG),
        "versions": OBJECT,
        "created": TEXT,
        "name": TEXT,
    },
)
REGISTERED_RUN = Schema(
    "a run",
    {"run": WHOLE, "id": ID, "architecture": TEXT, "params": OBJECT, "derived": OBJECT, "on_grid": FLAG},
)
QUEUE_LINE = Schema(
    "what the queue said",
    {},
    {
        "id": TEXT,
        "first": JOB,
        "last": JOB,
        "process": maybe(QUEUE),
        "absent": SPANS,
        "back": SPANS,
        "t": SECONDS,
        "complete": FLAG,
        "ended": CAUSES,
    },
)
STOP = Schema("a cancellation", {"tasks": maybe(list_of(TASK)), "by": TEXT})
FAIL_FAST = Schema("a fail-fast stop", {"failures": WHOLE, "message": TEXT})
CLAIM = Schema(
    "a claim",
    {"submission": NAME, "job": WHOLE, "start": POSITIVE, "process": PROCESS_KIND},
    {"inode": WHOLE, "t": SECONDS},
)
FRAME = Schema("a frame", {"file": TEXT, "line": maybe(WHOLE), "function": TEXT, "code": maybe(TEXT)})
ERROR = Schema(
    "an error",
    {},
    {
        "kind": maybe(TEXT),
        "type": maybe(TEXT),
        "message": maybe(TEXT),
        "traceback": maybe(TEXT),
        "frames": maybe(list_of(like(FRAME))),
    },
)
REASON = Schema("a reason", {}, {"kind": TEXT, "message": TEXT})
OUTCOME = Schema(
    "an outcome",
    {"state": STATE, "attempt": POSITIVE},
    {
        "run": WHOLE,
        "repetition": WHOLE,
        "id": ID,
        "metrics": METRICS,
        "facts": OBJECT,
        "params": OBJECT,
        "derived": OBJECT,
        "defaults": OBJECT,
        "architecture": TEXT,
        "progress": maybe(NUMBER),
        "error": maybe(like(ERROR)),
        "reason": maybe(like(REASON)),
        "code": maybe(TEXT),
        "log": maybe(NAME),
        "host": maybe(TEXT),
        "wall_seconds": NUMBER,
        "cpu_seconds": NUMBER,
        "peak_memory_gb": NUMBER,
        "seeds": OBJECT,
        "versions": OBJECT,
        "submission": TEXT,
        "job": maybe(WHOLE),
        "pid": WHOLE,
        "started": TEXT,
        "ended": TEXT,
        "repetitions": WHOLE,
        "split_by": maybe(TEXT),
        "commit": maybe(TEXT),
        "dirty": maybe(FLAG),
        "on_grid": FLAG,
        "experiment": TEXT,
    },
)
TASK_OUTCOME = Schema(OUTCOME.what, {**OUTCOME.needed, "run": WHOLE, "repetition": WHOLE}, OUTCOME.optional)
JOURNAL_LINE = Schema(
    "a line of a journal",
    {},
    {
        "start": PROCESS_KIND,
        "claim": TASK,
        "attempt": POSITIVE,
        "skip": TASK,
        "end": TEXT,
        "why": maybe(TEXT),
        "outcome": like(TASK_OUTCOME),
    },
)
POOL_EVENT = Schema("an event of a pool", {}, {"pool": PROCESS_KIND, "ended": WHOLE, "cause": maybe(TEXT)})
LOCK = Schema(
    "a lock", {"host": TEXT, "boot": TEXT, "pid": WHOLE, "started": WHOLE}, {"user": TEXT, "since": TEXT}
)
CHECKPOINT = Schema("a checkpoint", {}, {"attempt": POSITIVE, "step": WHOLE})


def fault(record: Any, schema: Schema) -> str | None:
    """What is wrong with a record: the first field that is not as expected, in words; None if all is well."""
    if not isinstance(record, dict):
        return f"expected an object, found {type(record).__name__}"
    for name, kind in schema.needed.items():
        if name not in record:
            return f"'{name}' is missing"
        if not kind.holds(record[name]):
            return f"'{name}' is {_short(record[name])}, expected {kind.words}"
    for name in schema.optional.keys() & record.keys():
        if not schema.optional[name].holds(record[name]):
            return f"'{name}' is {_short(record[name])}, expected {schema.optional[name].words}"
    return None


def checked(record: Any, schema: Schema, path: Path | str) -> dict[str, Any]:
    """The record, if it is as its schema says.

    Raises
    ------
    StoreError : naming file, field, value, and what was expected
    """
    if wrong := fault(record, schema):
        raise StoreError(f"{path}: damaged: as {schema.what}, {wrong}.")
    return record


def read_record(path: Path, schema: Schema) -> dict[str, Any]:
    """The record in a file. Raises as `read_json` and `checked` do."""
    return checked(read_json(path), schema, path)


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of more digits than Python prints, or lists too deep
        text = type(value).__name__
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
