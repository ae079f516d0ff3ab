"""A trial: runs of the grid with some arguments replaced, which are off the grid (`submit --set epochs=5`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from neurofit.errors import UsageError
from neurofit.experiments.selector import Selection
from neurofit.store.records import RegisteredRun
from neurofit.store.registry import Registry

if TYPE_CHECKING:
    from neurofit.experiments.experiment import Experiment, Run


def varied_runs(
    experiment: Experiment,
    chosen: Iterable[Run],
    changes: Mapping[str, Any],
    grid: Sequence[Run],
    registry: Registry,
) -> list[Run]:
    """These runs with some arguments replaced, each once.

    A run that the grid has is that run. The others have the numbers under which they are registered, or the next
    free ones.

    Parameters
    ----------
    chosen : iterable of Run
        Runs of the grid.
    changes : mapping of str to value
        The values of the replaced arguments.
    grid : sequence of Run
        All runs of the grid, with their registered numbers.

    Raises
    ------
    GridError
        The fit has no argument of a given name, or rejects a value.
    """
    known = {run.id: run.number for run in reversed(registry.runs.values())}
    on_grid = {run.id: run for run in reversed(grid)}
    free = max([run.registered_number for run in grid] + list(registry.runs)) + 1
    found: dict[str, Run] = {}
    for base in chosen:
        run = experiment.varied(base, changes)
        if run.id in found:
            continue
        if run.id == base.id:
            found[run.id] = base
        elif run.id in on_grid:
            found[run.id] = on_grid[run.id]
        else:
            found[run.id] = replace(run, number=known.get(run.id, free))
            free += run.id not in known
    return sorted(found.values(), key=lambda run: run.registered_number)


def tried_before(
    experiment: Experiment, selection: Selection | None, grid: Sequence[Run], registry: Registry
) -> list[Run]:
    """Runs off the grid that a selector names: those in ranges in which the grid has no run.

    Raises
    ------
    GridError, UsageError
        Such a run does not fit the script any more.
    """
    if selection is None or selection.runs is None:
        return []
    numbers = {run.registered_number for run in grid}
    own = [one for one in selection.runs if not any(one.holds(n, max(numbers)) for n in numbers)]
    found = []
    for entry in registry.runs.values():
        if entry.number not in numbers and any(one.holds(entry.number, max(numbers)) for one in own):
            run = experiment.restored(entry.number, entry.params, entry.derived)
            if run.id != entry.id:
                raise UsageError(
                    f"Run {entry.number} of {experiment.name} is off the grid, and was done with other settings of "
                    "the fit than the script has now. Repeat the trial with --set."
                )
            found.append(run)
    return found


def off_grid(runs: Iterable[Run], grid: Sequence[Run]) -> list[Run]:
    """Those of the runs that the grid does not have."""
    numbers = {run.number for run in grid}
    return [run for run in runs if run.number not in numbers]


def entry(run: Run, *, on_grid: bool = True) -> RegisteredRun:
    """The entry of a run in `runs.jsonl`."""
    return RegisteredRun(
        run.registered_number,
        run.id,
        run.architecture,
        run.params,
        run.derived,
        on_grid=on_grid,
        trial=run.trial,
        group=run.group,
    )
