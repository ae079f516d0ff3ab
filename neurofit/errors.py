"""Every error that neurofit raises on purpose.

NeurofitError
├── UsageError            a request that makes no sense (exit code 2)
├── StudyError            there is no study here, or it cannot be created
├── ScriptError           a script in jobs/ cannot be loaded, or has no experiment
├── NameUnknown           no experiment, run or data set has this name, or several have it
├── GridError             a grid or an argument is invalid
├── RunnerError           a profile in runners/ cannot be used
├── StoreError            a file under training_data/ is damaged or cannot be written
│   └── LockedError       another command is writing to this experiment
├── QueueError            the queue could not be asked (exit code 5)
│   ├── SubmissionError   the queue refused a job
│   └── HiddenError       the queue does not show these jobs to this user
├── HostError             another host could not be read over SSH
├── Interrupted           a signal ended a submit before all tasks were queued (exit code 128 + its number)
├── MissingExtra          a library of an extra is not installed
├── Diverged              the loss of a training is not a number any more
└── DataError             a recording is missing, damaged or inconsistent
    └── ShapeError        two arrays have different axes
"""

from __future__ import annotations

from collections.abc import Iterable

from neurofit import exit_codes


class NeurofitError(Exception):
    """Base class of the errors of neurofit.

    The message says what is wrong, where, what was expected and what to do.

    Attributes
    ----------
    exit_code : int
        What a command exits with when it raises this error, see `neurofit.exit_codes`.
    """

    exit_code = exit_codes.ERROR


class UsageError(NeurofitError):
    """A request makes no sense: an option, a selector or a combination of them."""

    exit_code = exit_codes.USAGE


class StudyError(NeurofitError):
    """There is no study here, it belongs to another user, or it cannot be created."""


class ScriptError(NeurofitError):
    """A script in jobs/ cannot be loaded, or has no experiment."""


class NameUnknown(NeurofitError):
    """No experiment, run or data set has this name, or several have it."""


class GridError(NeurofitError):
    """A grid or an argument of a fit is invalid."""


class RunnerError(NeurofitError):
    """A profile in runners/ cannot be used."""


class StoreError(NeurofitError):
    """A file under training_data/ is damaged or cannot be written."""


class LockedError(StoreError):
    """Another command is writing to this experiment."""


class QueueError(NeurofitError):
    """The queue could not be asked, or its answer was not understood."""

    exit_code = exit_codes.QUEUE_UNREACHABLE


class SubmissionError(QueueError):
    """The queue refused a job."""

    exit_code = exit_codes.ERROR


class HiddenError(QueueError):
    """The queue does not show these jobs to this user."""


class HostError(NeurofitError):
    """A study on another host could not be read over SSH."""


class Interrupted(NeurofitError):
    """A signal ended a submit before all of its tasks were queued."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_code = exit_codes.SIGNAL + number


class ProgramError(NeurofitError):
    """A program that is a fit failed, could not be started, or left no metrics."""


class Diverged(NeurofitError):
    """The loss of a training is infinite or not a number."""


class DataError(NeurofitError):
    """A recording is missing, damaged or inconsistent."""


class ShapeError(DataError):
    """Two arrays have different axes."""


class MissingExtra(NeurofitError, ModuleNotFoundError):
    """A library of an extra is not installed."""


# A library that an import may fail to find, and the extra of this package that installs it.
EXTRAS = {
    "keras": "models",
    "tensorflow": "models",
    "h5py": "models",
    "matplotlib": "plots",
    "PIL": "plots",
    "tensorboard": "tensorboard",
    "mlflow": "mlflow",
    "wandb": "wandb",
    "jinja2": "report",
    "optuna": "search",
    "cmaes": "search",
}

UNSPEAKABLE = "(no text: its __str__ raises an exception)"


def text_of(value: object) -> str:
    """str(value), or a replacement if the object's __str__ raises an exception."""
    try:
        return str(value)
    except Exception:  # foreign code, on the way to an error message
        return UNSPEAKABLE


def described(error: BaseException) -> str:
    """'ValueError: no such filter', or only the type if there is no message."""
    return f"{type(error).__name__}: {text_of(error)}".rstrip(": ") + remedy(error)


def missing_extra(error: BaseException) -> str | None:
    """The extra whose library an import did not find, or None for any other error."""
    if not isinstance(error, ModuleNotFoundError) or isinstance(error, MissingExtra):
        return None
    return EXTRAS.get(error.name or "")


def remedy(error: BaseException) -> str:
    """A sentence to append to an error: how to install the missing extra, or an empty text."""
    extra = missing_extra(error)
    return f". Install it with: {install(extra)}." if extra else ""


def is_installed(name: str) -> bool:
    """Whether a package can be imported here, found without importing it.

    A folder of its name is none: some of these libraries write their files into one.
    """
    import importlib.util  # only for a few commands

    try:
        spec = importlib.util.find_spec(name)
    except ImportError:
        return False
    return spec is not None and spec.origin is not None


def install(extra: str) -> str:
    """The command that installs what an extra needs, by the names of its packages: neurofit may come from a clone,
    from a folder of wheels, or from another project's requirements.
    """
    import shlex
    from importlib import metadata  # slow to import, and only for errors

    try:
        requirements = metadata.requires("neurofit") or []
    except metadata.PackageNotFoundError:
        requirements = []
    split = (one.partition(";") for one in requirements)
    packages = [
        name.strip() for name, _, marker in split if f'extra == "{extra}"' in marker.replace("'", '"')
    ]
    return f"pip install {shlex.join(packages)}" if packages else f"install neurofit with its extra '{extra}'"


def nearest(name: str, known: Iterable[str]) -> str:
    """' Did you mean 'queue'?' with the most similar known name, or '' if none is similar."""
    import difflib  # only for errors

    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""
