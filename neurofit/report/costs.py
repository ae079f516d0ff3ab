"""What an experiment has cost: hours, GPU hours and memory of every attempt, and what was submitted."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from statistics import median

from neurofit.status.experiment_status import ExperimentStatus
from neurofit.store.journal import journals, read_outcomes
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

    Attempts without an outcome (still running, or lost) are not known.
    """
    wanted = set(keys)
    found: dict[tuple[int, int, int], tuple[TaskOutcome, int]] = {}
    for submission in status.submissions:
        gpus = submission.record.resources.gpus or 0
        for entry in journals(submission.files).values():
            for outcome, _ in read_outcomes(entry.path)[0]:
                if outcome.key in wanted:
                    found[(*outcome.key, outcome.attempt)] = outcome, gpus
    by_state: dict[str, list[tuple[TaskOutcome, int]]] = {}
    for outcome, gpus in found.values():
        by_state.setdefault(outcome.state, []).append((outcome, gpus))
    rows = [_cost(state, by_state[state]) for state in sorted(by_state)]
    return rows if len(rows) < 2 else [*rows, _cost("total", list(found.values()))]


def _cost(what: str, attempts: list[tuple[TaskOutcome, int]]) -> Cost:
    memory = [outcome.peak_memory_gb for outcome, _ in attempts if outcome.peak_memory_gb]
    return Cost(
        what,
        len(attempts),
        sum(outcome.wall_seconds or 0.0 for outcome, _ in attempts) / 3600,
        sum(outcome.cpu_seconds or 0.0 for outcome, _ in attempts) / 3600,
        sum((outcome.wall_seconds or 0.0) * gpus for outcome, gpus in attempts) / 3600,
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
