"""Histories of tasks as curves over repetitions: which tasks belong to one curve, and what it is called."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurofit import study as studies
from neurofit.errors import UsageError, nearest
from neurofit.experiments.history import read_history
from neurofit.experiments.params import short
from neurofit.experiments.results import Row, other_arguments, readable, unlike
from neurofit.experiments.store.state import State
from neurofit.orchestrate.choice import choose
from neurofit.orchestrate.status.standing import standing
from neurofit.orchestrate.tables import records
from neurofit.reports.curves import MEDIAN, Curve, History, ensemble, over_repetitions
from neurofit.study import Study

PREFERRED = ("test/correlation", "validation/correlation", "validation/loss", "test/loss")
MOST_CURVES = 28  # as many as colours and dashes tell apart


@dataclass(frozen=True)
class Told:
    """A task that logged something: its row of results, and column → steps and values of its history."""

    row: Row
    logged: dict[str, tuple[list[float], list[float]]]
    folder: Path


@dataclass(frozen=True)
class Wish:
    """How curves are made: see `curves`."""

    metric: str | None = None
    by: str | None = None
    ensemble: str | None = None
    percentiles: tuple[float, float, float, float] = MEDIAN
    normalise_steps: bool = False
    limit: tuple[float, float] | None = None


@dataclass(frozen=True)
class Made:
    """The metric, its curves, and sentences that a reader needs."""

    metric: str
    curves: list[Curve]
    notes: list[str]


def curves(
    *selectors: str, metric: str | None = None, by: str | None = None, ensemble: str | None = None,
    percentiles: tuple[float, float, float, float] = MEDIAN, normalise_steps: bool = False,
    limit: tuple[float, float] | None = None, study: Path | str | None = None,
) -> list[Curve]:  # fmt: skip
    """A metric's course over repetitions, a curve per run: `reports.draw_curves` draws them.

    Parameters
    ----------
    selectors : of experiments or runs, "exp3", "exp3:0-4"; only tasks that are done count
    metric : a column of `history.csv`; None for the first of PREFERRED that there is
    by : one curve per value of this argument in place of one per run; its runs are pooled
    ensemble : an argument whose values are populations of their own (regions): runs that differ in it alone become one
        curve, weighted by neurons, paired by repetition
    percentiles, normalise_steps, limit : see `reports.over_repetitions`
    study : a folder in the study; the current folder without
    """
    home = studies.find(Path(study) if study else Path.cwd())
    told, _ = tasks(home, selectors)
    return made(told, Wish(metric, by, ensemble, percentiles, normalise_steps, limit)).curves


def tasks(
    study: Study, selectors: Sequence[str], states: Collection[State] = (), condition: str | None = None
) -> tuple[list[Told], list[str]]:
    """The selected tasks that logged something (of any state that is named, else done); and what could not be read.

    Raises
    ------
    UsageError : none of them did
    """
    found, problems = [], []
    for selector in selectors:
        choice = choose(study, selector, states or [State.DONE], condition)
        stand = standing(study, choice.name)
        keys = set(choice.keys(stand))
        rows = [row for row in records(stand, choice.selection) if (row["run"], row["repetition"]) in keys]
        problems += stand.problems
        for row in readable(rows):
            files = stand.files.task(row["run"], row["id"], row["repetition"]).attempt(row["attempt"] or 0)
            if files.history.exists():
                found.append(Told(row, read_history(files.history), files.folder))
    if not found:
        named = " ".join(selectors)
        raise UsageError(
            f"No task of {named} {'in such a state' if states else 'that is done'} has logged anything. "
            f"`neurofit status {selectors[0]}` shows how they stand."
        )
    return found, problems


def made(told: Sequence[Told], wish: Wish) -> Made:
    """The curves of these tasks.

    Raises
    ------
    UsageError : no such metric or argument, or more curves than can be told apart
    """
    metric = _metric(told, wish.metric)
    groups = _groups(told, wish)
    if len(groups) > MOST_CURVES:
        raise UsageError(
            f"{len(groups)} curves cannot be told apart (at most {MOST_CURVES}). Choose runs, as in exp3:0-9, or pool "
            "them with --by AXIS."
        )
    curves, notes = [], []
    for label, members in groups.items():
        curves.append(over_repetitions(
            _histories(members, metric, wish), label, percentiles=wish.percentiles,
            normalise_steps=wish.normalise_steps, limit=wish.limit,
        ))  # fmt: skip
        if differ := unlike([one.row for one in members]) if not wish.ensemble else "":
            notes.append(f"{label}: its tasks differ in more than their seed: {differ}.")
        if curves[-1].count.min() < curves[-1].repetitions:
            notes.append(f"{label}: faint where not all {curves[-1].repetitions} repetitions came so far.")
    return Made(metric, curves, notes)


def _metric(told: Sequence[Told], asked: str | None) -> str:
    known = dict.fromkeys(name for one in told for name in one.logged)
    if asked is None:
        return next((name for name in PREFERRED if name in known), next(iter(known), ""))
    if asked not in known:
        raise UsageError(f"No task logged '{asked}'.{nearest(asked, known)} Logged: {', '.join(known)}.")
    return asked


def _groups(told: Sequence[Told], wish: Wish) -> dict[str, list[Told]]:
    """Label → tasks, in the order of runs."""
    rows = [one.row for one in told]
    known = {"experiment": [row.get("experiment") for row in rows], "run": [row.get("run") for row in rows],
             "architecture": [row.get("architecture") for row in rows], **other_arguments(rows)}  # fmt: skip
    for axis in filter(None, (wish.by, wish.ensemble)):
        if axis not in known:
            raise UsageError(f"No argument '{axis}'.{nearest(axis, known)} There are: {', '.join(known)}.")
    if wish.by:
        label = _by(wish.by, known[wish.by])
    else:
        label = _by_run(known, told, wish.ensemble)
    found: dict[str, list[Told]] = {}
    for place, one in enumerate(told):
        found.setdefault(label(place), []).append(one)
    return found


def _by(axis: str, values: Sequence[Any]) -> Callable[[int], str]:
    return lambda place: f"{axis}={short(values[place])}"


def _by_run(known: dict[str, list], told: Sequence[Told], left_out: str | None) -> Callable[[int], str]:
    """By the arguments in which runs differ; the number too where those do not tell them apart."""
    differing = [
        name for name, values in known.items()
        if name not in ("run", left_out) and len({repr(value) for value in values}) > 1
    ]  # fmt: skip

    def text(place: int) -> str:
        parts = [_part(name, known[name][place]) for name in differing if known[name][place] is not None]
        return ", ".join(parts) or str(known["experiment"][place])

    runs: dict[str, set] = {}
    for place, one in enumerate(told):
        runs.setdefault(text(place), set()).add((one.row.get("experiment"), one.row.get("run")))
    unclear = not left_out and any(len(numbers) > 1 for numbers in runs.values())
    return lambda place: f"{text(place)} [run {known['run'][place]}]" if unclear else text(place)


def _part(name: str, value: Any) -> str:
    return str(value) if name in ("experiment", "architecture") else f"{name}={short(value)}"


def _histories(members: Sequence[Told], metric: str, wish: Wish) -> list[History]:
    if not wish.ensemble:
        return [_history(one, metric) for one in members if metric in one.logged]
    populations: dict[str, list[History]] = {}
    values = other_arguments([one.row for one in members]).get(wish.ensemble) or [None] * len(members)
    for one, value in zip(members, values):
        if metric in one.logged:
            populations.setdefault(repr(value), []).append(_history(one, metric))
    parts = list(populations.values())
    return parts[0] if len(parts) == 1 else ensemble(parts)


def _history(one: Told, metric: str) -> History:
    neurons = (one.row.get("facts") or {}).get("neurons_scored")
    return History(*one.logged[metric], one.row["repetition"], neurons if isinstance(neurons, int) else None)
