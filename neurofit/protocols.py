"""What a fit and a task promise each other, as types.

`Fit` is all that neurofit needs. A fit may do more: each further protocol is one optional attribute, and
`experiments/fits.py` is the only place that looks for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NoReturn, Protocol, runtime_checkable


class Seeds(Protocol):
    """The seeds of one task."""

    def record(self) -> dict[str, Any]: ...


class Task(Protocol):
    """What a fit is called with: one attempt at one repetition of a run."""

    @property
    def params(self) -> Mapping[str, Any]:
        """The run's arguments and the values derived from them."""

    @property
    def repetition(self) -> int: ...

    @property
    def repetitions(self) -> int: ...

    @property
    def split_by(self) -> str | None: ...

    @property
    def study(self) -> Path:
        """The folder of the study."""

    @property
    def code(self) -> Path:
        """The root of the code that this attempt runs."""

    @property
    def persistent(self) -> Path:
        """A folder that the next attempts find again."""

    @property
    def folder(self) -> Path:
        """Files that are saved here are kept."""

    @property
    def seed(self) -> int: ...

    @property
    def seeds(self) -> Seeds: ...

    @property
    def checkpoints(self) -> Sequence[Path]:
        """Folders to continue from, newest first."""

    def log(self, step: int, **numbers: float) -> None:
        """Add a row to `history.csv`."""

    def record(self, **facts: Any) -> None:
        """Add JSON values to the outcome."""

    def uses(self, path: Path | str) -> Path:
        """Record the digest of a file or folder of data; gives its absolute path."""

    def keep(self, pattern: str) -> None:
        """Keep files of the folder when the task continues from a checkpoint."""

    def save_checkpoint(self, step: int) -> AbstractContextManager[Path]:
        """A folder to write a checkpoint into; it is published when the block ends."""

    def resume(self, folder: Path) -> None:
        """Continue from a checkpoint."""

    def should_stop(self) -> bool:
        """Whether the task was asked to stop."""

    def should_prune(self) -> bool:
        """Whether the task is a trial of a search that should end early, with the metrics so far."""

    def stop(self, step: int | None = None) -> NoReturn:
        """End the attempt as *stopped*."""


class PredictedResponses(Protocol):
    """What the method `predict` of a fit returns."""

    @property
    def values(self) -> Any:
        """Predicted responses, (image, neuron)."""

    @property
    def image_id(self) -> Any:
        """Identifiers of the images, (image,)."""

    @property
    def neurons(self) -> Sequence[str]:
        """Names of the neurons."""


class Fit(Protocol):
    """A function of a task, and of arguments by keyword, that returns metrics."""

    def __call__(self, task: Any, /, **arguments: Any) -> Mapping[str, float]: ...


@runtime_checkable
class DeclaresArguments(Protocol):
    """A fit, or what stands for a function in one, such as features of a network."""

    def arguments(self) -> Mapping[str, Any]:
        """Every argument that a grid or a command line may set, with its default."""


class ChecksArguments(Protocol):
    def check(self, params: dict[str, Any], /) -> None:
        """Raise GridError if these arguments do not go together."""


class ChecksData(Protocol):
    def check_data(self, study: Path, runs: Sequence[Mapping[str, Any]], /) -> None:
        """Raise NeurofitError if a task of these runs would not find its data; called before tasks are queued."""


class HasSettings(Protocol):
    def settings(self) -> Mapping[str, Any]:
        """What else makes the fit what it is, as JSON: part of the id of every run."""


class DeclaresCode(Protocol):
    @property
    def code(self) -> Iterable[str]:
        """Paths and patterns, relative to the study, of files that are the fit's code."""


class HasDefaults(Protocol):
    def defaults(self, params: Mapping[str, Any], /) -> Mapping[str, Any]:
        """The arguments that apply because `params` leaves them out."""


class HasArchitectures(Protocol):
    @property
    def architectures(self) -> Iterable[str]: ...


class Prepares(Protocol):
    def prepare(self, study: Path, /) -> None:
        """Do slow work that is safe before a fork; must not initialise TensorFlow or CUDA."""


class LoadsTasks(Protocol):
    def load(self, folder: Path, /) -> Any:
        """The object that the folder of a finished attempt holds."""


class LoadsForUse(Protocol):
    def loaded(self, folder: Path, study: Path, /) -> Any:
        """The object that `neurofit.load` returns for a finished attempt."""


class HasViews(Protocol):
    @property
    def views(self) -> Iterable[str]: ...

    def view(self, folder: Path, name: str, neurons: Any, /) -> list[dict[str, Any]]:
        """The panels of one view of a finished attempt's model."""


class Predicts(Protocol):
    def predict(self, folder: Path, data: Any, study: Path, /) -> PredictedResponses:
        """The responses of a finished attempt's model to the images of a data set."""


class MakesEnsembles(Protocol):
    def ensemble(self, folders: list[Path], /) -> Any:
        """One object for several finished attempts of one run."""


class TrainsTogether(Protocol):
    def together(self, tasks: list[Any], /) -> Sequence[Mapping[str, float] | Exception]:
        """Train several repetitions of one run at once; an exception is why that task failed."""


class TrainsGroups(TrainsTogether, Protocol):
    def repetitions_together(self, params: Mapping[str, Any], /) -> int | None:
        """How many repetitions of such a run are trained together: a job gets whole groups, from repetition k·N.

        None: as many as a job holds.
        """
