"""What an experiment has cost: hours, GPU hours and memory of every attempt, and what was submitted."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Collection
from dataclasses import dataclass
from statistics import median

from neurofit.overlap import FEW, overlapped
from neurofit.status.experiment_status import ExperimentStatus
from neurofit.store.journal import journals, outcomes_in
from neurofit.store.packed_outcomes import read_journal
from neurofit.store.records import SubmissionRecord, TaskOutcome
from neurofit.store.submissions import TaskKey


@dataclass(frozen=True)
class Cost:
    """The sum of some attempts; None where nothing was recorded."""

    what: str  # how they ended, or "total"
    attempts: int
    hours: float
    cpu_hours: float
    gpu_hours: float
    median_memory_gb: float | None
    peak_memory_gb: float | None


def costs(status: ExperimentStatus, keys: Collection[TaskKey]) -> list[Cost]:
    """What attempts at these tasks cost, by how they ended, and in total if they ended in several ways.

    A GPU that several tasks share is counted once. Attempts without an outcome (still running, or lost) are not known.
    """
    wanted = set(keys)
    found: dict[tuple[int, int, int], tuple[TaskOutcome, float]] = {}
    for submission in status.submissions:
        gpus = _gpus_of_a_task(submission.record)
        paths = [entry.path for entry in journals(submission.files).values()]
        for content in overlapped(read_journal, paths, FEW):
            outcomes = [outcome for outcome, _ in outcomes_in(content)[0]]
            for outcome, seconds in zip(outcomes, _alone(outcomes) if gpus else [0.0] * len(outcomes)):
                if outcome.key in wanted:
                    found[(*outcome.key, outcome.attempt)] = outcome, gpus * seconds
    by_state: dict[str, list[tuple[TaskOutcome, float]]] = {}
    for outcome, gpu_seconds in found.values():
        by_state.setdefault(outcome.state, []).append((outcome, gpu_seconds))
    rows = [_cost(state, by_state[state]) for state in sorted(by_state)]
    return rows if len(rows) < 2 else [*rows, _cost("total", list(found.values()))]


def _gpus_of_a_task(record: SubmissionRecord) -> float:
    """GPUs of one task: a part of one if the jobs of a pool share it."""
    shared = record.tasks_per_gpu if record.tasks_at_a_time == 1 else 1  # tasks of one job: see `_alone`
    return (record.resources.gpus or 0) / (shared if isinstance(shared, int) else 1)


def _alone(outcomes: list[TaskOutcome]) -> list[float]:
    """The seconds of the attempts of one start of a job; attempts that ran at a time share each second."""
    seconds = [outcome.wall_seconds or 0.0 for outcome in outcomes]
    changes: dict[float, list[tuple[int, bool]]] = {}  # moment → attempts that begin or end then
    for number, outcome in enumerate(outcomes):
        began = _began(outcome)
        if began is not None and seconds[number]:
            changes.setdefault(began, []).append((number, True))
            changes.setdefault(began + seconds[number], []).append((number, False))
            seconds[number] = 0.0
    running: set[int] = set()
    for moment, later in itertools.pairwise(sorted(changes)):
        for number, begins in changes[moment]:
            (running.add if begins else running.discard)(number)
        for number in running:
            seconds[number] += (later - moment) / len(running)
    return seconds


def _began(outcome: TaskOutcome) -> float | None:
    """When an attempt began, in seconds; None if that is not known."""
    try:
        return datetime.datetime.fromisoformat(outcome.started or "").timestamp()
    except ValueError:
        return None


def _cost(what: str, attempts: list[tuple[TaskOutcome, float]]) -> Cost:
    memory = [outcome.peak_memory_gb for outcome, _ in attempts if outcome.peak_memory_gb]
    return Cost(
        what,
        len(attempts),
        sum(outcome.wall_seconds or 0.0 for outcome, _ in attempts) / 3600,
        sum(outcome.cpu_seconds or 0.0 for outcome, _ in attempts) / 3600,
        sum(gpu_seconds for _, gpu_seconds in attempts) / 3600,
        median(memory) if memory else None,
        max(memory, default=None),
    )


def asked_for(record: SubmissionRecord) -> str:
    """What a job of a submission may use: '1 core, 16 GB, 120 min'."""
    resources = record.resources
    texts = [
        f"{resources.cpus} {'core' if resources.cpus == 1 else 'cores'}" if resources.cpus else "",
        f"{resources.gpus} {'GPU' if resources.gpus == 1 else 'GPUs'}" if resources.gpus else "",
        f"{resources.memory_gb:g} GB" if resources.memory_gb else "",
        f"{resources.walltime_minutes:g} min" if resources.walltime_minutes else "",
    ]
    return ", ".join(filter(None, texts)) or "the queue's defaults"
