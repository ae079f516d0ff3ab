"""The contract between neurofit and a queue, and the types that cross it.

A backend is a frozen dataclass whose fields are the settings of a profile in `runners/`. It knows a submission's
folder and the numbers of its jobs, and nothing about what the jobs do. Every queue runs the same command,
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
from typing import Any, Literal

from neurofit.backends import sharing

JobKey = tuple[str, int]  # name of the submission, number of the job in it

_ID = re.compile(r"[A-Za-z0-9][\w.-]*(\[\])?[\w.-]*", re.ASCII)  # of a job of any queue
_CLOCK = re.compile(r"(?:([0-9]{1,9})-)?([0-9]{1,9}):([0-5]?[0-9]):([0-5]?[0-9])")


def minutes_of(text: str) -> float | None:
    """Minutes in '24:00:00' or '2-12:30:00'; None for any other text, such as SLURM's UNLIMITED."""
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return 1440 * days + 60 * hours + minutes + seconds / 60


@dataclass(frozen=True)
class Resources:
    """What one job asks for. None leaves the choice to the queue."""

    cpus: int = 1
    gpus: int | None = None
    memory_gb: float | None = None
    walltime_minutes: float | None = None


@dataclass(frozen=True)
class Gate:
    """What keeps the jobs of a pool waiting: a command that ends when they may start, or when they never may."""

    command: tuple[str, ...]
    report: Path  # where the command writes why they may never start
    broken: str  # what to write there if the command itself fails again and again


@dataclass(frozen=True)
class Submission:
    """What a backend has to queue: a folder, and the number of jobs in it."""

    folder: Path
    experiment: str
    jobs: int
    study: Path
    gate: Gate | None = (
        None  # of jobs that wait for others; queues have `after` and the worker's own look instead
    )
    after: tuple[
        str, ...
    ] = ()  # ids from `Backend.dependencies`: the queue starts no job before these have ended
    at_end: tuple[
        str, ...
    ] = ()  # a command that a pool starts when it ends; its standard input ends with the pool

    def __post_init__(self) -> None:
        if wrong := [id for id in self.after if not _ID.fullmatch(id)]:
            raise ValueError(f"{wrong[0]!r} is not the id of a job")

    @property
    def token(self) -> str:
        """Part of every job's name, so that a submission can be found in the queue without a record."""
        return self.folder.name


@dataclass(frozen=True)
class Queued:
    """What one scheduler call queued: its id, for jobs `first` to `last` of a submission."""

    folder: Path
    id: str
    first: int
    last: int
    process: Mapping[str, Any] | None = None  # where it is: the pool's process, or a cluster and a user

    @property
    def token(self) -> str:
        return self.folder.name

    def among(self, jobs: Collection[JobKey]) -> tuple[list[int], bool]:
        """Numbers of those of `jobs` that this call queued, and whether these are all of the call's jobs."""
        numbers = [job for job in range(self.first, self.last + 1) if (self.token, job) in jobs]
        return numbers, len(numbers) == self.last - self.first + 1


@dataclass(frozen=True)
class QueueState:
    """The state of a job that the queue still has, or may have.

    Phases: "pending" and "running"; "unknown", if the state of this job could not be read (the reason says why);
    "hidden", if the queue does not show the job to this user. A hidden job counts as pending until its script or
    another user has recorded its end.
    """

    phase: str
    reason: str = ""


@dataclass(frozen=True)
class Ending:
    """What is known about a job that the queue no longer has."""

    cause: str | None  # why it ended; None: successfully, as far as the queue knows
    problem: str | None = None  # why its cause could not be read
    final: bool = True  # False: accounting may still give a more exact cause
    host: str | None = None  # the host that is to blame: it failed, or lacks what every task needs


@dataclass(frozen=True)
class HostDeath:
    """A start of a job that ended because of its host."""

    job: JobKey
    start: int  # which of the starts that ended so; 0: the last one, which the queue did not repeat
    host: str
    cause: str


@dataclass(frozen=True)
class Host:
    """A host to which a queue may send jobs."""

    name: str  # for the queue
    hostname: str  # for itself; several hosts of a test cluster have the same


@dataclass(frozen=True)
class Limits:
    """What the site allows. None means unknown or unlimited."""

    array_size: int | None = None
    running: int | None = None
    walltime_minutes: float | None = None
    memory_gb: float | None = None


@dataclass(frozen=True)
class Finding:
    """One result of `neurofit runners check`."""

    ok: bool
    what: str
    advice: str = ""
    answered: bool = True  # False: the queue did not answer


@dataclass(frozen=True)
class Backend(ABC):
    """One kind of queue. Every backend has these settings, under the same names."""

    resources: Resources = field(default_factory=Resources)
    setup: tuple[str, ...] = ()  # shell lines that run before the job
    python: str = sys.executable
    launcher: str = ""  # words before the job's command, for example `apptainer exec --nv image.sif`
    max_running: int | None = None  # jobs that may run at a time
    tasks_per_job: int | None = None  # None: all repetitions of a run
    task_minutes: float | None = None  # time limit of one task
    grace_seconds: float = (
        300.0  # how long a job may be missing from the queue's answers before it counts as gone
    )
    # a command that is run once when a submission ends; None: the study's, see `backends/notify.py`
    notify: str | tuple[str, ...] | None = None
    tasks_per_gpu: int | Literal["auto"] = 1  # that share the GPU of a job; auto: as a job measures
    gpu_memory_gb: float | None = None  # that a task may use; None: its share, if the GPU is shared

    @abstractmethod
    def preview(self, submission: Submission) -> str:
        """The text that would be handed to the queue. Writes nothing and asks no queue."""

    @abstractmethod
    def submit(self, submission: Submission) -> Iterator[Queued]:
        """Queue all jobs, and yield one record per scheduler call, so that it is saved before the next call.

        Raises
        ------
        SubmissionError
            The queue refused the jobs.
        QueueError
            It is not known whether the queue took them.
        """

    @abstractmethod
    def find(self, submissions: Iterable[Submission]) -> list[Queued]:
        """Look up by token what the queue has of submissions without a record.

        Raises
        ------
        HiddenError
            The queue would not show these jobs to this user.
        """

    @abstractmethod
    def poll(self, queued: Iterable[Queued]) -> Mapping[JobKey, QueueState]:
        """The states of those jobs that the queue still has, from one query for all.

        Jobs about which the queue could not be asked, or whose state could not be read, have the phase "unknown".

        Raises
        ------
        QueueError
            The queue could not be asked about any of them.
        """

    @abstractmethod
    def endings(self, queued: Iterable[Queued]) -> Mapping[JobKey, Ending]:
        """What accounting knows about jobs that the queue no longer has; may be empty."""

    @abstractmethod
    def cancel(self, queued: Iterable[Queued], jobs: Iterable[JobKey]) -> None:
        """End these jobs. A job that has already ended is not an error."""

    @abstractmethod
    def limits(self) -> Limits:
        """What the site allows."""

    @abstractmethod
    def check(self) -> list[Finding]:
        """Check whether the queue would accept a job with these settings."""

    # optional

    def can_ask(self, queued: Queued) -> bool:
        """Whether this host can ask the queue that has these jobs. Default: it can."""
        return True

    def runs_here(self) -> bool:
        """Whether jobs are processes of this machine, which `submit` waits for. Default: they are not."""
        return False

    def waits_for_needs(self) -> bool:
        """Whether jobs wait until what their submission needs is done, and may end with UNMET or START_AGAIN
        meanwhile. Default: they do not.
        """
        return False

    def dependencies(self, queued: Iterable[Queued]) -> tuple[str, ...]:
        """Ids of those of these calls for whose end a new submission can wait in the queue itself. Default: none.

        Calls that are on another cluster or server, or may be, are left out: there, an id may be another job's.
        """
        return ()

    def misfit(self) -> str | None:
        """Why these settings do not go together, as a sentence; None if they do.

        A subclass that adds rules of its own asks this one first.
        """
        return sharing.misfit(self.tasks_per_gpu, self.gpu_memory_gb, self.resources.gpus)

    def tasks_at_a_time(self) -> int | Literal["auto"]:
        """How many of its tasks a job runs at a time. Default: `tasks_per_gpu`, as a job has one GPU."""
        return self.tasks_per_gpu

    def threads(self) -> int:
        """How many threads the libraries of a task may use: a share of the job's cores."""
        number = self.tasks_at_a_time()
        return max(1, self.resources.cpus // number) if isinstance(number, int) else self.resources.cpus

    def jobs_at_a_time(self) -> int | None:
        """How many jobs run at a time; None if it is not known. Default: `max_running`."""
        return self.max_running

    def with_workers(self, workers: int) -> Backend | None:
        """This backend with this number of workers (`--workers`), or None if it has none to set (the default)."""
        return None

    def host_deaths(self, queued: Iterable[Queued]) -> list[HostDeath]:
        """Starts of these jobs that ended because of their hosts, and that the queue repeated. Default: none is known.

        Raises
        ------
        QueueError
            The queue could not be asked.
        """
        return []

    def hosts(self) -> list[Host]:
        """The hosts that jobs with these settings may be sent to. Default: they are not known.

        Raises
        ------
        QueueError
            The queue could not be asked.
        """
        return []

    def without_hosts(self, names: Collection[str]) -> Backend | None:
        """This backend, whose jobs are never sent to these hosts; None (the default) if it cannot leave any out."""
        return None

    def command(self) -> str:
        """The shell words that start a worker, to be followed by the submission and the job numbers."""
        return shlex.join([*shlex.split(self.launcher), self.python, "-m", "neurofit.worker"])
