"""What a worker has to do: one submission, read from its files, and its experiment, loaded from the submitted code."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from neurofit import environment
from neurofit.errors import NeurofitError, StoreError
from neurofit.experiments import import_path, scripts
from neurofit.experiments.experiment import Experiment
from neurofit.store.layout import ExperimentFiles, SubmissionFiles, TaskFiles, code_store
from neurofit.store.records import RegisteredRun, SubmissionRecord
from neurofit.store.registry import read_registry
from neurofit.store.submissions import Planned, read_submission, study_of
from neurofit.study import CODE_ROOT
from neurofit.transient import retry
from neurofit.worker import teardown

log = logging.getLogger(__name__)


@dataclass
class Assignment:
    """One submission, its runs, and its experiment once it is loaded."""

    submission: SubmissionFiles
    record: SubmissionRecord
    files: ExperimentFiles
    runs: dict[int, RegisteredRun]
    experiment: Experiment | None = None
    modules: list[ModuleType] = field(
        default_factory=list, repr=False
    )  # of the study, loaded with the experiment
    problem: str | None = None  # why the experiment could not be loaded; every task then fails with this
    _code: Path | None = field(default=None, repr=False)

    @classmethod
    def read(cls, folder: Path, runs: dict[int, RegisteredRun] | None = None) -> Assignment:
        """Read a submission from its folder, wherever this machine has mounted it.

        Parameters
        ----------
        folder : Path
            Of the submission.
        runs : dict of int to RegisteredRun, optional
            The runs of a scratch attempt, which need not be registered.
        """
        submission = SubmissionFiles(
            Path(os.path.abspath(folder))
        )  # `training_data` may be a link to another disk
        record = retry(lambda: read_submission(submission))
        files = ExperimentFiles(study_of(submission, record), record.experiment)
        if runs is None:
            retry(files.registry.stat, late=True)
            runs = read_registry(files.registry).runs
        return cls(submission, record, files, runs)

    @property
    def code(self) -> Path:
        return self._code or code_store(self.files.study) / self.record.code

    def load(self, experiment: Experiment | None = None, code: Path | None = None) -> None:
        """Load the experiment from the submitted code, and what its fit prepares before tasks are forked.

        Parameters
        ----------
        experiment : Experiment or None
            An experiment that is already loaded, used instead.
        code : Path or None
            The folder that it was loaded from.
        """
        self._code = code
        environment.settle()
        os.environ[CODE_ROOT] = str(self.code)  # for processes that tasks start
        self._load(experiment)
        self.modules = import_path.modules_of(self.code)
        teardown.remember_open_files()

    def _load(self, experiment: Experiment | None) -> None:
        try:
            if experiment is None:
                path = self.code / self.record.script
                experiment = retry(lambda: scripts.load(self.code, path, self.record.experiment))
            self.experiment = experiment
        except (NeurofitError, OSError) as error:
            self.problem = str(error)
            return
        if experiment.search is not None:
            from neurofit.suggestions.suggesting import preload

            preload(experiment.search)
        try:
            experiment.adapter.prepare(self.files.study.root)
        except Exception:  # each task will meet the same error and record it
            log.warning("prepare() of the fit failed:\n%s", traceback.format_exc())

    def task_files(self, number: int, repetition: int) -> TaskFiles:
        """The files of a task. A scratch attempt has them in its submission's own folder, outside the runs."""
        if self.record.scratch:
            return TaskFiles(self.submission.folder)
        run = self.run(number)
        return self.files.task(run.number, run.id, repetition)

    def group_of(self, task: Planned) -> tuple[int, int | None]:
        """The run of a task, and the group of its repetitions that one process does; see `Planned.group`."""
        assert self.experiment is not None  # without a script, nothing is done together
        run = self.run(task.run)
        return task.group(self.experiment.adapter.repetitions_together({**run.params, **run.derived}))

    def run(self, number: int) -> RegisteredRun:
        try:
            return self.runs[number]
        except KeyError:
            raise StoreError(
                f"{self.files.registry}: run {number} of submission {self.submission.name} is missing."
            ) from None


def versions() -> dict[str, str]:
    """Versions of Python, neurofit and those common libraries that this process has loaded."""
    found = {"python": sys.version.split()[0]}
    for name in ("neurofit", "numpy", "scipy", "tensorflow", "keras", "torch", "jax", "sklearn"):
        module = sys.modules.get(name)
        version = getattr(module, "__version__", None)
        if isinstance(version, str):
            found[name] = str(version)  # PyTorch's is of a class of its own
    return found
