"""Which tasks form one curve or one panel, and its label: the arguments that distinguish it from the others.

Runs of different neurons can be joined into one population if they share no neuron.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from neurofit.errors import UsageError, nearest
from neurofit.experiments.grid.params import short
from neurofit.plotting.neurons import Neuron, neurons_of
from neurofit.plotting.tasks import PlottedTask
from neurofit.tables.table import changed_defaults, distinct_arguments

Parts = list[list[PlottedTask]]  # the tasks of each population
SELECTOR = "selector"  # --by selector: one curve per selector, labelled as it was given
OFF_GRID = " (off the grid)"
MAX_PANELS = 6


def grouping_columns(tasks: Sequence[PlottedTask]) -> dict[str, list[Any]]:
    """Everything that tasks can be grouped by: name → the value of each task."""
    rows = [task.row for task in tasks]
    own = {name: [row.get(name) for row in rows] for name in ("experiment", "run", "architecture")}
    return {SELECTOR: [task.selector for task in tasks], **own, **distinct_arguments(rows)}


def values_of(axis: str, tasks: Sequence[PlottedTask]) -> list[Any]:
    """The value of an argument in each task.

    Raises
    ------
    UsageError
        No task has such an argument.
    """
    columns = grouping_columns(tasks)
    if axis not in columns:
        raise UsageError(
            f"No task has an argument '{axis}'.{nearest(axis, columns)} Arguments: {', '.join(columns)}."
        )
    return columns[axis]


def labels_by(axis: str, tasks: Sequence[PlottedTask]) -> list[str]:
    """Label each task by the value of one argument."""
    values = values_of(axis, tasks)
    texts = values if axis == SELECTOR else [f"{axis}={short(value)}" for value in values]
    return [text + OFF_GRID * task.off_grid for text, task in zip(texts, tasks)]


def labels_by_run(tasks: Sequence[PlottedTask], left_out: str | None = None) -> list[str]:
    """Label each task by its run.

    If there are several experiments, each label begins with the name of its experiment, and lists the arguments
    that vary within that experiment.

    Parameters
    ----------
    left_out : str, optional
        An argument to ignore: runs that differ only in it get the same label, which may be empty.
    """
    columns = grouping_columns(tasks)
    columns = {name: values for name, values in columns.items() if name not in (SELECTOR, "run", left_out)}
    experiments = columns.pop("experiment")
    several = len(set(experiments)) > 1
    labels = [""] * len(tasks)
    for experiment in dict.fromkeys(experiments):
        every = [place for place, name in enumerate(experiments) if name == experiment]
        on_grid = [place for place in every if not tasks[place].off_grid]
        # Runs on the grid are labelled last, without the arguments that only distinguish the others from them.
        for places in (every, on_grid):
            values = {name: [column[place] for place in places] for name, column in columns.items()}
            text = _distinguishing_text([tasks[place] for place in places], values, left_out)
            for at, place in enumerate(places):
                own = ", ".join(filter(None, [experiment * several, text(at)]))
                if not own and not left_out:
                    own = experiment
                labels[place] = own + OFF_GRID * tasks[place].off_grid
    return labels if left_out else _with_run_numbers(labels, tasks)


def panels_by_run(tasks: Sequence[PlottedTask]) -> dict[str, list[PlottedTask]]:
    """The tasks of each panel by its title: exp3:0, or exp3:0/2 if it shows a single task.

    A run whose defaults changed between its tasks has a panel for each, such as exp3:0 (b=2).

    Raises
    ------
    UsageError
        There are more panels than fit on a page.
    """
    panels: dict[tuple[str, str], list[PlottedTask]] = {}
    changed = {
        run: changed_defaults(task.row for task in tasks if task.run == run)
        for run in {task.run for task in tasks}
    }
    for task in tasks:
        defaults = task.row.get("defaults") or {}
        text = ", ".join(f"{name}={short(defaults.get(name))}" for name in changed[task.run])
        panels.setdefault((task.run, f" ({text})" * bool(text)), []).append(task)
    if len(panels) > MAX_PANELS:
        first_run = next(iter(panels))[0]
        raise UsageError(
            f"{len(panels)} runs do not fit, with one panel each (at most {MAX_PANELS}). Select fewer runs, "
            f"such as {first_run}."
        )
    return {
        (members[0].name if len(members) == 1 else run) + text + OFF_GRID * members[0].off_grid: members
        for (run, text), members in panels.items()
    }


def _distinguishing_text(
    tasks: Sequence[PlottedTask], columns: dict[str, list[Any]], left_out: str | None
) -> Callable[[int], str]:
    """How to label a task of one experiment: by given arguments that vary, by defaults that changed within a
    run, and by other arguments if these do not distinguish the runs.
    """
    given = {name for task in tasks for name in task.row.get("params") or {}} | {"architecture"}
    changed = changed_defaults(task.row for task in tasks)
    counts = {
        name: len({repr(value) for value in values if value is not None}) for name, values in columns.items()
    }
    chosen = [name for name in columns if name in given and counts[name] > 1]
    chosen += [name for name in changed if name in columns and name not in chosen]

    def text(place: int, names: Sequence[str]) -> str:
        values = [(name, columns[name][place]) for name in names if columns[name][place] is not None]
        return ", ".join(
            str(value) if name == "architecture" else f"{name}={short(value)}" for name, value in values
        )

    def distinct(names: Sequence[str]) -> int:
        return len({text(place, names) for place in range(len(tasks))})

    runs = len({task.run for task in tasks})
    for name in columns:
        wanted = name in given if left_out else distinct(chosen) < runs
        if name not in chosen and wanted and distinct([*chosen, name]) > distinct(chosen):
            chosen.append(name)
    return lambda place: text(place, chosen)


def _with_run_numbers(labels: list[str], tasks: Sequence[PlottedTask]) -> list[str]:
    """Add the number of the run to labels that several runs share."""
    runs: dict[str, set[str]] = {}
    for label, task in zip(labels, tasks):
        runs.setdefault(label, set()).add(task.run)
    return [
        f"{label} [run {task.row['run']}]" if len(runs[label]) > 1 else label
        for label, task in zip(labels, tasks)
    ]


def join_populations(axis: str, tasks: Sequence[PlottedTask], rest: Sequence[str]) -> list[tuple[str, Parts]]:
    """Join runs that differ only in an axis and share no neuron; return the label and parts of each curve.

    If populations overlap, the smaller ones are joined: regions 1, 2 and 3 rather than the model of all regions.

    Parameters
    ----------
    axis : str
        The argument whose values are populations.
    rest : sequence of str
        A label per task of everything but the axis.

    Raises
    ------
    UsageError
        No two populations share no neuron, or no task has such an argument.
    """
    values = values_of(axis, tasks)
    by_key = {repr(value): value for value in values}
    groups: dict[str, dict[str, list[PlottedTask]]] = {}
    for task, value, label in zip(tasks, values, rest):
        groups.setdefault(label, {}).setdefault(repr(value), []).append(task)
    found: list[tuple[str, Parts]] = []
    for label, parts in groups.items():
        joined = _disjoint({key: _population(members, by_key[key]) for key, members in parts.items()})
        if len(joined) > 1:
            found.append(
                (_join_labels(label, f"ensemble of {axis}"), [parts[key] for key in parts if key in joined])
            )
        for key, members in parts.items():
            if len(joined) < 2 or key not in joined:
                found.append((_join_labels(label, f"{axis}={short(by_key[key])}"), [members]))
    if all(len(parts) == 1 for _, parts in found):
        raise UsageError(_explain_no_population(axis, len(by_key)))
    return found


def _disjoint(populations: dict[str, frozenset[Neuron | str]]) -> list[str]:
    """Populations that share no neuron, the smallest first."""
    chosen: list[str] = []
    for key in sorted(populations, key=lambda key: len(populations[key])):
        if not any(populations[key] & populations[other] for other in chosen):
            chosen.append(key)
    return chosen


def _population(members: Sequence[PlottedTask], value: Any) -> frozenset[Neuron | str]:
    """The recorded neurons; if no table names their recordings, the elements of a list, or the value itself."""
    for task in members:
        if neurons := neurons_of(task.folder):
            return frozenset(neurons)
    return frozenset(map(repr, value)) if isinstance(value, list) else frozenset([repr(value)])


def _join_labels(*parts: str) -> str:
    return ", ".join(part.strip() for part in parts if part.strip())


def _explain_no_population(axis: str, values: int) -> str:
    if values == 1:
        return f"--ensemble {axis}: all selected runs have the same {axis}, so there is nothing to join."
    return (
        f"--ensemble {axis}: runs that differ in {axis} predict the same neurons. Only runs of different neurons "
        "can be joined into one population. For the mean prediction of repetitions, use `nf.ensemble`; to pool "
        "runs, use --by."
    )
