"""Every error that neurofit raises on purpose.

NeurofitError
├── UsageError            what was asked for makes no sense (exit code 2)
├── StudyError            no study here, or one that cannot be written
├── ScriptError           a job script that cannot be loaded, or has no experiment
├── NameUnknown           an experiment, run or data set of that name does not exist, or several do
├── GridError             a grid or an argument that cannot be
├── RunnerError           a profile in runners/ that cannot be used
├── StoreError            a file under training_data/ that is damaged or cannot be written
│   └── LockedError       somebody else is writing to this experiment
├── QueueError            the queue could not be asked (exit code 5)
│   ├── SubmissionError   the queue refused a job
│   └── HiddenError       the queue does not show this user those jobs
├── Interrupted           a signal ended a submit before everything was queued (exit code 128 + its number)
├── Diverged              a training whose loss is no longer a number
└── DataError             a recording that is missing, damaged or does not fit together
    └── ShapeError        two arrays whose axes differ
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NeurofitError(Exception):
    """Base of all of them; the message says what is wrong, where, what was expected and what to do."""

    exit_code = 1


class UsageError(NeurofitError):
    exit_code = 2


class StudyError(NeurofitError):
    pass


class ScriptError(NeurofitError):
    pass


class NameUnknown(NeurofitError):
    pass


class GridError(NeurofitError):
    pass


class RunnerError(NeurofitError):
    pass


class StoreError(NeurofitError):
    pass


class LockedError(StoreError):
    pass


class QueueError(NeurofitError):
    exit_code = 5


class SubmissionError(QueueError):
    exit_code = 1


class HiddenError(QueueError):
    pass


class Interrupted(NeurofitError):
    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + number  # as a shell reports a program that this signal ended


class Diverged(NeurofitError):
    pass


class DataError(NeurofitError):
    pass


class ShapeError(DataError):
    pass


UNSPEAKABLE = "(its text cannot be made: __str__ raises)"


def text_of(value: object) -> str:
    """str(value); of an object whose own __str__ raises, words that say so."""
    try:
        return str(value)
    except Exception:  # foreign code, on the way to an error message
        return UNSPEAKABLE


def described(error: BaseException) -> str:
    """'ValueError: no such filter', or the type alone where there is no message."""
    return f"{type(error).__name__}: {text_of(error)}".rstrip(": ")


def nearest(name: str, known: Iterable[str]) -> str:
    """' Did you mean 'queue'?' for the known name most like this one, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""
