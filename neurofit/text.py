"""Commands that messages suggest, as a shell takes them: every one of them can be copied and run.

Text from files, scripts and arguments, made fit for a terminal: whatever would control one is shown as an
escape.
"""

from __future__ import annotations

import re
import shlex
from typing import Any


def command(verb: str, *words: Any, **options: Any) -> str:
    """`neurofit submit 'exp3:1 7' --where 'lr < 1e-3' --retry`, quoted where a shell needs that.

    Parameters
    ----------
    options : by their names, `where="lr < 1e-3"`; True gives a flag, None or False nothing, a list the option
    once for
        each of its items
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


def cell_width(text: str) -> int:
    """How many columns of a terminal a text takes: two for a wide character, none for a combining one."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # 50 ms, needed for few texts

    return cell_len(text)


def _escape(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape").decode()
