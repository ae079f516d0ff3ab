"""Text from files, scripts and arguments, made fit for a terminal: whatever would control one is shown as an
escape.
"""

from __future__ import annotations

import re

# C0 but for tab and newline, DEL, C1; marks that turn the direction of text; separators that some take for
# newlines
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_LINE_END = re.compile(r"\r*\n|\r+")


def printable(text: str) -> str:
    """The text with every control character as its escape, `\\x1b`; newlines and tabs stay."""
    return _CONTROL.sub(_escape, text)


def printable_json(text: str) -> str:
    """JSON with every control character that it may hold in strings as `\\u009b`, which means the same."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def printable_log(text: str) -> str:
    """Output of a program: without colours, a line per step of a progress bar, and the rest as `printable`
    has it.
    """
    return printable(_LINE_END.sub("\n", _COLOUR.sub("", text).replace("\b", "")))


def _escape(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape").decode()
