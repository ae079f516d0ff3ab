"""Recognise identical failures: the signature of an error without the parts that vary between tasks."""

from __future__ import annotations

import re

from neurofit.store.records import ErrorRecord

VARIES = "#"
EXCEPTIONS = ("exception", "metrics")  # kinds of errors that the user's own code causes

_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_NUMBER = r"(?:(?<!\w)[-+])?(?:\d[\d_]*)?\.?\d+(?:e[-+]?\d+)?"
_VARYING = re.compile(rf"[\w.~-]*/[^\s'\"]+|0x[0-9a-f]+|{_NUMBER}", re.IGNORECASE)

# kind, type, text without the varying parts, file and line in the user's code
Signature = tuple[str, str, str, str]


def normalised(text: str) -> str:
    """The text on one line, with # for each number, address and path, and for quoted text that contains one.

    Other quoted words are kept: "No module named 'jax'" and "No module named 'torch'" are different failures.
    """
    text = _QUOTED.sub(lambda found: _quoted(found.group()), " ".join(text.split()))
    return _VARYING.sub(VARIES, text)


def _quoted(text: str) -> str:
    return f"{text[0]}{VARIES}{text[0]}" if _VARYING.search(text) else text


def signature(error: ErrorRecord) -> Signature:
    """The signature of an error. It differs between types of exception and between places in the user's code."""
    place = f"{error.frames[-1].file}:{error.frames[-1].line}" if error.frames else ""
    return error.kind or "", error.type or "", normalised(error.message or ""), place


def error_text(error: ErrorRecord) -> str:
    """The type and the message of an error, as in 'ValueError: x=2 is too much'."""
    message = error.message or "unknown"
    named = error.type and error.kind == "exception" and error.type != message
    return f"{error.type}: {message}" if named else message
