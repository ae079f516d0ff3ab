"""Submissions that stopped by themselves after identical failures, in words."""

from __future__ import annotations

from neurofit.experiments.grids.selection import naming
from neurofit.experiments.store.evidence import TaskFacts
from neurofit.experiments.store.halt import read_halt
from neurofit.experiments.store.submissions import TaskKey
from neurofit.orchestrate.status.standing import Standing


def halted(found: Standing) -> list[str]:
    """A sentence per submission that stopped, as long as tasks of it were neither begun nor submitted again."""
    sentences = []
    later: set[TaskKey] = set()
    for part in reversed(found.parts):
        planned = [task for job in part.jobs for task in job]
        if halt := read_halt(part.files):
            untouched = TaskFacts()
            left = sum(
                task.key not in later and part.facts.tasks.get(task.key, untouched).attempt <= task.last_attempt
                for task in planned
            )
            if left:
                what = _naming(found, {task.key for task in planned})
                sentences.append(
                    f"{found.name} stopped after {halt.failures} identical failures: {halt.message}\n"
                    f"{left:,} task(s) were not begun. Fix it, then `neurofit submit {what} --retry`; with "
                    "--keep-going, all are tried."
                )
        later.update(task.key for task in planned)
    return sentences[::-1]


def _naming(found: Standing, planned: set[TaskKey]) -> str:
    """What was submitted, to be submitted again: the experiment where that was all of its runs."""
    return found.name if {run for run, _ in planned} >= found.registry.runs.keys() else naming(found.name, planned)
