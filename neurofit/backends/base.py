"""The contract between neurofit and a queue, and the types that cross it.

A backend is a frozen dataclass whose fields are the keys of a profile in `runners/`. It knows a submission's
folder and the numbers of its jobs, and nothing of what the jobs are. Every queue runs the same command,
`python -m neurofit.worker SUBMISSION INDEX…`, from the `job.sh` that the backend writes into the submission's
folder.
"""

from __future__ import annotations

import re
import shlex
import sys
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

JobKey = tuple[str, int]  # submission's name, number of the job in it
# what a worker ends with when the disk is too full even for an outcome; see neurofit/worker/__main__.py
NO_ROOM = 95
NO_ROOM_LEFT = "the disk, or your quota on it, is full: make room (`neurofit clean` lists what can go)"


_CLOCK = re.compile(r"(?:([0-9]{1,9})-)?([0-9]{1,9}):([0-5]?[0-9]):([0-5]?[0-9])")


def minutes_of(text: str) -> float | None:
    """'24:00:00' or '2-12:30:00' in minutes; None for any other text, SLURM's UNLIMITED too."""
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return 1440 * days + 60 * hours + minutes + seconds / 60


@dataclass(frozen=True)
class Resources:
    """What one job needs. None leaves it to the queue."""

    cpus: int = 1
    gpus: int | None = None
    memory_gb: float | None = None
    walltime_minutes: float | None = None


@dataclass(frozen=True)
class Submission:
    """What a backend is given to queue: a folder, and how many jobs are in it."""

    folder: Path
    experiment: str
    jobs: int
    study: Path

    @property
    def token(self) -> str:
        """In every job's name, so that a submission that was never confirmed can be looked up."""
        return self.folder.name


@dataclass(frozen=True)
class Queued:
    """What one scheduler call took: its id, for jobs first to last of a submission."""

    folder: Path
    id: str
    first: int
    last: int
    process: Mapping[str, Any] | None = None  # where the queue is a process of this host

    @property
    def token(self) -> str:
        return self.folder.name

    def among(self, jobs: Collection[JobKey]) -> tuple[list[int], bool]:
        """Those of these jobs that it has, by number; and whether they are all that it has."""
        numbers = [job for job in range(self.first, self.last + 1) if (self.token, job) in jobs]
        return numbers, len(numbers) == self.last - self.first + 1

    def record(self) -> dict[str, Any]:
        return {"id": self.id, "first": self.first, "last": self.last, "process": self.process}

    @classmethod
    def from_record(cls, folder: Path, record: Mapping[str, Any]) -> Queued:
        return cls(folder, record["id"], record["first"], record["last"], record.get("process"))


@dataclass(frozen=True)
class QueueState:
    """A job that the queue still has, or may have."""

    # "pending" or "running"; "unknown": this job could not be asked about, for the reason given; "hidden":
    # the queue does not show it to this user, who takes it for pending unless somebody else has noted that it
    # is over
    phase: str
    reason: str = ""


@dataclass(frozen=True)
class Ending:
    """What is known of a job that the queue no longer has."""

    cause: str | None  # in our own words; None: it ended well, as far as the queue knows
    problem: str | None = None  # why it is not known how this one ended
    final: bool = True  # False: accounting, which may be late, can yet say more exactly why


@dataclass(frozen=True)
class Limits:
    """What the site allows; None is unknown or unlimited."""

    array_size: int | None = None
    running: int | None = None
    walltime_minutes: float | None = None


@dataclass(frozen=True)
class Finding:
    """One thing that `neurofit runners check` looked at."""

    ok: bool
    what: str
    advice: str = ""
    answered: bool = True  # False: the queue could not be asked


@dataclass(frozen=True)
class Backend(ABC):
    """One kind of queue. These settings every backend has, under the same names."""

    resources: Resources = field(default_factory=Resources)
    setup: tuple[str, ...] = ()  # shell lines that run before the job
    python: str = sys.executable
    launcher: str = ""  # words that prefix the job's command, e.g. `apptainer exec --nv image.sif`
    max_running: int | None = None
    tasks_per_job: int | None = None  # None: a whole run, its repetitions in sequence
    task_minutes: float | None = None
    grace_seconds: float = 300.0  # how long a job may be missing from the queue's answers before that counts

    @abstractmethod
    def preview(self, submission: Submission) -> str:
        """What would be handed to the queue, as text; touches nothing."""

    @abstractmethod
    def submit(self, submission: Submission) -> Iterator[Queued]:
        """Queue all jobs; one record per scheduler call, yielded so that it is saved before the next. Raises
        SubmissionError.
        """

    @abstractmethod
    def find(self, submissions: Iterable[Submission]) -> list[Queued]:
        """What the queue has of submissions of which no record was kept, looked up by their token. Raises
        HiddenError where it would not show this user what it has.
        """

    @abstractmethod
    def poll(self, queued: Iterable[Queued]) -> Mapping[JobKey, QueueState]:
        """Those jobs that the queue still has. One query for all. Raises QueueError if it could not be asked.
        Where it could be asked about some jobs only, or an answer about some is not understood, these have
        the phase "unknown".
        """

    @abstractmethod
    def endings(self, queued: Iterable[Queued]) -> Mapping[JobKey, Ending]:
        """What accounting knows of those it no longer has; may be empty."""

    @abstractmethod
    def cancel(self, queued: Iterable[Queued], jobs: Iterable[JobKey]) -> None:
        """End these jobs; those already gone are no error."""

    @abstractmethod
    def limits(self) -> Limits:
        """What the site allows."""

    @abstractmethod
    def check(self) -> list[Finding]:
        """Whether such a job would be accepted here."""

    def can_ask(self, queued: Queued) -> bool:
        """Whether the queue that took this can be asked from this host."""
        return True

    def command(self) -> str:
        """The shell words that start a worker; the submission and job numbers follow."""
        return shlex.join([*shlex.split(self.launcher), self.python, "-m", "neurofit.worker"])
