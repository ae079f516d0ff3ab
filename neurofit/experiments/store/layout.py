"""Every file name under `training_data/`.

training_data/
├── .code/3f9a1c2e5b6d/                 the study's own files as they were, by content
└── exp3/
    ├── .lock                           who on a submit host is writing to this experiment
    ├── runs.jsonl                      number, id, arguments of every run that ever was
    ├── submissions/20261120-183012-local-k3f9/
    │   ├── submission.json  jobs.tasks  queue.jsonl
    │   ├── stops/000001.json           one per cancellation; alike.json: too many identical failures
    │   ├── journal/000017.1.jsonl      one per start of a job
    │   └── logs/
    └── runs/012-3f9a1c2e/rep-03/
        ├── checkpoint/000400/
        └── attempt-02/                 claim.json stdout.log stderr.log history.csv outcome.json …
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from neurofit.study import Study

ATTEMPT = re.compile(r"attempt-(\d+)$")
JOURNAL = re.compile(r"(\d+)\.(\d+)\.jsonl$")


@dataclass(frozen=True)
class AttemptFiles:
    """The files of one try at a task."""

    folder: Path

    @property
    def number(self) -> int:
        return int(ATTEMPT.search(self.folder.name).group(1))

    @property
    def claim(self) -> Path:
        return self.folder / "claim.json"

    @property
    def outcome(self) -> Path:
        return self.folder / "outcome.json"

    @property
    def stdout(self) -> Path:
        return self.folder / "stdout.log"

    @property
    def stderr(self) -> Path:
        return self.folder / "stderr.log"

    @property
    def history(self) -> Path:
        return self.folder / "history.csv"


@dataclass(frozen=True)
class TaskFiles:
    """The files of one repetition of one run."""

    folder: Path

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoint"

    def attempt(self, number: int) -> AttemptFiles:
        return AttemptFiles(self.folder / f"attempt-{number:02d}")

    def attempts(self) -> list[AttemptFiles]:
        """Those that were made, oldest first."""
        try:
            found = [path for path in self.folder.iterdir() if ATTEMPT.match(path.name)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted((AttemptFiles(path) for path in found), key=lambda files: files.number)


@dataclass(frozen=True)
class SubmissionFiles:
    """The files of what one `neurofit submit` queued."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def record(self) -> Path:
        return self.folder / "submission.json"

    @property
    def jobs(self) -> Path:
        return self.folder / "jobs.tasks"

    @property
    def queue(self) -> Path:
        return self.folder / "queue.jsonl"

    @property
    def stops(self) -> Path:
        return self.folder / "stops"

    @property
    def halt(self) -> Path:
        return self.stops / "alike.json"

    @property
    def journals(self) -> Path:
        return self.folder / "journal"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    def journal(self, job: int, start: int) -> Path:
        return self.journals / f"{job:06d}.{start}.jsonl"


@dataclass(frozen=True)
class ExperimentFiles:
    """The files of one experiment."""

    study: Study
    name: str

    @cached_property
    def folder(self) -> Path:
        return self.study.training_data / self.name

    @property
    def lock(self) -> Path:
        return self.folder / ".lock"

    @property
    def registry(self) -> Path:
        return self.folder / "runs.jsonl"

    @property
    def submissions_folder(self) -> Path:
        return self.folder / "submissions"

    def submission(self, name: str) -> SubmissionFiles:
        return SubmissionFiles(self.submissions_folder / name)

    def submissions(self) -> list[SubmissionFiles]:
        """Those that were written whole, oldest first (their names start with the time)."""
        try:
            names = sorted(path.name for path in self.submissions_folder.iterdir() if not path.name.startswith("."))
        except FileNotFoundError:
            return []
        return [self.submission(name) for name in names]

    def task(self, number: int, run_id: str, repetition: int) -> TaskFiles:
        return TaskFiles(self.folder / f"runs/{number:03d}-{run_id[:8]}/rep-{repetition:02d}")

    def outcome_text(self, number: int, run_id: str, repetition: int, attempt: int) -> str:
        """The path of an outcome as text: a table asks for thousands, and a Path costs more than the question."""
        return f"{self.folder}/runs/{number:03d}-{run_id[:8]}/rep-{repetition:02d}/attempt-{attempt:02d}/outcome.json"


def code_store(study: Study) -> Path:
    return study.training_data / ".code"


def experiments_with_files(study: Study) -> list[str]:
    """Names of the experiments that have something under `training_data/`, in however many groups."""
    found = []
    for above, folders, files in os.walk(study.training_data, followlinks=True):
        is_one = "runs.jsonl" in files
        if is_one:
            found.append(Path(above).relative_to(study.training_data).as_posix())
        folders[:] = [name for name in folders if name[0] != "." and not (is_one and name in ("runs", "submissions"))]
    return sorted(found)
