"""What retried tasks ask for instead of what they exhausted: more memory or time, up to what their queue allows."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

from neurofit.backends.base import Limits, Resources
from neurofit.backends.runner import Runner
from neurofit.errors import NeurofitError
from neurofit.orchestrate.failures import JobEnds, error_of, kind_of, outcome_of
from neurofit.orchestrate.plan import Plan
from neurofit.status.experiment_status import ExperimentStatus
from neurofit.store.records import ResourcesRecord
from neurofit.store.submissions import TaskKey
from neurofit.text import count

MORE_MEMORY, MORE_TIME = 1.5, 2.0  # factors
OF_MEMORY, OF_TIME, OF_TASKS = "memory", "walltime", "timeout"  # kinds of errors
EXHAUSTED = (OF_MEMORY, OF_TIME, OF_TASKS)


@dataclass(frozen=True)
class Asked:
    """What may run out: memory [GB], time of a job [minutes], time of a task [minutes]. None: no limit is set."""

    memory_gb: float | None = None
    walltime_minutes: float | None = None
    task_minutes: float | None = None

    @classmethod
    def by(cls, resources: Resources | ResourcesRecord, task_minutes: float | None) -> Asked:
        return cls(resources.memory_gb, resources.walltime_minutes, task_minutes)

    def of(self, kind: str) -> float | None:
        """What an error of this kind says ran out."""
        return {OF_MEMORY: self.memory_gb, OF_TIME: self.walltime_minutes, OF_TASKS: self.task_minutes}[kind]

    def at_least(self, other: Asked) -> Asked:
        """The larger of each; None stays None."""
        return Asked(
            _larger(self.memory_gb, other.memory_gb),
            _larger(self.walltime_minutes, other.walltime_minutes),
            _larger(self.task_minutes, other.task_minutes),
        )


@dataclass(frozen=True)
class Raise:
    """What tasks ran out of, and what they get when they are queued again.

    Parameters
    ----------
    kind : {"memory", "walltime", "timeout"}
        What ran out.
    tasks : int
        How many tasks.
    before : float or None
        What they had, in GB or minutes; None if it is not known.
    after : float or None
        What they get; None: their runner's own request, since it is not known what would be enough.
    limit : float or None
        What the queue allows, if that is less than they would get otherwise.
    differ : bool
        Whether they did not all have the same; `before` is the most.
    """

    kind: str
    tasks: int
    before: float | None
    after: float | None
    limit: float | None = None
    differ: bool = False

    @property
    def sentence(self) -> str:
        tasks = count(self.tasks, "task")
        they = "it" if self.tasks == 1 else "they"
        verb = "gets" if self.tasks == 1 else "get"
        what = {
            OF_MEMORY: f"{tasks} ran out of memory",
            OF_TIME: f"{tasks} ran out of time",
            OF_TASKS: f"{tasks} took longer than task_minutes",
        }[self.kind]
        unit = "GB" if self.kind == OF_MEMORY else "min"
        if self.after is None:
            option = {OF_MEMORY: "--memory", OF_TIME: "--minutes"}.get(self.kind)
            advice = f"add {option}" if option else "set task_minutes in the runner's profile"
            return f"{what}, and it is not known how much would be enough: {advice}."
        had = f"{what} at {'up to ' if self.differ else ''}{self.before:.3g} {unit}" if self.before else what
        if self.limit is None:
            return f"{had}: {they} {verb} {self.after:g} {unit}."
        if self.before is not None and self.limit <= self.before:
            return f"{had}, and the queue allows no more than {self.limit:g} {unit}."
        return f"{had}: {they} {verb} {self.after:g} {unit}, the most that the queue allows."


@dataclass(frozen=True)
class Part:
    """Tasks of a plan that are queued together, with the same requests."""

    plan: Plan
    runner: Runner
    raises: tuple[Raise, ...] = ()

    @property
    def jobs(self) -> int:
        return len(self.plan.jobs_of(self.runner.backend))


def raises(parts: Iterable[Part]) -> list[Raise]:
    """The raises of all parts."""
    return [one for part in parts for one in part.raises]


def summary(parts: Iterable[Part]) -> dict[str, list[dict[str, object]]]:
    """The raises of all parts as JSON; empty if there are none."""
    found = raises(parts)
    return {"raised": [vars(one) for one in found]} if found else {}


def parts(plan: Plan, runner: Runner, given: Collection[str] = ()) -> list[Part]:
    """The plan, split by what its tasks ask for; a single part that is the plan if nothing is raised.

    With `--retry`, tasks that exhausted their memory get 1.5 times as much as one of them had or used, and those that
    exhausted their time twice as much, never less than the runner's own request and never more than the queue allows.
    The others keep the runner's requests. On this machine there is one part, in which all tasks get the most: a second
    pool would use the cores twice. A runner of this machine that sets no limit to memory keeps none.

    Parameters
    ----------
    plan : Plan
        What will be queued.
    runner : Runner
        With the requests of the command line.
    given : collection of str
        `memory_gb` and `walltime_minutes`, if the command line sets them: they are not raised.
    """
    own = Asked.by(runner.backend.resources, runner.backend.task_minutes)
    exhausted = _exhausted(plan) if plan.options.retry else {}
    if own.memory_gb is None and runner.backend.runs_here():
        exhausted = {key: one for key, one in exhausted.items() if one[0] != OF_MEMORY}
    if not exhausted:
        return [Part(plan, runner)]
    needed: dict[str, Asked] = {}  # by kind: the most that one of its tasks needs
    unknown = set()
    for key, (kind, had) in exhausted.items():
        asked = _needed(kind, had, own, given)
        if asked is None:
            unknown.add(key)
        else:
            needed[kind] = asked.at_least(needed.get(kind, asked))
    most = _limits(runner) if any(asked != own for asked in needed.values()) else Limits()
    allowed = {kind: _allowed(asked, own, most) for kind, asked in needed.items()}
    groups: dict[Asked, list[TaskKey]] = {}
    for task in plan.tasks:
        is_raised = task.key in exhausted and task.key not in unknown
        groups.setdefault(allowed[exhausted[task.key][0]] if is_raised else own, []).append(task.key)
    if runner.backend.runs_here() and len(groups) > 1:
        largest = own
        for asked in groups:
            largest = largest.at_least(asked)
        groups = {largest: [task.key for task in plan.tasks]}
    whole = len(groups) == 1
    return [
        Part(
            plan if whole else _only(plan, keys),
            _with(runner, asked, own),
            tuple(
                _raises(
                    [key for key in keys if key in exhausted], exhausted, unknown, needed, asked, own, given
                )
            ),
        )
        for asked, keys in sorted(groups.items(), key=lambda group: group[0] != own)
    ]


def _exhausted(plan: Plan) -> dict[TaskKey, tuple[str, Asked]]:
    """Tasks that a limit ended → which, and what they had; memory is the larger of what was asked for and used."""
    status, ends = plan.status, JobEnds(plan.status)
    had: dict[str | None, Asked] = {}
    found = {}
    for key in (task.key for task in plan.tasks if task.last_attempt or status.of(task.key).cause):
        task = status.of(key)
        kind = kind_of(error_of(status, key, ends))
        if kind not in EXHAUSTED:
            continue
        if task.submission not in had:
            had[task.submission] = _asked_by(status, task.submission)
        asked = had[task.submission]
        if kind == OF_MEMORY:
            used = [one for one in (asked.memory_gb, _peak_gb(status, key)) if one]
            asked = replace(asked, memory_gb=max(used, default=None))
        found[key] = kind, asked
    return found


def _asked_by(status: ExperimentStatus, name: str | None) -> Asked:
    submission = status.submission(name)
    if submission is None:
        return Asked()
    return Asked.by(submission.record.resources, submission.record.task_minutes)


def _peak_gb(status: ExperimentStatus, key: TaskKey) -> float | None:
    try:
        outcome = outcome_of(status, key)
    except (NeurofitError, OSError):
        return None
    return outcome.peak_memory_gb if outcome else None


def _needed(kind: str, had: Asked, own: Asked, given: Collection[str]) -> Asked | None:
    """What a task should ask for; None if that is not known or the user has said it."""
    if kind == OF_MEMORY:
        if had.memory_gb is None or "memory_gb" in given:
            return None
        return replace(own, memory_gb=_larger(enough_gb(had.memory_gb), own.memory_gb))
    if kind == OF_TIME:
        if had.walltime_minutes is None or "walltime_minutes" in given:
            return None
        return replace(own, walltime_minutes=_larger(longer(had.walltime_minutes), own.walltime_minutes))
    if had.task_minutes is None:
        return None
    minutes = _larger(longer(had.task_minutes), own.task_minutes)
    walltime = own.walltime_minutes
    if (
        walltime is not None
        and minutes is not None
        and walltime <= minutes
        and "walltime_minutes" not in given
    ):
        walltime = longer(walltime)  # a job must outlast its task
    return replace(own, task_minutes=minutes, walltime_minutes=walltime)


def enough_gb(had: float) -> float:
    """Memory for a task that exhausted this much [GB]: half as much again, rounded up; below 2 GB to one decimal."""
    more = MORE_MEMORY * had - 1e-9
    return float(math.ceil(more)) if more > 2 else math.ceil(10 * more) / 10


def longer(had: float) -> float:
    """Time for a task that exhausted this much [minutes]: twice as much, in whole minutes."""
    return float(math.ceil(MORE_TIME * had))


def _limits(runner: Runner) -> Limits:
    """What the queue allows; nothing is known if it does not answer, and the queue itself refuses what is too much."""
    try:
        return runner.backend.limits()
    except NeurofitError:
        return Limits()


def _allowed(asked: Asked, own: Asked, most: Limits) -> Asked:
    """The request without what is above the limits of the queue; the runner's own request is never lowered."""
    memory = _smaller(asked.memory_gb, most.memory_gb, own.memory_gb)
    walltime = _smaller(asked.walltime_minutes, most.walltime_minutes, own.walltime_minutes)
    return replace(asked, memory_gb=memory, walltime_minutes=walltime)


def _smaller(asked: float | None, most: float | None, own: float | None) -> float | None:
    if asked is None or most is None or asked <= most:
        return asked
    return max(math.floor(10 * most) / 10 if most > 1 else most, own or 0.0)


def _larger(one: float | None, other: float | None) -> float | None:
    return max((value for value in (one, other) if value is not None), default=None)


def _only(plan: Plan, keys: Collection[TaskKey]) -> Plan:
    """The plan with these of its tasks."""
    only = frozenset(keys)
    tasks = [task for task in plan.tasks if task.key in only]
    return replace(plan, options=replace(plan.options, only=only), tasks=tasks)


def _with(runner: Runner, asked: Asked, own: Asked) -> Runner:
    if asked == own:
        return runner
    backend = runner.backend
    resources = replace(backend.resources, memory_gb=asked.memory_gb, walltime_minutes=asked.walltime_minutes)
    return replace(runner, backend=replace(backend, resources=resources, task_minutes=asked.task_minutes))


def _raises(
    keys: Collection[TaskKey],
    exhausted: dict[TaskKey, tuple[str, Asked]],
    unknown: Collection[TaskKey],
    needed: dict[str, Asked],
    asked: Asked,
    own: Asked,
    given: Collection[str],
) -> Iterator[Raise]:
    """What is to be said about the tasks of a part that exhausted something: one entry per cause."""
    for kind in EXHAUSTED:
        of_kind = [key for key in keys if exhausted[key][0] == kind]
        left = [key for key in of_kind if key in unknown]
        raised = [key for key in of_kind if key not in unknown]
        if left and {OF_MEMORY: "memory_gb", OF_TIME: "walltime_minutes"}.get(kind) not in given:
            yield Raise(kind, len(left), None, None)
        if raised and (needed[kind] != own or asked != own):
            before = [had for key in raised if (had := exhausted[key][1].of(kind)) is not None]
            after, wanted = asked.of(kind), needed[kind].of(kind)
            is_cut = after is not None and wanted is not None and after < wanted
            differ = len({f"{one:.3g}" for one in before}) > 1
            yield Raise(kind, len(raised), max(before), after, after if is_cut else None, differ)
