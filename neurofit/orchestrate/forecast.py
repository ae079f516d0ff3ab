"""What a submit will cost, estimated from earlier tasks, and whether the user has to confirm it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from statistics import fmean

from neurofit.backends.runner import Runner
from neurofit.orchestrate.plan import Plan
from neurofit.overlap import FEW, overlapped
from neurofit.store.journal import journals, read_outcomes
from neurofit.store.records import TaskOutcome
from neurofit.store.state import State

_ENOUGH = 200  # outcomes to learn from
_MANY_TASKS = 2000
_LONG_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class Forecast:
    """How the tasks of a plan are spread over jobs, and how long they will take."""

    jobs: int
    at_a_time: int | None  # None: as many as the queue allows
    task_seconds: float | None  # mean of the tasks that are done; None if there is none
    total_seconds: float | None  # of all tasks, run one after another
    tasks_at_a_time: int = 1  # of a job; those that a job measures are not known

    @property
    def wall_seconds(self) -> float | None:
        if self.total_seconds is None or self.at_a_time is None:
            return None
        return self.total_seconds / min(self.at_a_time, max(1, self.jobs)) / self.tasks_at_a_time


def forecast(plan: Plan, runner: Runner) -> Forecast:
    runner = plan.throttled(runner)
    jobs = len(plan.jobs_of(runner.backend))
    at_a_time = runner.backend.jobs_at_a_time()
    seconds = _seconds_so_far(plan) if plan.tasks else {}
    if not seconds:
        return Forecast(jobs, at_a_time, None, None)
    typical = fmean(one for of_run in seconds.values() for one in of_run)
    # a task of a group has an equal share of its time; the group is trained whole, also for a part of its tasks
    of_run = {run: fmean(found) for run, found in seconds.items()}
    total = sum(of_run.get(group[0].run, typical) * plan.trained(group) for group in plan.groups())
    together = runner.backend.tasks_at_a_time()
    return Forecast(jobs, at_a_time, typical, total, together if isinstance(together, int) else 1)


def _seconds_so_far(plan: Plan) -> dict[int, list[float]]:
    """Run of the plan → wall-clock seconds of its tasks that are done, from the newest journals."""
    numbers = {run.registered_number for run in plan.runs}
    seconds: dict[int, list[float]] = {}
    read = 0
    for outcomes in done_outcomes(plan, numbers):
        for outcome in outcomes:
            if outcome.wall_seconds is not None:
                seconds.setdefault(outcome.run, []).append(outcome.wall_seconds)
                read += 1
        if read >= _ENOUGH:
            break
    return seconds


def done_outcomes(plan: Plan, runs: Collection[int]) -> Iterator[list[TaskOutcome]]:
    """Outcomes of the tasks of these runs that are done, a list per journal, those of the newest submission first.

    A journal without one of them is not read.
    """
    for part in reversed(plan.status.submissions):
        known = part.facts.tasks.items()
        writers = {task.by for (run, _), task in known if task.ended == "done" and run in runs}
        there = journals(part.files) if writers else {}
        paths = [entry.path for by, entry in there.items() if by in writers]
        for found, _ in overlapped(read_outcomes, paths, FEW):
            yield [one for one, _ in found if one.state == "done" and one.run in runs]


def doubts(plan: Plan, cost: Forecast) -> list[str]:
    """Sentences: why the user should confirm first; usually none."""
    found = []
    if plan.options.rerun and plan.counts[State.DONE]:
        found.append(f"{plan.counts[State.DONE]} task(s) that are done will be run again from scratch.")
    if len(plan.tasks) > _MANY_TASKS:
        found.append(f"{len(plan.tasks)} tasks will be queued.")
    if cost.total_seconds is not None and cost.total_seconds > _LONG_SECONDS:
        found.append(f"Run one after another, they will take about {cost.total_seconds / 3600:.0f} hours.")
    return found


def must_be_said(plan: Plan) -> str | None:
    """Why this needs `--yes` even if the user cannot be asked; None if it does not."""
    if plan.options.rerun and plan.counts[State.DONE]:
        return f"--rerun runs {plan.counts[State.DONE]} task(s) again that are done. Add --yes to confirm."
    return None
