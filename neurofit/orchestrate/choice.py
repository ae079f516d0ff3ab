"""Which tasks of an experiment that has files are meant: a selector, states, and a condition on arguments."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from neurofit.commands import command
from neurofit.errors import UsageError
from neurofit.experiments.grids.selection import Selection, parse, where
from neurofit.experiments.store.state import State
from neurofit.experiments.store.submissions import TaskKey
from neurofit.orchestrate.status.standing import Standing
from neurofit.orchestrate.tables import experiment_name
from neurofit.study import Study


@dataclass(frozen=True)
class Choice:
    """The tasks of `name` that a user means."""

    name: str
    selection: Selection
    states: frozenset[State] = frozenset()  # none: whatever their state
    condition: str | None = None
    one_by_one: bool = False  # asked for as tasks: exp3:all, unlike exp3

    @property
    def is_everything(self) -> bool:
        """Whether the experiment as a whole is meant."""
        return not (self.one_by_one or self.states or self.condition)

    def keys(self, found: Standing, *, of_rows: bool = False) -> list[TaskKey]:
        """These tasks, by run and repetition.

        Parameters
        ----------
        of_rows : a task that is run again is *done* here as long as its results count, as its row of results
        is

        Raises
        ------
        UsageError : no task is selected, or the condition names an argument that no run has
        """
        runs = found.registry.runs
        values = {
            number: {"architecture": run.architecture, **run.params, **run.derived}
            for number, run in runs.items()
        }
        keys = [key for key in found.all_keys() if self.selection.matches(*key, runs)]
        if not keys and (self.selection.runs is not None or self.selection.repetitions is not None):
            raise UsageError(_nothing(found))
        if self.condition is not None:
            known = dict.fromkeys(name for arguments in values.values() for name in arguments)
            holds = where(self.condition, known)
            numbers = {number for number, arguments in values.items() if holds(arguments)}
            keys = [key for key in keys if key[0] in numbers]
            if not keys:
                raise UsageError(
                    f"No run of {found.name} has {self.condition}. `{command('show', found.name)}` lists "
                    "the arguments."
                )
        if self.states:
            tasks = {key: found.of(key) for key in keys}
            if of_rows:
                tasks = {key: task.counted or task for key, task in tasks.items()}
            keys = [key for key, task in tasks.items() if task.state in self.states]
        return keys


def choose(
    study: Study, selector: str, states: Collection[State] = (), condition: str | None = None
) -> Choice:
    """What a selector means in this study.

    Raises
    ------
    UsageError : it follows another grammar
    NameUnknown : no such experiment, or nothing of it was ever submitted
    """
    selection = parse(selector)
    name = experiment_name(study, selection.experiment)
    return Choice(name, selection, frozenset(states), condition, one_by_one=":" in selector)


def _nothing(found: Standing) -> str:
    numbers = list(found.registry.runs)
    if not numbers:
        return f"{found.name} has no runs yet. `{command('submit', found.name)}` queues them."
    unread = "".join(f"\n{problem}" for problem in found.problems)
    return (
        f"Nothing in {found.name} matches: its {len(numbers)} run(s) are numbered {numbers[0]} to "
        f"{numbers[-1]}, with "
        f"{found.repetitions} repetition(s) each. `{command('show', found.name)}` lists them.{unread}"
    )
