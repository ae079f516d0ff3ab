"""Submissions that stopped by themselves after identical failures, in words."""

from __future__ import annotations

from neurofit.status.experiment_status import ExperimentStatus
from neurofit.status.suggestions import runner_option, submit_again
from neurofit.store.evidence import TaskFacts
from neurofit.store.fail_fast import read_fail_fast
from neurofit.store.submissions import TaskKey


def fail_fast_notes(status: ExperimentStatus) -> list[str]:
    """A sentence per submission that stopped, as long as tasks of it were neither begun nor submitted
    again.
    """
    sentences = []
    later: set[TaskKey] = set()
    for part in reversed(status.submissions):
        planned = [task for job in part.jobs for task in job]
        if stop := read_fail_fast(part.files):
            untouched = TaskFacts()
            left = sum(
                task.key not in later
                and part.facts.tasks.get(task.key, untouched).attempt <= task.last_attempt
                for task in planned
            )
            if left:
                tasks, runner = {task.key for task in planned}, runner_option(part.record.runner)
                again = submit_again(
                    status.name, tasks, whole=_is_all(status, tasks), backend=runner, retry=True
                )
                sentences.append(
                    f"{status.name} stopped after {stop.failures} identical failures: {stop.message}\n"
                    f"{left:,} task(s) were not begun. Fix it, then `{again}`; with "
                    "--keep-going, all are tried."
                )
        later.update(task.key for task in planned)
    return sentences[::-1]


def _is_all(status: ExperimentStatus, planned: set[TaskKey]) -> bool:
    return {run for run, _ in planned} >= status.registry.runs.keys()
