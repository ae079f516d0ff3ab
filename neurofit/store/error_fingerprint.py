"""Which failures are alike: what is left of an error once all that varies from task to task is out of it."""

from __future__ import annotations

import re

from neurofit.store.records import ErrorRecord

VARIES = "#"
EXCEPTIONS = ("exception", "metrics")  # kinds of errors that the user's own code is the cause of

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_NUMBER = r"(?:(?<!\w)[-+])?(?:\d[\d_]*)?\.?\d+(?:e[-+]?\d+)?"
_VARYING = re.compile(rf"[\w.~-]*/[^\s'\"]+|0x[0-9a-f]+|{_NUMBER}", re.IGNORECASE)

Signature = tuple[
    str, str, str, str
]  # kind, type, text without what varies, file and line in the user's code


def normalised(text: str) -> str:
    """The text on one line, with # for each number, address and path, and for quoted text that has one in it.

    Quoted words stay: no module named 'jax' is another failure than no module named 'torch'.
    """
    text = _QUOTED.sub(lambda found: _quoted(found.group()), " ".join(text.split()))
    return _VARYING.sub(VARIES, text)


def _quoted(text: str) -> str:
    return f"{text[0]}{VARIES}{text[0]}" if _VARYING.search(text) else text


def signature(error: ErrorRecord) -> Signature:
    """Equal for errors of one kind; different for two types of exception, or two places in the user's code."""
    place = f"{error.frames[-1].file}:{error.frames[-1].line}" if error.frames else ""
    return error.kind or "", error.type or "", normalised(error.message or ""), place


def in_words(error: ErrorRecord) -> str:
    """'ValueError: x=2 is too much'"""
    message = error.message or "unknown"
    named = error.type and error.kind == "exception" and error.type != message
    return f"{error.type}: {message}" if named else message
