"""A task at work: what a fit function sees of the world."""

from __future__ import annotations

import contextlib
import json
import math
import operator
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from neurofit.errors import UsageError, text_of
from neurofit.experiments.experiment import Seeds
from neurofit.store import inputs
from neurofit.store.history import History
from neurofit.store.layout import AttemptFiles, TaskFiles
from neurofit.transient import retry
from neurofit.worker import checkpoints

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)


class Stopped(BaseException):  # an orderly end, which no `except Exception` of a fit should swallow
    """Ends an attempt as *stopped*, with its progress."""

    def __init__(self, step: int | None) -> None:
        super().__init__(step)
        self.step = step


class StopRequest:
    """Whether this process was asked to stop. A fit that never asks is interrupted where it stands."""

    def __init__(self) -> None:
        self.made = False
        self.asked_for = False
        self.time_is_over = False

    def listen(self) -> None:
        for number in STOP_SIGNALS:
            signal.signal(number, self._note)
        signal.signal(
            signal.SIGINT, signal.SIG_IGN
        )  # Ctrl-C reaches the whole group; the worker passes it on

    def come_too_late(self) -> None:
        """From now on a request changes nothing: the fit has ended, and its outcome is being written."""
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def _note(self, number: int, frame: Any) -> None:
        first, self.made = not self.made, True
        self.time_is_over = self.time_is_over or number == signal.SIGXCPU
        if first and not self.asked_for:
            raise Stopped(None)


@dataclass
class TaskContext:
    """One attempt at one task. Everything saved in `folder` is kept; `params` are the run's arguments and
    derived values.
    """

    params: dict[str, Any]
    repetition: int
    repetitions: int
    split_by: str | None
    study: Path
    files: TaskFiles
    attempt: AttemptFiles
    fresh_after: int = 0  # a rerun goes on only from checkpoints of later attempts than this
    stop_request: StopRequest = field(default_factory=StopRequest)
    facts: dict[str, Any] = field(default_factory=dict)
    progress: int | None = None

    def __post_init__(self) -> None:
        self._history = History(self.attempt.history)
        self._kept_patterns: list[str] = []

    @property
    def seed(self) -> int:
        return self.repetition

    @property
    def seeds(self) -> Seeds:
        return Seeds(self.repetition, self.split_by)

    @property
    def folder(self) -> Path:
        return self.attempt.folder

    @property
    def checkpoints(self) -> list[Path]:
        """Folders to go on from, newest first; empty on a first attempt."""
        return checkpoints.published(self.files, self.fresh_after)

    def log(self, step: int, **numbers: float) -> None:
        """Add a row to `history.csv`."""
        step = _step(step)
        self._history.add(step, numbers)
        self.progress = step

    def record(self, **facts: Any) -> None:
        """Add JSON facts to the outcome that are no metrics."""
        for name, value in facts.items():
            try:
                self.facts[name] = json.loads(json.dumps(value, allow_nan=False))  # as it is now
            except (TypeError, ValueError) as error:
                raise UsageError(
                    f"task.record: '{name}' is a {type(value).__name__} that JSON cannot carry ({error}). "
                    "Use plain numbers, text, lists and dicts; arrays go into task.folder."
                ) from None

    def uses(self, path: Path | str) -> Path:
        """Have the outcome say what is in this file or folder of data now; gives its whole path:
        `np.load(task.uses("data/a.npz"))`. A relative path is seen from the study.

        Once its content is another, `status` and `results` say so.
        """
        whole = self.study / path
        try:
            found = retry(lambda: inputs.digest(whole))
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            raise UsageError(
                f"The task uses '{path}', which cannot be read: {error.strerror} ({whole})."
            ) from None
        self.record(inputs={**self.facts.get("inputs", {}), inputs.name_of(path, self.study): found})
        return whole

    def keep(self, pattern: str) -> None:
        """Have checkpoints remember the length of the files of `folder` that match, so that the next attempt
        has them too.
        """
        self._kept_patterns.append(pattern)

    @contextlib.contextmanager
    def save_checkpoint(self, step: int) -> Iterator[Path]:
        """Give a folder to write into; on leaving the block it is published, whole."""
        step = _step(step)
        record = {"rows": self._history.rows, "lengths": retry(self._kept_lengths)}
        with checkpoints.publishing(self.files, self.attempt, step, record) as folder:
            yield folder
        self.progress = step

    def _kept_lengths(self) -> dict[str, int]:
        found = (path for pattern in self._kept_patterns for path in self.folder.glob(pattern))
        lengths = {
            path.relative_to(self.folder).as_posix(): path.stat().st_size for path in found if path.is_file()
        }
        return dict(sorted(lengths.items()))

    def resume(self, folder: Path) -> None:
        """Bring over the history and the kept files as they were at the checkpoint in `folder`."""
        self._history.close()
        self._history.take_up(checkpoints.take_up(folder, self.files, self.attempt))
        self.record(resumed_from=folder.name)

    def should_stop(self) -> bool:
        """Whether this task was asked to stop (time limit near, Ctrl-C, cancelled): save a checkpoint, then
        `stop`.
        """
        self.stop_request.asked_for = True
        return self.stop_request.made

    def stop(self, step: int | None = None) -> NoReturn:
        """End this attempt as *stopped*; the next one goes on from the last checkpoint."""
        raise Stopped(self.progress if step is None else _step(step))

    def close(self) -> None:
        self._history.close()


def _step(step: Any) -> int | float:
    """A step as a number that JSON carries, also where it is one of NumPy's."""
    with contextlib.suppress(TypeError):
        return operator.index(step)
    with contextlib.suppress(TypeError, ValueError):
        if math.isfinite(step):
            return float(step)
    raise UsageError(f"A step is {type(step).__name__} {text_of(step)[:60]!r}, expected an integer.")
