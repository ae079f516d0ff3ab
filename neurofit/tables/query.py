"""Which tasks of a submitted experiment are meant: a selector, states, and a condition on arguments."""

from __future__ import annotations

from collections.abc import Collection, Sequence
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
    """The selected tasks of one experiment.

    Parameters
    ----------
    name : str
        Full name of the experiment.
    selection : Selection
        Runs and repetitions.
    states : frozenset of State
        States of the tasks; empty for any state.
    condition : str, optional
        Condition on the arguments, as given to `--where`.
    one_by_one : bool
        Whether tasks were selected (exp3:all) rather than the experiment (exp3).
    """

    name: str
    selection: Selection
    states: frozenset[State] = frozenset()
    condition: str | None = None
    one_by_one: bool = False

    @property
    def is_everything(self) -> bool:
        """Whether the experiment as a whole is selected."""
        return not (self.one_by_one or self.states or self.condition)

    def absent(self, status: ExperimentStatus) -> list[str]:
        """Sentences about the parts of the selection that mean nothing, if others mean something."""
        return self.selection.absent(
            self.name, status.registry.runs, lambda: {key[1] for key in status.all_keys()}
        )

    def keys(self, status: ExperimentStatus, *, of_rows: bool = False) -> list[TaskKey]:
        """List the selected tasks, by run and repetition.

        Parameters
        ----------
        of_rows : bool
            Use the state that the row of results has: a task with a result that is run again counts as *done*.

        Raises
        ------
        UsageError
            No task is selected, or the condition names an argument that no run has.
        """
        runs = status.registry.runs
        keys = status.all_keys()
        if not self.selection.is_everything:
            keys = [key for key in keys if self.selection.matches(*key, runs)]
        if not keys and (self.selection.runs is not None or self.selection.repetitions is not None):
            raise UsageError(_no_task(status))
        if self.condition is not None:
            matching = self._matching_runs(status, self.condition)
            keys = [key for key in keys if key[0] in matching]
            if not keys:
                raise UsageError(nothing_meets(status.name, self.condition))
        if self.states:
            tasks = dict(zip(keys, status.of_each(keys)))
            if of_rows:
                tasks = {key: task.counted or task for key, task in tasks.items()}
            keys = [key for key, task in tasks.items() if task.state in self.states]
        return keys

    def _matching_runs(self, status: ExperimentStatus, condition: str) -> set[int]:
        arguments = {number: status.arguments(number) for number in status.registry.runs}
        holds = where(condition, dict.fromkeys(name for values in arguments.values() for name in values))
        return {number for number, values in arguments.items() if holds(values)}


def parse_query(
    study: Study, selector: str, states: Collection[State] = (), condition: str | None = None
) -> TaskQuery:
    """Find the experiment and tasks that a selector means in a study.

    Raises
    ------
    UsageError
        The selector is invalid.
    NameUnknown
        There is no such experiment, or none of its tasks was ever submitted.
    """
    selection = parse(selector)
    name = experiment_name(study, selection.experiment)
    return TaskQuery(name, selection, frozenset(states), condition, one_by_one=":" in selector)


def experiment_name(study: Study, name: str) -> str:
    """The full name of a submitted experiment, from its name, unique last parts of it, or its script's path.

    Raises
    ------
    NameUnknown
        No submitted experiment has this name, or several have.
    """
    storage.require(study)
    discovered = discover_experiments(study)
    known = discovered.names
    wanted = scripts.name_of(study, name)
    if (whole := scripts.completed(name, wanted, known)) is not None:
        return whole
    known_scripts = [entry.name for entry in scripts.discover(study)]
    if any(f"/{one}".endswith(f"/{wanted}") for one in known_scripts):
        raise NameUnknown(
            f"No task of '{name}' was submitted yet. Submit it with `{command('submit', name)}`; add --dry-run "
            "to see what would be queued."
        )
    there = f"Submitted experiments: {', '.join(known)}." if known else "No experiment was submitted yet."
    there = " ".join([there, *discovered.unseen])
    hint = nearest(wanted, [*known, *known_scripts])
    raise NameUnknown(
        f"No experiment '{name}' in {study.training_data}.{hint} {there} `neurofit list` lists the scripts."
    )


def _no_task(status: ExperimentStatus) -> str:
    numbers = list(status.registry.runs)
    if not numbers:
        return f"{status.name} has no runs yet. Queue them with `{command('submit', status.name)}`."
    return "\n".join([nothing_matches(status.name, numbers, status.repetitions), *status.problems])


def nothing_matches(name: str, numbers: Sequence[int], repetitions: int) -> str:
    """The error for a selection of no task of an experiment that has runs of these numbers."""
    return (
        f"Nothing in {name} matches: it has {len(numbers)} run(s), numbered {numbers[0]} to {numbers[-1]}, "
        f"with {repetitions} repetition(s) each. `{command('show', name)}` lists them."
    )


def nothing_meets(name: str, condition: str) -> str:
    """The error for a condition that no run of an experiment meets, of those that are selected."""
    return f"No run of {name} matches --where '{condition}'. `{command('show', name)}` lists the arguments."
