"""The context of a running task: what a fit gets as its argument `task`."""

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

from neurofit import unpacked
from neurofit.errors import UsageError, text_of
from neurofit.experiments.experiment import Seeds
from neurofit.store import inputs
from neurofit.store.history import History, read_history
from neurofit.store.layout import AttemptFiles, TaskFiles
from neurofit.store.records import CheckpointRecord
from neurofit.store.suggestions import PRUNED_AT
from neurofit.transient import retry
from neurofit.worker import checkpoints, gpu_sharing, persistent
from neurofit.worker.pruning import Pruning

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)


class Stopped(BaseException):  # not an Exception, so that `except Exception` in a fit does not catch it
    """Raised to end an attempt as *stopped*, with its progress."""

    def __init__(self, step: int | float | None) -> None:
        super().__init__(step)
        self.step = step


class StopRequest:
    """Whether this process was asked to stop. A fit that never checks is interrupted at once."""

    def __init__(self) -> None:
        self.made = False
        self.by: str | None = None  # name of the signal that came first
        self.is_checked = False
        self.time_is_over = False

    def listen(self) -> None:
        for number in STOP_SIGNALS:
            signal.signal(number, self._note)
        signal.signal(
            signal.SIGINT, signal.SIG_IGN
        )  # Ctrl-C reaches the whole process group; the worker passes it on

    def ignore(self) -> None:
        """Ignore requests from now on: the fit has ended, and its outcome is being written."""
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def _note(self, number: int, frame: Any) -> None:
        first, self.made = not self.made, True
        self.by = self.by or signal.Signals(number).name
        self.time_is_over = self.time_is_over or number == signal.SIGXCPU
        if first and not self.is_checked:
            raise Stopped(None)


@dataclass
class TaskContext:
    """One attempt at one task.

    Attributes
    ----------
    params : dict
        The run's arguments and derived values.
    seed : int
        The repetition, from 0.
    seeds : Seeds
        Independent streams: `init`, `shuffle`, `noise` and `split`.
    repetition, repetitions : int
        Number of this repetition, and of all repetitions.
    split_by : {None, "repetition", "fold"}
        What decides the split of the data.
    folder : Path
        This attempt's folder. Everything saved there is kept.
    study : Path
        The root of the study.
    code : Path
        The root of the code that this attempt runs: the copy that the submit made.
    facts : dict
        JSON facts for the outcome.
    """

    params: dict[str, Any]
    repetition: int
    repetitions: int
    split_by: str | None
    study: Path
    files: TaskFiles
    attempt: AttemptFiles
    fresh_after: int = 0  # only checkpoints of later attempts than this are used
    code: Path = Path()
    stop_request: StopRequest = field(default_factory=StopRequest)
    facts: dict[str, Any] = field(default_factory=dict)
    progress: int | float | None = None
    pruning: Pruning | None = None  # of a trial that may end early

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
    def persistent(self) -> Path:
        """A folder that the next attempts find again, until one starts from scratch (`submit --rerun`).

        Unlike a checkpoint it is not protected from a crash in the middle of a write. If an earlier attempt may
        still be running, because its host is silent, this is a copy of its folder.
        """
        return persistent.folder_of(self.files, self.attempt)

    @property
    def checkpoints(self) -> list[Path]:
        """Folders to resume from, newest first; empty on a first attempt."""
        return checkpoints.published(self.files, self.fresh_after)

    @property
    def gpu_memory_gb(self) -> float | None:
        """What this task may use of its GPU's memory, in GB; None if it has the GPU to itself.

        TensorFlow and JAX keep to it. With PyTorch, call `torch.cuda.set_per_process_memory_fraction`.
        """
        return gpu_sharing.memory_gb()

    def log(self, step: int | float, **numbers: float) -> None:
        """Add a row to `history.csv`.

        Parameters
        ----------
        step : int
            For example the epoch.
        **numbers : float
            The other columns.
        """
        step = _step(step)
        self._history.add(step, numbers)
        self.progress = step
        if self.pruning is not None:
            self.pruning.note(step, numbers)

    def record(self, **facts: Any) -> None:
        """Add facts that are not metrics to the outcome.

        Raises
        ------
        UsageError
            JSON cannot hold a value.
        """
        for name, value in facts.items():
            try:
                self.facts[name] = json.loads(
                    json.dumps(value, allow_nan=False)
                )  # a copy, so that later changes do not count
            except (TypeError, ValueError) as error:
                raise UsageError(
                    f"task.record: '{name}' is a {type(value).__name__} that JSON cannot hold ({error}). "
                    "Use numbers, text, lists and dicts; save arrays in task.folder."
                ) from None

    def uses(self, path: Path | str) -> Path:
        """Record the content of a file or folder of data, as in `np.load(task.uses("data/a.npz"))`.

        If the content changes later, `status` and `results` report it.

        Parameters
        ----------
        path : Path or str
            Absolute, or relative to the study.

        Returns
        -------
        Path
            The absolute path; that of a copy if the file was packed with a finished task.

        Raises
        ------
        UsageError
            The file or folder cannot be read.
        """
        whole = self.study / path
        try:
            found = retry(lambda: inputs.digest(whole))
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            raise UsageError(f"task.uses: '{path}' cannot be read: {error.strerror} ({whole}).") from None
        self.record(inputs={**self.facts.get("inputs", {}), inputs.name_of(path, self.study): found})
        return unpacked.located(whole)

    def keep(self, pattern: str) -> None:
        """Include files of `folder` in checkpoints, so that the next attempt gets them as they were then.

        Parameters
        ----------
        pattern : str
            A glob pattern, relative to `folder`.
        """
        self._kept_patterns.append(pattern)

    @contextlib.contextmanager
    def save_checkpoint(self, step: int | float) -> Iterator[Path]:
        """Yield a folder to write into, which is published as a whole at the end of the block."""
        number = _step(step)
        if number != (whole := int(number)):
            raise UsageError(f"The step of a checkpoint is {number}, expected an integer.")
        record = CheckpointRecord(
            step=whole,
            attempt=self.attempt.number,
            rows=self._history.rows,
            lengths=retry(self._kept_lengths),
        )
        with checkpoints.publishing(self.files, self.attempt, record) as folder:
            yield folder
        self.progress = whole

    def _kept_lengths(self) -> dict[str, int]:
        found = (path for pattern in self._kept_patterns for path in self.folder.glob(pattern))
        lengths = {
            path.relative_to(self.folder).as_posix(): path.stat().st_size for path in found if path.is_file()
        }
        return dict(sorted(lengths.items()))

    def resume(self, folder: Path) -> None:
        """Restore `history.csv` and the kept files as they were at the checkpoint in `folder`."""
        self._history.close()
        self._history.take_up(checkpoints.take_up(folder, self.files, self.attempt))
        self.record(resumed_from=folder.name)
        if self.pruning is not None:
            self._note_earlier_steps(self.pruning)

    def _note_earlier_steps(self, pruning: Pruning) -> None:
        with contextlib.suppress(FileNotFoundError):
            steps, numbers = read_history(self.attempt.history).get(pruning.search.metric, ([], []))
            pruning.go_on_after({int(step): number for step, number in zip(steps, numbers)})

    def should_prune(self) -> bool:
        """Whether this trial of a search should end early, because others were better at the last logged step.

        If so, return the metrics so far: the trial ends as *done*, with the fact `pruned_at`, and is left out of
        means and of the best. Always False without a search, without a pruner, and for every repetition of a trial
        but the first.
        """
        if self.pruning is None or not self.pruning.should_prune():
            return False
        self.record(**{PRUNED_AT: self.pruning.pruned_at})
        return True

    def should_stop(self) -> bool:
        """Whether this task was asked to stop (time limit near, Ctrl-C, cancelled).

        If so, save a checkpoint and call `stop`.
        """
        self.stop_request.is_checked = True
        return self.stop_request.made

    def stop(self, step: int | None = None) -> NoReturn:
        """End this attempt as *stopped*. The next one can resume from the last checkpoint."""
        raise Stopped(self.progress if step is None else _step(step))

    def close(self) -> None:
        self._history.close()


def _step(step: Any) -> int | float:
    """A step as a number of Python's own, which JSON can hold."""
    with contextlib.suppress(TypeError):
        return operator.index(step)
    with contextlib.suppress(TypeError, ValueError):
        if math.isfinite(step):
            return float(step)
    raise UsageError(f"The step is {type(step).__name__} {text_of(step)[:60]!r}, expected an integer.")
