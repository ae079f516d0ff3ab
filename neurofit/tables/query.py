"""Which tasks of an experiment that has files are meant: a selector, states, and a condition on arguments."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from neurofit.errors import NameUnknown, UsageError, nearest
from neurofit.experiments import scripts
from neurofit.experiments.selector import Selection, parse, where
from neurofit.status.experiment_status import ExperimentStatus
from neurofit.store import storage
from neurofit.store.layout import discover_experiments
from neurofit.store.state import State
from neurofit.store.submissions import TaskKey
from neurofit.study import Study
from neurofit.text import command


@dataclass(frozen=True)
class TaskQuery:
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

    def keys(self, status: ExperimentStatus, *, of_rows: bool = False) -> list[TaskKey]:
        """These tasks, by run and repetition.

        Parameters
        ----------
        of_rows : a task that is run again is *done* here as long as its results count, as its row of results
        is

        Raises
        ------
        UsageError : no task is selected, or the condition names an argument that no run has
        """
        runs = status.registry.runs
        values = {
            number: {"architecture": run.architecture, **run.params, **run.derived}
            for number, run in runs.items()
        }
        keys = [key for key in status.all_keys() if self.selection.matches(*key, runs)]
        if not keys and (self.selection.runs is not None or self.selection.repetitions is not None):
            raise UsageError(_nothing(status))
        if self.condition is not None:
            known = dict.fromkeys(name for arguments in values.values() for name in arguments)
            holds = where(self.condition, known)
            numbers = {number for number, arguments in values.items() if holds(arguments)}
            keys = [key for key in keys if key[0] in numbers]
            if not keys:
                raise UsageError(
                    f"No run of {status.name} has {self.condition}. `{command('show', status.name)}` lists "
                    "the arguments."
                )
        if self.states:
            tasks = {key: status.of(key) for key in keys}
            if of_rows:
                tasks = {key: task.counted or task for key, task in tasks.items()}
            keys = [key for key, task in tasks.items() if task.state in self.states]
        return keys


def parse_query(
    study: Study, selector: str, states: Collection[State] = (), condition: str | None = None
) -> TaskQuery:
    """What a selector means in this study.

    Raises
    ------
    UsageError : it follows another grammar
    NameUnknown : no such experiment, or nothing of it was ever submitted
    """
    selection = parse(selector)
    name = experiment_name(study, selection.experiment)
    return TaskQuery(name, selection, frozenset(states), condition, one_by_one=":" in selector)


def experiment_name(study: Study, name: str) -> str:
    """The full name of an experiment that has files, by its name, unique last parts, or its script's path."""
    storage.require(study)
    discovered = discover_experiments(study)
    known = discovered.names
    wanted = scripts.name_of(study, name)
    if wanted in known:
        return wanted
    ends = [one for one in known if f"/{one}".endswith(f"/{wanted}")]
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise NameUnknown(f"'{name}' could be any of: {', '.join(ends)}. Give the whole name.")
    known_scripts = [entry.name for entry in scripts.discover(study)]
    if any(f"/{one}".endswith(f"/{wanted}") for one in known_scripts):
        raise NameUnknown(
            f"Nothing of '{name}' was submitted yet. `{command('submit', name)}` does it; with --dry-run, it "
            "says what would be done."
        )
    there = f"Experiments with files there: {', '.join(known)}." if known else "Nothing was submitted yet."
    there = " ".join([there, *discovered.unseen])
    hint = nearest(wanted, [*known, *known_scripts])
    raise NameUnknown(
        f"No experiment '{name}' in {study.training_data}.{hint} {there} `neurofit list` shows the scripts."
    )


def _nothing(status: ExperimentStatus) -> str:
    numbers = list(status.registry.runs)
    if not numbers:
        return f"{status.name} has no runs yet. `{command('submit', status.name)}` queues them."
    unread = "".join(f"\n{problem}" for problem in status.problems)
    return (
        f"Nothing in {status.name} matches: its {len(numbers)} run(s) are numbered {numbers[0]} to "
        f"{numbers[-1]}, with "
        f"{status.repetitions} repetition(s) each. `{command('show', status.name)}` lists them.{unread}"
    )
