"""Metrics and progress of a program: from a file that it writes, and from the lines that it prints."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from neurofit.errors import GridError, ProgramError

MOST_BYTES = 1_000_000
SUFFIXES = (".json", ".csv", ".yaml", ".yml")
STEP = r"(?i:(?<![a-z])(?:step|epoch|iter(?:ation)?)s?\b\W{0,3}(?P<step>\d+))|(?:\b(?P<count>\d+)/\d+ \[)"


def compiled(pattern: str, what: str) -> re.Pattern[str]:
    """A regular expression.

    Raises
    ------
    GridError
        It is none, or has no named group.
    """
    try:
        found = re.compile(pattern)
    except (re.error, TypeError) as error:
        raise GridError(f"Command({what}={pattern!r}) is no regular expression: {error}.") from None
    if not found.groupindex:
        raise GridError(
            f'Command({what}={pattern!r}) has no named group. Write for example {what}=r"accuracy: '
            '(?P<accuracy>\\S+)".'
        )
    return found


def number(text: str | None) -> float | int | None:
    """A number that a program printed; None if it is none."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return int(value) if value.is_integer() and re.fullmatch(r"[-+]?\d+", text or "") else value


def in_line(pattern: re.Pattern[str], line: str) -> dict[str, float | int]:
    """The numbers that the named groups of a pattern find in a line; of several matches, the last."""
    found: dict[str, float | int] = {}
    for match in pattern.finditer(line):
        for name, text in match.groupdict().items():
            value = number(text)
            if value is not None:
                found[name] = value
    return found


def read(path: Path) -> dict[str, Any]:
    """The metrics in a file, flat: `{"test": {"r": 0.4}}` is `test/r`. Of a CSV file, its last row.

    Raises
    ------
    ProgramError
        The file is missing, too large, incomplete, or holds something else.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise ProgramError(
            f"The program ended without an error, but wrote no {path.name} into its folder. Write the metrics "
            f"to {{folder}}/{path.name}, or tell Command(metrics=…) the file's name. ({path})"
        ) from None
    except OSError as error:
        raise ProgramError(f"{path} cannot be read: {error.strerror}.") from None
    if len(data) > MOST_BYTES:
        raise ProgramError(f"{path} has more than {MOST_BYTES:,} bytes, expected only metrics.")
    try:
        found = {".json": _json, ".csv": _csv}.get(path.suffix, _yaml)(data)
    except ValueError as error:
        raise ProgramError(
            f"{path} cannot be read as {path.suffix[1:].upper()}: {error}. Did the program write all of it?"
        ) from None
    if not isinstance(found, dict):
        raise ProgramError(f"{path} holds {type(found).__name__}, expected names and numbers.")
    flat = _flat(found)
    for name, value in flat.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            kind = {"str": "text", "list": "a list", "bool": "true or false", "NoneType": "null"}
            named = kind.get(type(value).__name__, type(value).__name__)
            raise ProgramError(
                f"{path}: '{name}' is {named} ({str(value)[:80]!r}), expected a number. Leave out what is no metric."
            )
    return flat


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)  # also NaN, which the check of metrics explains
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _yaml(data: bytes) -> Any:
    import yaml

    from neurofit.yaml_text import load

    try:
        return load(data.decode("utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None


def _csv(data: bytes) -> dict[str, Any]:
    try:
        rows = [row for row in csv.reader(io.StringIO(data.decode("utf-8-sig")), strict=True) if row]
    except csv.Error as error:
        raise ValueError(str(error)) from None
    if len(rows) < 2:
        raise ValueError(f"{len(rows)} rows, expected a row of names and a row of numbers")
    if len(rows[0]) != len(rows[-1]):
        raise ValueError(f"{len(rows[0])} names and {len(rows[-1])} values in the last row")
    values = ((name.strip(), text.strip()) for name, text in zip(rows[0], rows[-1]))
    return {name: text if (value := number(text)) is None else value for name, text in values}


def _flat(values: Mapping[Any, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{before}{name}/")
        else:
            flat[f"{before}{name}"] = value
    return flat
