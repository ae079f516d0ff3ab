"""Which tasks make one curve, and what it is called: by the arguments that tell runs apart, and by nothing
shared.

Runs of other neurons may be joined into one population, where they share no neuron.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from neurofit.errors import UsageError, nearest
from neurofit.experiments.grid.params import short
from neurofit.plotting.neuron_tables import neurons_of
from neurofit.plotting.tasks import Told
from neurofit.tables.table import changed_defaults, distinct_arguments

Parts = list[list[Told]]
SELECTOR = "selector"  # --by selector: a curve per selector, as it was given
OFF_GRID = " (off the grid)"


def known(told: Sequence[Told]) -> dict[str, list]:
    """All that tasks can be grouped by: name → the value of each."""
    rows = [one.row for one in told]
    ours = {name: [row.get(name) for row in rows] for name in ("experiment", "run", "architecture")}
    return {SELECTOR: [one.selector for one in told], **ours, **distinct_arguments(rows)}


def checked(axis: str, told: Sequence[Told]) -> list[Any]:
    """The value of this argument of each task.

    Raises
    ------
    UsageError : none has such an argument
    """
    there = known(told)
    if axis not in there:
        raise UsageError(f"No argument '{axis}'.{nearest(axis, there)} There are: {', '.join(there)}.")
    return there[axis]


def by(axis: str, told: Sequence[Told]) -> list[str]:
    """A label per task that is the value of one argument."""
    values = checked(axis, told)
    texts = values if axis == SELECTOR else [f"{axis}={short(value)}" for value in values]
    return [text + OFF_GRID * one.off_grid for text, one in zip(texts, told)]


def by_run(told: Sequence[Told], left_out: str | None = None) -> list[str]:
    """A label per task that is its run's own; with `left_out`, runs that differ in that argument alone share
    theirs.

    Of several experiments, each label begins with its own, and names what differs within that one. Empty for
    a run of its own when something is left out.
    """
    there = {name: values for name, values in known(told).items() if name not in (SELECTOR, "run", left_out)}
    experiments = there.pop("experiment")
    several = len(set(experiments)) > 1
    labels = [""] * len(told)
    for experiment in dict.fromkeys(experiments):
        every = [place for place, name in enumerate(experiments) if name == experiment]
        grid = [place for place in every if not told[place].off_grid]
        for places in (every, grid):  # runs of the grid need not tell how others differ from it
            values = {name: [all_of[place] for place in places] for name, all_of in there.items()}
            text = _within([told[place] for place in places], values, left_out)
            for at, place in enumerate(places):
                own = ", ".join(filter(None, [experiment * several, text(at)])) or (
                    "" if left_out else experiment
                )
                labels[place] = own + OFF_GRID * told[place].off_grid
    return labels if left_out else _numbered(labels, told)


def _within(told: Sequence[Told], there: dict[str, list], left_out: str | None) -> Callable[[int], str]:
    """The text of a task of one experiment: arguments that were given and vary, and defaults that changed
    within a run; others where that is not enough.
    """
    given = {name for one in told for name in one.row.get("params") or {}} | {"architecture"}
    changed = changed_defaults(one.row for one in told)
    kinds = {
        name: len({repr(value) for value in values if value is not None}) for name, values in there.items()
    }
    chosen = [name for name in there if name in given and kinds[name] > 1]
    chosen += [name for name in changed if name in there and name not in chosen]

    def text(place: int, names: Sequence[str]) -> str:
        return ", ".join(_part(name, there[name][place]) for name in names if there[name][place] is not None)

    def apart(names: Sequence[str]) -> int:
        return len({text(place, names) for place in range(len(told))})

    runs = len({one.run for one in told})
    for name in there:
        wanted = name in given if left_out else apart(chosen) < runs
        if name not in chosen and wanted and apart([*chosen, name]) > apart(chosen):
            chosen.append(name)
    return lambda place: text(place, chosen)


def _numbered(labels: list[str], told: Sequence[Told]) -> list[str]:
    """With the number of the run too, where arguments do not tell runs apart."""
    runs: dict[str, set[str]] = {}
    for label, one in zip(labels, told):
        runs.setdefault(label, set()).add(one.run)
    return [
        f"{label} [run {one.row['run']}]" if len(runs[label]) > 1 else label
        for label, one in zip(labels, told)
    ]


def _part(name: str, value: Any) -> str:
    return str(value) if name == "architecture" else f"{name}={short(value)}"


def joined(
    axis: str, told: Sequence[Told], values: Sequence[Any], rest: Sequence[str]
) -> list[tuple[str, Parts]]:
    """Label and parts of each curve: runs alike in `rest` that share no neuron as one, others on their own.

    Of populations that overlap, the smaller are joined: regions 1, 2 and 3, which the shared model has all
    of.

    Parameters
    ----------
    values : of the axis, one per task
    rest : what else a task is, one per task

    Raises
    ------
    UsageError : nowhere are there two populations that share no neuron
    """
    groups: dict[str, dict[str, list[Told]]] = {}
    meant = {repr(value): value for value in values}
    for one, value, other in zip(told, values, rest):
        groups.setdefault(other, {}).setdefault(repr(value), []).append(one)
    found: list[tuple[str, Parts]] = []
    for other, parts in groups.items():
        apart = _apart({key: _population(members, meant[key]) for key, members in parts.items()})
        together = apart if len(apart) > 1 else []
        if together:
            found.append(
                (_label(other, f"ensemble of {axis}"), [parts[key] for key in parts if key in together])
            )
        found += [
            (_label(other, f"{axis}={short(meant[key])}"), [parts[key]])
            for key in parts
            if key not in together
        ]
    if all(len(parts) == 1 for _, parts in found):
        raise UsageError(_nothing(axis, len(meant)))
    return found


def _apart(populations: dict[str, frozenset]) -> list[str]:
    """Those that share no neuron, the smallest first."""
    chosen: list[str] = []
    for key in sorted(populations, key=lambda key: len(populations[key])):
        if not any(populations[key] & populations[other] for other in chosen):
            chosen.append(key)
    return chosen


def _population(members: Sequence[Told], value: Any) -> frozenset:
    """The recorded neurons; where no table names their recordings, elements of a list, or the value
    itself.
    """
    for one in members:
        if neurons := neurons_of(one.folder):
            return neurons
    return frozenset(map(repr, value)) if isinstance(value, list) else frozenset([repr(value)])


def _label(*parts: str) -> str:
    return ", ".join(part.strip() for part in parts if part.strip())


def _nothing(axis: str, values: int) -> str:
    if values == 1:
        return f"--ensemble {axis}: all selected runs have the same {axis}, so that there is nothing to join."
    return (
        f"--ensemble {axis}: runs of another {axis} predict the same neurons, and only runs of other "
        "neurons make one "
        "population. The mean prediction of a run's repetitions is `nf.ensemble`; --by pools runs."
    )
