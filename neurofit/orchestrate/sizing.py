"""What jobs should ask for, from what earlier tasks of the experiment used. Only proposed: nothing is changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from neurofit.backends.runner import Runner
from neurofit.orchestrate.forecast import done_outcomes
from neurofit.orchestrate.plan import Plan

MEMORY_FACTOR = 1.3  # of the largest peak
TIME_FACTOR = 1.5  # of the 95th percentile
ENOUGH = 5  # tasks to learn from
MOST = 500  # of the newest tasks
WASTE = 2.0  # a request above this multiple of the proposal is called too large
LEAST_GB, LEAST_MINUTES = 0.5, 5.0


@dataclass(frozen=True)
class Used:
    """What tasks that are done used.

    Parameters
    ----------
    tasks : int
        How many there were.
    peak_gb : float
        The largest peak memory of one of them [GB].
    seconds : float
        The 95th percentile of their times [s].
    """

    tasks: int
    peak_gb: float
    seconds: float


def used(plan: Plan) -> Used | None:
    """What the newest tasks of the experiment used; None if too few are done.

    Tasks off the grid count only for a trial of the same runs: a trial may be much smaller.
    """
    if plan.is_trial:
        numbers = {run.registered_number for run in plan.runs}
    else:
        numbers = {number for number, run in plan.status.registry.runs.items() if run.on_grid}
    found: list[tuple[float, float]] = []
    for outcomes in done_outcomes(plan, numbers):
        for outcome in outcomes:
            seconds, peak = outcome.wall_seconds, outcome.peak_memory_gb
            if seconds is not None and peak is not None:
                found.append((peak, seconds))
        if len(found) >= MOST:
            break
    if len(found) < ENOUGH:
        return None
    return Used(
        len(found), max(peak for peak, _ in found), _percentile([seconds for _, seconds in found], 0.95)
    )


@dataclass(frozen=True)
class Proposal:
    """Requests that fit better than those of the runner; None: leave as it is."""

    memory_gb: float | None
    minutes: float | None
    sentence: str

    @property
    def options(self) -> list[str]:
        """Words to add to `submit`."""
        words = [] if self.memory_gb is None else ["--memory", f"{self.memory_gb:g}"]
        return words if self.minutes is None else [*words, "--minutes", f"{self.minutes:g}"]


def proposal(plan: Plan, runner: Runner) -> Proposal | None:
    """What the jobs of a plan should ask for instead; None if their requests fit, or too little is known.

    Memory is the largest peak × 1.3; time is the 95th percentile × 1.5, for each task that a job runs in turn. Only
    what the runner asks for is looked at.
    """
    asked = runner.backend.resources
    if not plan.tasks or (asked.memory_gb is None and asked.walltime_minutes is None):
        return None
    known = used(plan)
    if known is None:
        return None
    jobs = plan.jobs_of(runner.backend)
    trained, processes = max(map(plan.trained, jobs)), max(map(plan.processes, jobs))
    if (at_a_time := runner.backend.tasks_at_a_time()) == "auto":
        return None  # a job measures how many tasks it runs at a time
    return proposed(known, asked.memory_gb, asked.walltime_minutes, trained, min(at_a_time, processes))


def proposed(
    known: Used, memory_gb: float | None, minutes: float | None, tasks_in_a_job: int, at_a_time: int = 1
) -> Proposal | None:
    """As `proposal`, from what was used and what is asked for by a job that runs so many of its tasks at a time."""
    job_gb = at_a_time * known.peak_gb
    enough_gb = max(LEAST_GB, _rounded(MEMORY_FACTOR * job_gb, 10, 0.1, 1))
    job_minutes = known.seconds * math.ceil(tasks_in_a_job / at_a_time) / 60
    enough_minutes = max(LEAST_MINUTES, _rounded(TIME_FACTOR * job_minutes, 60, 1, 10))
    of_memory = _verdict(memory_gb, job_gb, enough_gb)
    of_time = _verdict(minutes, job_minutes, enough_minutes)
    if not (of_memory or of_time):
        return None
    said = []
    in_turns = f", {at_a_time} at a time," if at_a_time > 1 else ""
    if of_memory:
        said.append(
            f"used at most {known.peak_gb:.3g} GB, and a job{in_turns and f' of them{in_turns}'} asks for "
            f"{memory_gb:g} GB{_warning(of_memory)}"
        )
    if of_time:
        job = f"a job of {tasks_in_a_job} tasks{in_turns}" if tasks_in_a_job > 1 else "a job"
        most = _minutes(known.seconds)
        said.append(
            f"took at most {most} (95 % of them), and {job} asks for {minutes:g} min{_warning(of_time)}"
        )
    sentence = f"{known.tasks:,} earlier tasks {'; they '.join(said)}."
    return Proposal(enough_gb if of_memory else None, enough_minutes if of_time else None, sentence)


def _verdict(asked: float | None, needed: float, enough: float) -> str:
    """ "small", "large", or empty if the request fits."""
    if asked is None:
        return ""
    return "small" if asked < needed else "large" if asked > WASTE * enough else ""


def _warning(verdict: str) -> str:
    return ", which is too little" if verdict == "small" else ""


def _rounded(value: float, large: float, fine: float, coarse: float) -> float:
    step = coarse if value >= large else fine
    return round(math.ceil(value / step - 1e-9) * step, 6)


def _minutes(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 60 else f"{seconds / 60:.3g} min"


def _percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values do not exceed."""
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]
