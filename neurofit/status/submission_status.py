"""One submission as its files describe it, and the command that submits its tasks again."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurofit.backends.base import Submission
from neurofit.experiments.selector import naming, naming_all
from neurofit.store.evidence import Facts, TaskFacts
from neurofit.store.layout import SubmissionFiles
from neurofit.store.records import Cancellation, SubmissionRecord
from neurofit.store.state import State
from neurofit.store.submissions import HERE, Planned, TaskKey
from neurofit.text import command

DEFAULT_RUNNER = "local"


@dataclass
class SubmissionStatus:
    """A submission: its record, its jobs, and what its files say about its tasks."""

    files: SubmissionFiles
    record: SubmissionRecord
    jobs: list[list[Planned]]
    facts: Facts
    stops: list[Cancellation]
    at_home: bool  # False in a copy of the study: its jobs belong to the original
    lock: Path  # of the experiment
    # of its own attempts at the planned tasks, in their order, once they are decided
    states: list[State] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.files.name

    @property
    def runner_option(self) -> str | None:
        """The value of `--backend` that selects its runner; None for the default."""
        return runner_option(self.record.runner)

    def planned(self) -> Iterator[tuple[int, Planned]]:
        """Every task with the number of its job."""
        for number, tasks in enumerate(self.jobs):
            for task in tasks:
                yield number, task

    def own_facts(self, task: Planned) -> TaskFacts | None:
        """What is known of the newest attempt that this submission made; None if it made none."""
        facts = self.facts.tasks.get(task.key)
        return facts if facts is not None and facts.attempt > task.last_attempt else None

    def has_finished(self, task: Planned) -> bool:
        """Whether this submission's own attempt is done or failed."""
        facts = self.own_facts(task)
        return facts is not None and facts.ended in ("done", "failed")

    def is_cancelled(self, task: Planned) -> bool:
        return any(stop.covers(task.key) for stop in self.stops)

    def is_over(self, task: Planned) -> bool:
        """Whether the task finished or was cancelled: its job is no longer needed."""
        return self.has_finished(task) or self.is_cancelled(task)

    def will_not_start(self, task: Planned) -> bool:
        """Whether the task was cancelled and no worker is running it; then no worker starts it any more."""
        facts = self.own_facts(task)
        return (facts is None or facts.ended is not None) and self.is_cancelled(task)

    def for_backend(self) -> Submission:
        """The submission as its backend knows it."""
        return Submission(
            self.files.folder, self.record.experiment, self.record.jobs, Path(self.record.study)
        )


def runner_option(runner: Any) -> str | None:
    """The value of `--backend` that selects this runner; None if no option is needed."""
    return runner if isinstance(runner, str) and runner not in ("", DEFAULT_RUNNER, HERE) else None


def submit_again(
    name: str, tasks: Collection[TaskKey], *, whole: bool = False, of: int | None = None, **options: Any
) -> str:
    """The command `neurofit submit exp3:1,4-7 …` for the runs of these tasks.

    Parameters
    ----------
    name : str
        The experiment.
    whole : bool
        Name the whole experiment instead.
    of : int or None
        Repetitions per run. If given, and these tasks are only some repetitions, the command names those.
    **options
        Options of the command, as `neurofit.text.command` takes them.
    """
    return command("submit", naming_all(name) if whole else naming(name, tasks, of), **options)
