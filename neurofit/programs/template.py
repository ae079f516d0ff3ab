"""The words of a command, with placeholders in braces that are replaced by arguments, seeds and folders.

A command is a list of words from the start, and its placeholders are replaced word by word: whatever an argument
contains, it cannot become another word or reach a shell.
"""

from __future__ import annotations

import json
import re
import shlex
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neurofit.errors import GridError
from neurofit.experiments.grid.params import short

OF_THE_TASK = {
    "folder": "this attempt's folder",
    "persistent": "a folder that the next attempt finds again",
    "study": "the study's folder",
    "seed": "the number of the repetition",
    "repetition": "the number of the repetition",
    "repetitions": "how many repetitions there are",
    "seeds.init": "a seed",
    "seeds.shuffle": "a seed",
    "seeds.noise": "a seed",
    "seeds.split": "a seed",
}
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?")
_EXPECTED = "a placeholder is the name of an argument, such as {lr} or {lr:.3g}; write {{ and }} for braces"


@dataclass(frozen=True)
class Part:
    """Text, and after it a placeholder: its name is None at the end of a word."""

    text: str
    name: str | None = None
    spec: str = ""


@dataclass(frozen=True)
class Template:
    """A command as words, each a sequence of parts.

    Parameters
    ----------
    command : str or sequence of str
        A line, divided into words as a shell divides it, or the words.

    Raises
    ------
    GridError
        There is no word, a quotation does not end, or a placeholder is not a name.
    """

    words: tuple[tuple[Part, ...], ...]
    texts: tuple[str, ...]

    @classmethod
    def of(cls, command: str | Sequence[str]) -> Template:
        texts = _texts(command)
        return cls(tuple(tuple(_parts(text)) for text in texts), texts)

    def names(self) -> list[str]:
        """The names of all placeholders, each once, in order."""
        found = [part.name for word in self.words for part in word if part.name is not None]
        return list(dict.fromkeys(found))

    def arguments(self) -> list[str]:
        """The placeholders that stand for arguments."""
        return [name for name in self.names() if name not in OF_THE_TASK]

    def filled(self, values: Mapping[str, Any], literal: Callable[[str], str] = str) -> list[str]:
        """The words of the command with these values, by the name of the placeholder.

        A list that is a whole word becomes several words. `literal` makes words of those without a placeholder.

        Raises
        ------
        GridError
            A value cannot be a word.
        """
        words = []
        for parts in self.words:
            if all(part.name is None for part in parts):
                words.append(literal("".join(part.text for part in parts)))
            else:
                words += _filled(parts, values)
        return words


def _texts(command: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(command, str):
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise GridError(f"Command({command!r}): {error}. Close the quotation.") from None
    else:
        words = list(command)
        wrong = [word for word in words if not isinstance(word, str)]
        if wrong:
            raise GridError(f"Command: the word {short(wrong[0])} is no text. Write every word as text.")
    if not words:
        raise GridError('Command: there is no program. Write Command("python train.py --lr {lr}", …).')
    return tuple(words)


def _parts(word: str) -> list[Part]:
    parts = []
    try:
        pieces = list(string.Formatter().parse(word))
    except ValueError as error:
        raise GridError(f"Command: the word {word!r}: {error}; {_EXPECTED}.") from None
    for text, name, spec, conversion in pieces:
        if name is not None and (conversion or not _NAME.fullmatch(name) or "{" in (spec or "")):
            raise GridError(f"Command: the word {word!r} has the placeholder {{{name}}}; {_EXPECTED}.")
        if name is not None and "." in name and name not in OF_THE_TASK:
            seeds = ", ".join(one for one in OF_THE_TASK if "." in one)
            raise GridError(f"Command: {{{name}}} is unknown; of these there are {seeds}.")
        parts.append(Part(text, name, spec or ""))
    return parts or [Part("")]


def _filled(parts: tuple[Part, ...], values: Mapping[str, Any]) -> list[str]:
    if len(parts) == 1 and not parts[0].text and isinstance(values.get(parts[0].name or ""), list | tuple):
        part = parts[0]
        return [word_of(part.name, item, part.spec) for item in values[part.name or ""]]
    return [
        "".join(p.text + ("" if p.name is None else word_of(p.name, values[p.name], p.spec)) for p in parts)
    ]


def word_of(name: str | None, value: Any, spec: str = "") -> str:
    """One value as text: numbers as Python writes them, True and False, dicts as JSON."""
    if value is None:
        raise GridError(
            f"The argument '{name}' is None, and a program gets words only. Give it a value, or leave it out of "
            "the command."
        )
    if isinstance(value, list | tuple):
        raise GridError(
            f"The argument '{name}' is a list, {short(value)}, inside a word. Let {{{name}}} be a word of its "
            "own; each item becomes a word."
        )
    try:
        text = json.dumps(value) if isinstance(value, dict) else format(value, spec)
    except ValueError:
        raise GridError(f"The argument '{name}' is {short(value)}, which has no format '{spec}'.") from None
    if "\0" in text:
        raise GridError(f"The argument '{name}' contains the character NUL, which no word can.")
    return text
