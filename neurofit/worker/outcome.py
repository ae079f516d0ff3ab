"""Outcomes: how an attempt ended, as the record in `outcome.json` and in the journal."""

from __future__ import annotations

import datetime
import math
import numbers
import traceback
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import Any

from neurofit.errors import NeurofitError, ProgramError, nearest, remedy, text_of
from neurofit.store.records import LARGEST_NUMBER, ErrorRecord, Frame

CODE_FOLDER = ".code"  # see `layout.code_store`
TRACEBACK_CHARACTERS = 20_000


def timestamp(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat(timespec="milliseconds")


class BadMetrics(NeurofitError):
    """A fit returned something other than a dict of finite numbers."""


class NoSuchMetric(BadMetrics):
    """A fit did not return the metric that a search improves."""


def must_have(metric: str, metrics: Collection[str]) -> None:
    """Raise NoSuchMetric if the metric that a search improves is missing."""
    if metric not in metrics:
        raise NoSuchMetric(
            f"The search improves the metric '{metric}', and the fit did not return it.{nearest(metric, metrics)} "
            f"It returned {', '.join(sorted(metrics))}. Return it, or name one of these in search(metric=…)."
        )


def checked_metrics(returned: Any) -> dict[str, float]:
    """Metrics as JSON numbers.

    Raises
    ------
    BadMetrics
        This is not a dict of names and finite numbers; the message names the metric.
    """
    expected = 'expected a dict of numbers, such as {"test/correlation": 0.41}'
    if returned is None:
        raise BadMetrics(f"The fit returned None; {expected}. Is its `return` missing?")
    if not isinstance(returned, dict):
        raise BadMetrics(
            f"The fit returned {type(returned).__name__} {text_of(returned)[:80]!r}; {expected}."
        )
    if not returned:
        raise BadMetrics(f"The fit returned an empty dict; {expected}.")
    return {_name(name, expected): _number(name, value) for name, value in returned.items()}


def _name(name: Any, expected: str) -> str:
    if not isinstance(name, str):
        shown = f"{type(name).__name__} {text_of(name)[:80]!r}"
        raise BadMetrics(f"The fit returned a metric named {shown}, expected text; {expected}.")
    return name


def _number(name: str, value: Any) -> float | int:
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()  # a NumPy scalar
    elif hasattr(value, "numpy") and getattr(value, "shape", None) == ():
        value = value.numpy().item()  # a tensor
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise BadMetrics(
            f"Metric '{name}' is {type(value).__name__} {text_of(value)[:80]!r}, expected one number. Put facts "
            "into task.record(…) and arrays into task.folder."
        )
    number = int(value) if isinstance(value, numbers.Integral) else float(value)
    if isinstance(number, int) and abs(number) >= LARGEST_NUMBER:
        raise BadMetrics(f"Metric '{name}' is too large, expected an integer below 1e300.")
    if not math.isfinite(number):
        raise BadMetrics(
            f"Metric '{name}' is {number}, expected a finite number. If training diverged (see history.csv), "
            "try a lower learning rate; leave out a score that is undefined."
        )
    return number


def exception_record(error: BaseException, code: Path) -> ErrorRecord:
    """An exception as the error of an outcome, with the last frames in the user's own code."""
    kind = (
        "memory"
        if isinstance(error, MemoryError)
        else "metrics"
        if isinstance(error, BadMetrics)
        else "exception"
    )
    text = "".join(traceback.format_exception(type(error), error, users_part(error, code)))
    return ErrorRecord(
        kind=kind,
        type=type(error).__name__,
        message=_message(error, code)[:2000] or type(error).__name__,
        frames=user_frames(error, code),
        traceback=text[-TRACEBACK_CHARACTERS:],
    )


def _message(error: BaseException, code: Path) -> str:
    """The exception's message; if it names a file of the submitted code, with its path in the study and a remedy."""
    text, name = text_of(error), getattr(error, "filename", None)
    if not isinstance(error, OSError) or not isinstance(name, str) or code.parent.name != CODE_FOLDER:
        return text + remedy(error)
    if not _is_inside(name, code):
        return text
    path = Path(name).resolve().relative_to(code.resolve()).as_posix()
    text = text.replace(name, path)
    if not isinstance(error, FileNotFoundError):
        return text
    return (
        f"{text}: the file was not copied with the submitted code, which has only the files that the code names. "
        f'Declare it, Experiment(…, files=["{path}"]), or read it from task.study / "{path}".'
    )


def users_part(error: BaseException, code: Path) -> TracebackType | None:
    """The traceback from the first frame in the submitted code; all of it if there is no such frame.

    A program that failed, or metrics that are none, need no more than the message: neurofit's own frames say nothing.
    """
    if isinstance(error, (ProgramError, BadMetrics)):
        return None
    frame = error.__traceback__
    while frame is not None and not _is_inside(frame.tb_frame.f_code.co_filename, code):
        frame = frame.tb_next
    return frame or error.__traceback__


def _is_inside(file: str, code: Path) -> bool:
    return Path(file).resolve().is_relative_to(code.resolve())


def user_frames(error: BaseException, code: Path, most: int = 3) -> list[Frame]:
    """The innermost frames in the submitted code, with file names as in the study."""
    frames = []
    for frame in traceback.extract_tb(error.__traceback__):
        try:
            file = Path(frame.filename).resolve().relative_to(code.resolve()).as_posix()
        except ValueError:
            continue
        frames.append(Frame(file=file, line=frame.lineno, function=frame.name, code=frame.line or ""))
    return frames[-most:]
