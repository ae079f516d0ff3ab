"""Every record under `training_data/`, as a type; `structure.py` reads and writes them.

The order of the fields is their order in the file. A field with a default may be missing: files of version
0.1.0 lack some. A number that counts something has an upper limit, because a larger one cannot have been
written by neurofit.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, field

from neurofit.process import Process
from neurofit.structure import OpenRecord, Record

FORMAT = 1  # of submission.json and of the storage markers
MOST_JOBS = 10**6  # of a submission
MOST_REPETITIONS = 10**5
LARGEST = 10**12  # of a number that counts something
LARGEST_NUMBER = 10**300  # above, an integer is not a finite float
HOST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,250}")
_BELOW = r"^(?!/)(?!(?:[^/]*/)*\.\.(?:/|\Z))[^\0]+\Z"

Whole = Annotated[int, Meta(ge=0, le=LARGEST, description="a whole number of at least 0")]
Positive = Annotated[int, Meta(ge=1, le=LARGEST, description="a whole number of at least 1")]
TasksAtATime = Positive | Literal["auto"]
Number = int | float  # finite: JSON has no other
Inode = Annotated[int, Meta(ge=0, description="an inode, a whole number of at least 0")]
JobNumber = Annotated[int, Meta(ge=0, lt=MOST_JOBS, description=f"the number of a job, below {MOST_JOBS:,}")]
Repetitions = Annotated[
    int, Meta(ge=1, le=MOST_REPETITIONS, description=f"a whole number from 1 to {MOST_REPETITIONS:,}")
]
Name = Annotated[str, Meta(pattern=_BELOW, description="a name or a relative path without '..'")]
RunId = Annotated[str, Meta(pattern=r"^(?!\.\.\Z)[^\0/]+\Z", description="the id of a run")]
AbsolutePath = Annotated[str, Meta(pattern=r"^/[^\0]*\Z", description="an absolute path")]
TaskKey = tuple[Whole, Whole]  # run, repetition
Span = tuple[JobNumber, JobNumber]  # first and last of consecutive jobs
Metrics = dict[str, Number]
# arguments that say how many steps a task makes, as `task.log(step)` counts them
STEP_ARGUMENTS = ("epochs", "max_epochs", "n_epochs", "num_epochs", "steps", "max_steps", "iterations")
Values = dict[str, Any]  # with keys that are the user's
Queue = dict[str, str | int | None]  # where a queue is: a process of a host, or a cluster's name and a user's
TaskState = Literal["done", "failed", "stopped", "abandoned"]


class ResourcesRecord(Record, frozen=True, kw_only=True):
    """What a job of a submission may use. None: the queue's own default, or no limit."""

    what: ClassVar[str] = "resources"

    cpus: Positive | None = None
    gpus: Whole | None = None
    memory_gb: Number | None = None
    walltime_minutes: Number | None = None

    def __post_init__(self) -> None:
        for name in ("memory_gb", "walltime_minutes"):
            _must_be_an_amount(name, getattr(self, name))


class Need(Record, frozen=True, kw_only=True):
    """An experiment that must be done before the tasks of a submission start: these runs, every repetition."""

    what: ClassVar[str] = "a needed experiment"

    experiment: Name
    runs: list[
        Annotated[list[Whole], Meta(min_length=2, max_length=2)]
    ]  # first and last of consecutive numbers
    repetitions: Positive

    def tasks(self) -> list[tuple[int, int]]:
        """The tasks, by run and repetition."""
        return [
            (run, repetition)
            for first, last in self.runs
            for run in range(first, last + 1)
            for repetition in range(self.repetitions)
        ]


class NeedStop(Record, frozen=True, kw_only=True):
    """`stops/needs.json`: why a submission that waited for another experiment was not started."""

    what: ClassVar[str] = "a report of a needed experiment"

    message: str


class SubmissionRecord(OpenRecord, frozen=True, kw_only=True):
    """`submission.json`: what one `neurofit submit` queued, where, and from which code."""

    what: ClassVar[str] = "a submission"

    format: Whole = FORMAT
    experiment: Name
    study: AbsolutePath
    script: Name
    created: str | None = None
    repetitions: Repetitions
    split_by: str | None = None
    fresh: bool
    code: Name
    code_hash: str
    host: str | None = None
    user: str | None = None
    commit: str | None = None
    dirty: bool | None = None
    versions: Values = field(default_factory=dict)
    steps: Values = field(default_factory=dict)  # STEP_ARGUMENTS of the fit with their defaults
    whole_grid: bool = True
    keep_going: bool = True
    scratch: bool = False
    runner: str
    backend: str
    resources: ResourcesRecord
    task_minutes: Number | None = None
    notify: list[str] = field(default_factory=list)  # words of the command that is run once when it ends
    needs: list[Need] = field(default_factory=list)
    tasks_per_gpu: TasksAtATime = 1
    tasks_at_a_time: TasksAtATime = 1  # of a job; 1 if the jobs share a GPU, not the tasks of a job
    gpu_memory_gb: Number | None = None  # that a task may use
    name: str = ""  # this field and the next are known when it is written
    jobs: Whole = 0
    inode: Inode | None = None  # this, `changed` and `machine` show a copy: see `submissions.is_at_home`
    changed: Number | None = None
    machine: str | None = None

    def __post_init__(self) -> None:
        _must_be_an_amount("task_minutes", self.task_minutes)
        _must_be_an_amount("gpu_memory_gb", self.gpu_memory_gb)


class QueueLine(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A line of `queue.jsonl`: a call that a queue took, or what it answered about jobs since."""

    what: ClassVar[str] = "a line of queue.jsonl"

    id: str | None = None  # with `first` and `last`: a call
    first: JobNumber | None = None
    last: JobNumber | None = None
    process: Queue | None = None
    complete: bool | None = None  # no more calls were to come
    absent: list[Span] = field(default_factory=list)
    back: list[Span] = field(default_factory=list)
    ended: dict[str, list[Span]] = field(default_factory=dict)  # cause → jobs
    t: Number = 0.0  # when, in seconds

    def __post_init__(self) -> None:
        ended = ((f"ended.{cause}", spans) for cause, spans in self.ended.items())
        for name, spans in (("absent", self.absent), ("back", self.back), *ended):
            if any(first > last for first, last in spans):
                raise ValueError(f"'{name}' has a range of jobs that ends before it starts")
        if not 0 <= self.t <= LARGEST:
            raise ValueError(f"'t' is {self.t}, expected a number of seconds")
        for name in ("cluster", "user", "host", "server"):
            if isinstance((self.process or {}).get(name), int):
                raise ValueError(f"'process.{name}' is a number, expected text")

    def as_object(self) -> dict[str, Any]:
        fields = super().as_object()
        if self.id is None:
            return fields
        return {"id": self.id, "first": self.first, "last": self.last, "process": self.process, **fields}


class HostDeathRecord(Record, frozen=True, kw_only=True):
    """A line of `.hosts.jsonl`: a start of a job that ended because of its host."""

    what: ClassVar[str] = "a death of a job"

    host: Annotated[str, Meta(pattern=rf"^{HOST_NAME.pattern}\Z", description="the name of a host")]
    cause: str
    backend: str  # the kind of queue
    experiment: Name
    submission: Name
    job: JobNumber
    start: Whole = 0  # which of the starts that ended so; 0: the one that the queue did not repeat
    t: Number  # when it was heard of, in seconds

    @property
    def key(self) -> tuple[str, str, int, int]:
        """What tells it from other deaths."""
        return self.experiment, self.submission, self.job, self.start


class Cancellation(Record, frozen=True, kw_only=True):
    """A file of `stops/`: these tasks of the submission were cancelled, or all."""

    what: ClassVar[str] = "a cancellation"

    tasks: frozenset[TaskKey] | None
    by: str

    def as_object(self) -> dict[str, Any]:
        return {"tasks": None if self.tasks is None else sorted(map(list, self.tasks)), "by": self.by}

    def covers(self, key: tuple[int, int]) -> bool:
        return self.tasks is None or key in self.tasks


class FailFastStop(Record, frozen=True, kw_only=True):
    """`stops/alike.json`: why no further task of a submission is started."""

    what: ClassVar[str] = "a report of identical failures"

    failures: Whole
    message: str  # of one of them: "ValueError: …"


class NoticeClaim(Record, frozen=True, kw_only=True):
    """`notice/claim.json`: which process runs the notify command of a submission; no other one does."""

    what: ClassVar[str] = "a claim of a notice"

    process: Process
    reason: str
    t: Number  # when, in seconds


class NoticeResult(Record, frozen=True, kw_only=True):
    """`notice/result.json`: how the notify command ended."""

    what: ClassVar[str] = "the result of a notify command"

    problem: str | None  # None: it succeeded
    exit_code: int | None = None  # of the command; None: it did not start, or was killed
    seconds: Number = 0.0
    host: str | None = None
    t: Number | None = None
    output: str = ""  # the last of what it printed


class RegisteredRun(OpenRecord, frozen=True):
    """A line of `runs.jsonl`: the number, the id and the arguments of a run."""

    what: ClassVar[str] = "a run"

    number: Whole = field(name="run")
    id: RunId
    architecture: str
    params: Values
    derived: Values
    on_grid: bool = field(default=True)
    trial: Whole | None = None  # of a search; `params` lacks the arguments that are suggested
    group: RunId | None = None  # what the trials of one search have in common

    def as_object(self) -> dict[str, Any]:
        fields = super().as_object()
        for name in ("trial", "group"):
            if getattr(self, name) is None:
                del fields[name]
        return fields


class SuggestionRecord(Record, frozen=True, kw_only=True):
    """`suggestion.json`: the arguments of a trial of a search, and what was known when they were suggested."""

    what: ClassVar[str] = "a suggestion"

    trial: Whole
    group: RunId
    values: Values  # the arguments that the search varies
    derived: Values  # arguments derived from these and those of the grid's point
    sampler: str
    seed: Whole
    # state → first and last of consecutive trials
    known: dict[str, list[Annotated[list[Whole], Meta(min_length=2, max_length=2)]]]
    search: str  # hash of the ranges, the metric and the sampler
    metric: str  # that the search improves
    direction: Literal["maximize", "minimize"]
    submission: str
    versions: dict[str, str] = field(default_factory=dict)
    t: Number | None = None  # when, in seconds


class ChoiceRecord(Record, frozen=True, kw_only=True):
    """A line of `chosen.jsonl`: which attempt at a task counts, until one after `newest` is done.

    `attempt` null takes a choice back.
    """

    what: ClassVar[str] = "a choice"

    run: Whole
    repetition: Whole
    attempt: Positive | None
    newest: Whole
    by: str | None = None
    t: Number | None = None


class Claim(Record, frozen=True, kw_only=True):
    """`claim.json`: which start of which job makes an attempt."""

    what: ClassVar[str] = "a claim"

    submission: Name
    job: Whole
    start: Positive
    inode: Inode | None = None
    process: Process
    t: Number | None = None  # when, in seconds

    @property
    def worker(self) -> tuple[str, int, int]:
        """The submission, the job and its start."""
        return self.submission, self.job, self.start


class Frame(Record, frozen=True, kw_only=True):
    """A line of the user's code that an error passed through."""

    what: ClassVar[str] = "a frame"

    file: str
    line: Whole | None
    function: str
    code: str | None


class ErrorRecord(Record, frozen=True, kw_only=True, omit_defaults=True):
    """Why a task failed."""

    what: ClassVar[str] = "an error"

    kind: str | None = None
    type: str | None = None
    message: str | None = None
    frames: list[Frame] | None = None
    traceback: str | None = None
    exit_code: int | None = None  # of a process that ended without an outcome
    signal: int | None = None


class Reason(Record, frozen=True, kw_only=True):
    """Why a task was stopped."""

    what: ClassVar[str] = "a reason"

    kind: str | None = None
    message: str | None = None


class Outcome(Record, frozen=True, kw_only=True):
    """`outcome.json`: how an attempt ended, and what it was. Unknown values are written as null."""

    what: ClassVar[str] = "an outcome"

    experiment: str | None = None
    run: Whole | None = None
    id: RunId | None = None
    architecture: str | None = None
    params: Values | None = None
    derived: Values | None = None
    on_grid: bool | None = None
    defaults: Values | None = None
    repetition: Whole | None = None
    repetitions: Whole | None = None
    split_by: str | None = None
    seeds: Values | None = None
    attempt: Positive
    state: TaskState
    metrics: Metrics | None = None
    facts: Values | None = None
    progress: Number | None = None  # the last step
    error: ErrorRecord | None = None
    submission: str | None = None
    job: Whole | None = None
    host: str | None = None
    pid: Whole | None = None
    started: str | None = None
    ended: str | None = None
    wall_seconds: Number | None = None
    cpu_seconds: Number | None = None
    peak_memory_gb: Number | None = None
    code: str | None = None  # hash of the code that it ran
    commit: str | None = None
    dirty: bool | None = None
    versions: Values | None = None
    scratch: bool = False
    log: Name | None = None
    reason: Reason | None = None  # this field and the next are written only if they are known
    environment: Values | None = None

    def __post_init__(self) -> None:
        for name, value in (self.metrics or {}).items():
            if type(value) is int and abs(value) >= LARGEST_NUMBER:
                raise ValueError(f"'metrics.{name}' is too large")

    def as_object(self) -> dict[str, Any]:
        fields = super().as_object()
        for name in ("scratch", "reason", "environment"):
            if not getattr(self, name):
                del fields[name]
        return fields


class TaskOutcome(Outcome, frozen=True, kw_only=True):
    """An outcome in a journal, which has to name its task."""

    run: Whole
    repetition: Whole

    @property
    def key(self) -> tuple[int, int]:
        return self.run, self.repetition


class Takeover(Record, frozen=True, kw_only=True):
    """The `outcome.json` of an attempt whose worker disappeared, written by the worker that took over."""

    what: ClassVar[str] = "a takeover"

    state: Literal["abandoned"] = "abandoned"
    error: ErrorRecord
    by: Claim
    attempt: Positive


class JournalLine(Record, frozen=True, kw_only=True, omit_defaults=True):
    """A line of a journal: one of `start`, `claim` with `attempt`, `skip`, `outcome`, `end`."""

    what: ClassVar[str] = "a line of a journal"

    start: Process | None = None
    claim: TaskKey | None = None
    skip: TaskKey | None = None
    outcome: TaskOutcome | None = None
    end: str | None = None
    job: Whole | None = None
    attempt: Positive | None = None
    why: str | None = None  # of `skip`, or of an `end` after which the job is not started again
    t: Number | None = None  # when, in seconds
    host: str | None = None

    def __post_init__(self) -> None:
        if self.claim is not None and self.attempt is None:
            raise ValueError("'attempt' is missing")

    def as_object(self) -> dict[str, Any]:
        fields = super().as_object()
        return {**fields, "outcome": self.outcome.as_object()} if self.outcome else fields


class LockRecord(Record, frozen=True, kw_only=True):
    """`.lock`: which process holds an experiment."""

    what: ClassVar[str] = "a lock"

    host: str
    boot: str
    pid: Whole
    started: Whole
    machine: str = ""
    user: str | None = None
    since: str | None = None

    @classmethod
    def of(cls, process: Process, *, user: str, since: str) -> LockRecord:
        return cls(**process.record(), user=user, since=since)

    @property
    def process(self) -> Process:
        return Process(self.host, self.boot, self.pid, self.started, self.machine)


class CheckpointRecord(Record, frozen=True, kw_only=True):
    """`checkpoint.json`: the step of a checkpoint and the files that go with it."""

    what: ClassVar[str] = "a checkpoint"

    step: Whole
    attempt: Positive
    rows: Whole = 0  # of history.csv
    lengths: dict[Name, Whole] = field(default_factory=dict)  # file → bytes


class StorageMarker(OpenRecord, frozen=True, kw_only=True):
    """`.storage.json` and `.neurofit/storage.json`: which storage this is."""

    what: ClassVar[str] = "a storage marker"

    id: str
    format: Whole = FORMAT
    place: str | None = None
    host: str | None = None
    user: str | None = None

    def inside(self) -> dict[str, Any]:
        """The JSON object to write inside the storage, which may be mounted at several places."""
        return {"format": self.format, "id": self.id}


def _must_be_an_amount(name: str, value: Number | None) -> None:
    if value is not None and not 0 < value <= LARGEST:
        raise ValueError(f"'{name}' is {value}, expected a number above 0 or null")
