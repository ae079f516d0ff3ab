"""Text for terminals and shells.

Suggested commands are quoted so that they can be copied and run. Text from files, scripts and arguments is
printed with its control characters as escapes. Widths are those of a terminal's cells.
"""

from __future__ import annotations

import re
import shlex
from typing import Any


def cut(text: str, width: int, end: int) -> str:
    """The text in at most `width` characters, shortened in the middle: its last `end` characters are kept,
    because long texts often share their beginning.
    """
    return text if len(text) <= width else f"{text[: width - end - 1]}…{text[len(text) - end :]}"


def one_line(text: str, width: int = 40) -> str:
    """The text in at most `width` characters, with escapes for characters that cannot be printed."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: width + 1])
    return text if len(text) <= width else text[: width - 1] + "…"


def clock(seconds: float) -> str:
    """'0:42', '1:02:03'"""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def roughly(seconds: float) -> str:
    """'3 s', '12 min', '5 h', '2 days'"""
    for unit, size, most in (("s", 1.0, 120.0), ("min", 60.0, 7200.0), ("h", 3600.0, 172800.0)):
        if seconds < most:
            return (
                f"{seconds / size:.1f} {unit}"
                if seconds < size * 10 and unit != "min"
                else f"{seconds / size:.0f} {unit}"
            )
    return f"{seconds / 86400:.0f} days"


def command(verb: str, *words: Any, **options: Any) -> str:
    """A neurofit command, quoted for a shell: `neurofit submit 'exp3:1 7' --where 'lr < 1e-3' --retry`.

    Parameters
    ----------
    verb : str
        The command, with a subcommand if there is one ("runners check").
    *words
        Its arguments.
    **options
        By name, `where="lr < 1e-3"`. True is a flag, None and False leave the option out, and a list repeats
        it for each item.

    Returns
    -------
    str
    """
    texts = [str(word) for word in words]
    if any(text.startswith("-") for text in texts):
        return shlex.join(["neurofit", *verb.split(), *_options(options), "--", *texts])
    return shlex.join(["neurofit", *verb.split(), *texts, *_options(options)])


def _options(options: dict[str, Any]) -> list[str]:
    words = []
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if one is True:
                words.append(option)
            elif one is not None and one is not False:
                words += [option, f"{one:g}" if isinstance(one, float) else str(one)]
    return words


# C0 except tab and newline, DEL, C1, marks of text direction, and characters that some programs take for newlines
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_LINE_END = re.compile(r"\r*\n|\r+")


def printable(text: str) -> str:
    """The text with each control character as its escape, `\\x1b`; newlines and tabs stay."""
    return _CONTROL.sub(_escape, text)


def control_character(text: str) -> str | None:
    """The first line break or other ASCII control character of a text, tabs aside; None if it has none."""
    return next((sign for sign in text if (ord(sign) < 32 and sign != "\t") or ord(sign) == 127), None)


def printable_json(text: str) -> str:
    """JSON with each control character inside a string as `\\u009b`, which has the same meaning."""
    return _CONTROL.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def printable_log(text: str) -> str:
    """The output of a program without colours, with one line per step of a progress bar, and printable."""
    return printable(_LINE_END.sub("\n", _COLOUR.sub("", text).replace("\b", "")))


def _escape(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape").decode()


def cell_width(text: str) -> int:
    """The width of a text in a terminal, in cells: 2 for most East Asian characters, 0 for combining marks."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # takes 50 ms, and few texts need it

    return cell_len(text)


def count(number: int, noun: str) -> str:
    """'1 task', '1,200 tasks'"""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
