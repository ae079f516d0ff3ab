"""The JSON of `qstat -F json`, also where it is none; pure.

OpenPBS up to 23.06, and PBS Pro before it, put values into it as they stand: variables `1.`, `-007`, `inf`, a
backslash in a path or a comment. Each attribute is on a line of its own, though, indented by its depth, and
what is in a value never begins a line. So where the whole is no JSON, its lines are read one by one; what is
asked for is short words and numbers, and a value that cannot be read costs nothing but itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

LINE = re.compile(r'( *)(?:"(.*?)":)?(.*?),?\s*$')


def read(text: str) -> dict[str, Any] | None:
    """The object in an answer, whatever is printed around it; None where it is not there as a whole."""
    start, ends = re.search(r"^\{", text, re.MULTILINE), list(re.finditer(r"\}\s*$", text, re.MULTILINE))
    if start is None or not ends:
        return None
    text = text[start.start() : ends[-1].start() + 1]
    try:
        record = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        record = _by_lines(text.split("\n"))
    return record if isinstance(record, dict) and "timestamp" in record else None


def _by_lines(lines: list[str]) -> dict[str, Any] | None:
    """Objects by their indentation; None where one is not closed."""
    unit = _indentation(lines)
    if not unit:
        return None
    inside: list[dict[str, Any]] = [{}]
    for depth, name, value in _parts(lines[1:-1], unit):
        if depth == len(inside) - 1 and value == "}" and name is None:
            inside.pop()
        elif depth == len(inside) and name is not None:
            if value == "{":
                inside[-1].setdefault(name, {})
                if not isinstance(inside[-1][name], dict):
                    return None
                inside.append(inside[-1][name])
            else:
                inside[-1].setdefault(name, _value(value))
    return inside[0] if len(inside) == 1 and lines[-1].strip() == "}" else None


def _indentation(lines: list[str]) -> int:
    """How far the first attribute is from the left; it is that of every level."""
    return len(lines[1]) - len(lines[1].lstrip(" ")) if len(lines) > 2 and lines[0].strip() == "{" else 0


def _parts(lines: list[str], unit: int) -> Iterator[tuple[int, str | None, str]]:
    """Depth, name and value of each line that looks like one."""
    for line in lines:
        match = LINE.match(line)
        if match and len(match[1]) % unit == 0:
            yield len(match[1]) // unit, match[2], match[3]


def _value(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text
