"""Ways to damage one file, each a function of its bytes and a random generator."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

DEEP = 100_000
VALUES = [
    None,
    True,
    False,
    -1,
    0,
    1,
    10**30,
    -(10**400),
    0.5,
    1e308,
    "",
    "x",
    "\x00",
    "../../..",
    "2026",
    [],
    [1],
    [[]],
    [None, None],
    {},
    {"a": None},
    {"state": "done"},
    "\udcff",
    "∞",
    [[0, 0]],
    [[0, 10**12]],
    "done",
    [1, 2, 3],
]
RAW = [
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"[" * DEEP + b"]" * DEEP,
    b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    b"9" * 5000,
]


def damage(path: Path, dice: random.Random) -> str:
    """Damage the file; gives how."""
    how = dice.choice([*BYTES, *FILES, *[_json_value] * 6, *[_json_raw] * 2, *[_json_key] * 3])
    if how in FILES:
        how(path)
    else:
        data = path.read_bytes()
        path.write_bytes(how(data, dice))
    return how.__name__.strip("_")


def _truncated(data: bytes, dice: random.Random) -> bytes:
    return data[: dice.randrange(len(data) + 1)]


def _flipped(data: bytes, dice: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.choice([1, 1, 3, 20]) if data else 0):
        changed[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def _zeroed(data: bytes, dice: random.Random) -> bytes:
    start = dice.randrange(len(data) + 1)
    return data[:start] + b"\0" * (len(data) - start)


def _not_text(data: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(data) + 1)
    return data[:at] + dice.choice([b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\x80" * 9]) + data[at:]


def _empty(data: bytes, dice: random.Random) -> bytes:
    return b""


def _newline_only(data: bytes, dice: random.Random) -> bytes:
    return b"\n"


def _lines(change: Callable[[list[bytes], random.Random], None]) -> Callable[[bytes, random.Random], bytes]:
    def changed(data: bytes, dice: random.Random) -> bytes:
        lines = data.splitlines(keepends=True)
        if lines:
            change(lines, dice)
        return b"".join(lines)

    changed.__name__ = change.__name__
    return changed


@_lines
def _line_twice(lines: list[bytes], dice: random.Random) -> None:
    lines.insert(dice.randrange(len(lines) + 1), dice.choice(lines))


@_lines
def _line_gone(lines: list[bytes], dice: random.Random) -> None:
    del lines[dice.randrange(len(lines))]


@_lines
def _line_of_garbage(lines: list[bytes], dice: random.Random) -> None:
    garbage = [
        b"garbage\n",
        b"{}\n",
        b"[]\n",
        b"null\n",
        b"3\n",
        b'""\n',
        b'{"run":1}\n',
        b'{"outcome":3}\n',
        b"\0\n",
    ]
    lines.insert(dice.randrange(len(lines) + 1), dice.choice(garbage))


def _gone(path: Path) -> None:
    path.unlink()


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("/nowhere/at/all")


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _places(value: Any, path: tuple = ()) -> list[tuple]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in items for place in _places(inner, (*path, key)))]


def _in_json(data: bytes, dice: random.Random, change: Callable[[Any, Any], None]) -> bytes:
    """Change one value of one line (or of the whole file) that is JSON."""
    lines = data.split(b"\n")
    found = []
    for number, line in enumerate(lines):
        try:
            found.append((number, json.loads(line)))
        except ValueError:
            continue
    found = [(number, value) for number, value in found if isinstance(value, dict) and value]
    if not found:
        return _truncated(data, dice)
    number, value = dice.choice(found)
    place = dice.choice(_places(value)[1:])
    inner = value
    for key in place[:-1]:
        inner = inner[key]
    change(inner, place[-1])
    lines[number] = json.dumps(value, ensure_ascii=True).encode()
    return b"\n".join(lines)


def _json_value(data: bytes, dice: random.Random) -> bytes:
    new = dice.choice(VALUES)
    return _in_json(data, dice, lambda inner, key: inner.__setitem__(key, new))


def _json_raw(data: bytes, dice: random.Random) -> bytes:
    mark = "MARK-OF-A-RAW-VALUE"
    changed = _in_json(data, dice, lambda inner, key: inner.__setitem__(key, mark))
    return changed.replace(f'"{mark}"'.encode(), dice.choice(RAW))


def _json_key(data: bytes, dice: random.Random) -> bytes:
    def change(inner: Any, key: Any) -> None:
        if isinstance(inner, list):
            del inner[key]
        else:
            value = inner.pop(key)
            if dice.random() < 0.3:
                inner[key + "x"] = value

    return _in_json(data, dice, change)


BYTES = [
    _truncated,
    _flipped,
    _flipped,
    _zeroed,
    _not_text,
    _empty,
    _newline_only,
    _line_twice,
    _line_gone,
    _line_of_garbage,
]
FILES = [_gone, _folder, _dangling, _loop]


def copied(source: Path, target: Path) -> None:
    """A copy in which submissions know their own folders, as in the original."""
    shutil.copytree(source, target, symlinks=True)
    for record in target.glob("training_data/*/submissions/*/submission.json"):
        kept = json.loads(record.read_bytes())
        kept["inode"] = os.stat(record.parent).st_ino
        record.write_text(json.dumps(kept, separators=(",", ":")) + "\n")
