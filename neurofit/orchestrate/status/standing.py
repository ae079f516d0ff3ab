"""How an experiment stands: the state of every task, from its files and its queues. Never loads the script."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurofit.errors import StoreError
from neurofit.experiments.store import index, storage
from neurofit.experiments.store.evidence import (
    Facts,
    TaskFacts,
    heartbeats,
    job_has_ended,
    look_at_attempts,
    read_journals,
)
from neurofit.experiments.store.layout import ExperimentFiles, SubmissionFiles
from neurofit.experiments.store.registry import Registry, read_registry
from neurofit.experiments.store.state import Evidence, Heartbeat, State, decide
from neurofit.experiments.store.submissions import (
    Planned,
    Stop,
    TaskKey,
    is_at_home,
    read_jobs,
    read_stops,
    read_submission,
)
from neurofit.orchestrate.status.queues import JobsView, ask
from neurofit.process import Process
from neurofit.study import Study


@dataclass(slots=True)
class TaskStanding:
    """The state of one task and where to look for more."""

    state: State
    attempt: int = 0
    submission: str | None = None
    job: int | None = None
    cause: str | None = None  # why a job ended that left no outcome, or why it waits
    code: str | None = None


@dataclass
class Part:
    """One submission, as far as its files tell."""

    files: SubmissionFiles
    record: dict[str, Any]
    jobs: list[list[Planned]]
    facts: Facts
    stops: list[Stop]
    at_home: bool
    lock: Path  # of the experiment


@dataclass
class Standing:
    """How an experiment stands."""

    name: str
    files: ExperimentFiles
    registry: Registry
    repetitions: int = 0
    tasks: dict[TaskKey, TaskStanding] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    queues: dict[str, JobsView] = field(default_factory=dict)  # by submission
    problems: list[str] = field(default_factory=list)  # what could not be read or asked, in words

    def of(self, key: TaskKey) -> TaskStanding:
        return self.tasks.get(key) or TaskStanding(State.NEW)

    def counts(self) -> Counter[State]:
        """Tasks by state: those of the grid, and those off it that were ever submitted."""
        return Counter(self.of(key).state for key in self.all_keys())

    def all_keys(self) -> list[TaskKey]:
        grid = {
            (run.number, rep) for run in self.registry.runs.values() if run.on_grid for rep in range(self.repetitions)
        }
        return sorted(grid | self.tasks.keys())

    @property
    def unanswered(self) -> list[str]:
        return [view.problem for view in self.queues.values() if view.problem]


def standing(
    study: Study, name: str, *, runners: Path | None = None, cache: Path | None = None, asking: bool = True
) -> Standing:
    """Read the files, ask the queues, decide. A file that is damaged is named in `problems`, and the rest still counts.

    Without `asking`, the queues are left alone, and what is not in the files is as it was when it was queued.
    """
    storage.require(study)
    files = ExperimentFiles(study, name)
    found = Standing(name, files, read_registry(files.registry))
    if found.registry.damaged:
        found.problems.append(f"{files.registry}: {found.registry.damaged} damaged line(s) passed over.")
    folder = cache or index.cache_folder()
    known = index.load(files, folder)
    before = {name: dict(facts.read) for name, facts in known.items()}
    for submission in files.submissions():
        _add_part(found, submission, known.get(submission.name) or Facts())
    found.problems += [f"{path}: not named as a submission is, so it was passed over." for path in files.misnamed()]
    unsettled = [part for part in found.parts if not part.facts.settled]
    found.queues = (
        ask(unsettled, runners or study.runners) if asking else {part.files.name: JobsView() for part in unsettled}
    )
    for part in found.parts:
        _decide_part(found, part)
        found.problems += sorted(f"{path}: damaged, some of it was passed over." for path in part.facts.damaged)
    facts = {part.files.name: part.facts for part in found.parts}
    if {name: fact.read for name, fact in facts.items()} != before:
        index.save(files, folder, facts)
    return found


def _add_part(found: Standing, files: SubmissionFiles, facts: Facts) -> None:
    try:
        record, jobs = read_submission(files), read_jobs(files)
        if len(jobs) != record["jobs"]:
            raise StoreError(f"{files.jobs}: damaged, it has {len(jobs)} line(s) for {record['jobs']} job(s).")
        stops, damaged = read_stops(files)
    except (StoreError, OSError) as error:
        found.problems.append(str(error))
        return
    found.parts.append(Part(files, record, jobs, facts, stops, is_at_home(files, record), found.files.lock))
    found.problems += [f"{path}: damaged, so that this cancellation was passed over." for path in damaged]
    found.repetitions = (
        record["repetitions"] if record.get("whole_grid", True) else found.repetitions or record["repetitions"]
    )
    if not facts.settled:
        read_journals(files, facts)


def _decide_part(found: Standing, part: Part) -> None:
    view = found.queues.get(part.files.name) or JobsView(answered=True)
    planned = [(number, task) for number, tasks in enumerate(part.jobs) for task in tasks]
    doubtful = [task for number, task in planned if _in_doubt(part, view, number, task)]
    if doubtful:
        ids = {number: run.id for number, run in found.registry.runs.items()}
        look_at_attempts(found.files, part.files.name, ids, doubtful, part.facts)
    beats = heartbeats(part.files, part.facts, at_home=part.at_home)
    settled = True
    for number, task in planned:
        facts = part.facts.tasks.get(task.key) or TaskFacts()
        state = decide(_evidence(part, view, beats, number, task, facts))
        settled = settled and facts.ended in ("done", "failed")
        _note(found, part, view, number, task, facts, state)
    part.facts.settled = settled


def _in_doubt(part: Part, view: JobsView, number: int, task: Planned) -> bool:
    """Whether the attempt folders have to be looked at: the journals say nothing final, and nobody is at it."""
    facts = part.facts.tasks.get(task.key)
    if facts is None or facts.attempt == 0:
        return number not in view.live
    if facts.ended is not None:
        return False
    return number not in view.live or job_has_ended(part.facts, number) or _is_dead(part, facts)


def _is_dead(part: Part, facts: TaskFacts) -> bool:
    worker = part.facts.workers.get(facts.by) if facts.by else None
    return bool(worker) and Process.from_record(worker).is_alive() is False


def _evidence(part: Part, view: JobsView, beats: Mapping, number: int, task: Planned, facts: TaskFacts) -> Evidence:
    heartbeat = None
    if facts.attempt > task.last_attempt and facts.ended is None:
        heartbeat = beats.get(facts.by, Heartbeat.STALE if part.at_home else Heartbeat.DEAD)
    return Evidence(
        ended=facts.ended if facts.attempt > task.last_attempt else None,
        heartbeat=heartbeat,
        job=view.of(number),
        cancelled=any(stop.covers(task.key) for stop in part.stops),
        grace_over=number not in view.in_grace,
        cause=view.causes.get(number),
    )


def _note(
    found: Standing, part: Part, view: JobsView, number: int, task: Planned, facts: TaskFacts, state: State
) -> None:
    """What this submission says counts, unless it left the task as it was."""
    before = found.tasks.get(task.key)
    untouched = facts.attempt <= task.last_attempt
    if untouched and before is not None and state in (State.NEW, State.CANCELLED):
        return
    cause = view.causes.get(number) or view.reasons.get(number)
    attempt = max(facts.attempt, task.last_attempt)
    found.tasks[task.key] = TaskStanding(state, attempt, part.files.name, number, cause, facts.code)
