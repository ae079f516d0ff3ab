"""Histories of tasks as curves over repetitions: which tasks belong to one curve, and what it is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from neurofit import study as studies
from neurofit.errors import UsageError, nearest
from neurofit.plotting import groups
from neurofit.plotting.curves import MEDIAN, Curve, History, ensemble, over_repetitions
from neurofit.plotting.tasks import Told, tasks, unit
from neurofit.tables.table import describe_differences

PREFERRED = ("test/correlation", "validation/correlation", "validation/loss", "test/loss")
MOST_CURVES = 28  # as many as colours and dashes tell apart


@dataclass(frozen=True)
class Wish:
    """How curves are made: see `curves`; names: what they are called in place of their own labels, in
    order.
    """

    metric: str | None = None
    by: str | None = None
    ensemble: str | None = None
    percentiles: tuple[float, float, float, float] = MEDIAN
    normalise_steps: bool = False
    limit: tuple[float, float] | None = None
    names: tuple[str, ...] = ()

    def curve(self, histories: Sequence[History], label: str, counted: str = "step") -> Curve:
        return over_repetitions(
            histories,
            label,
            percentiles=self.percentiles,
            normalise_steps=self.normalise_steps,
            limit=self.limit,
            unit=counted,
        )


@dataclass(frozen=True)
class Made:
    """The metric, its curves, sentences that a reader needs, and the first task that is in a curve."""

    metric: str
    curves: list[Curve]
    notes: list[str]
    shown: Told | None = None


@dataclass(frozen=True)
class Group:
    """The tasks of one curve; where populations are joined, the tasks of each."""

    label: str
    parts: list[list[Told]]

    @property
    def members(self) -> list[Told]:
        return [one for part in self.parts for one in part]


def curves(
    *selectors: str,
    metric: str | None = None,
    by: str | None = None,
    ensemble: str | None = None,
    percentiles: tuple[float, float, float, float] = MEDIAN,
    normalise_steps: bool = False,
    limit: tuple[float, float] | None = None,
    study: Path | str | None = None,
) -> list[Curve]:
    """A metric's course over repetitions, one curve per run; `plotting.draw_curves` draws them.

    Parameters
    ----------
    *selectors : str
        Of experiments or runs: "exp3", "exp3:0-4". Only tasks that are done count, each of them once.
    metric : str, optional
        A column of `history.csv`. By default the one of PREFERRED that most tasks have.
    by : str, optional
        An argument: one curve per value of it, of all runs that share it. "selector": one curve per selector.
        By default, one curve per run.
    ensemble : str, optional
        An argument whose values are separate populations (regions). Runs that differ in it alone and share no
        neuron become one curve, weighted by neurons, paired by repetition.
    percentiles : tuple of float
        See `over_repetitions`.
    normalise_steps : bool
        See `over_repetitions`.
    limit : tuple of float, optional
        See `over_repetitions`.
    study : Path or str, optional
        A folder in the study. By default, the current folder.

    Returns
    -------
    list of Curve
    """
    home = studies.find(Path(study) if study else Path.cwd())
    told, _ = tasks(home, selectors, apart=by == groups.SELECTOR)
    return made(told, Wish(metric, by, ensemble, percentiles, normalise_steps, limit)).curves


def made(told: Sequence[Told], wish: Wish) -> Made:
    """The curves of these tasks; those that logged no such metric are left out, with a note.

    Raises
    ------
    UsageError : no such metric or argument, or more curves than can be told apart
    """
    metric = chosen_metric(told, wish.metric)
    chosen = _groups(told, wish)
    if len(chosen) > MOST_CURVES:
        raise UsageError(
            f"{len(chosen)} curves cannot be told apart (at most {MOST_CURVES}). Choose runs, as in "
            "exp3:0-9, or pool "
            "them with --by AXIS."
        )
    found, refused = [], {}
    notes = [] if wish.metric else [f"Of all that was logged, this is {metric}: --metric takes another."]
    for group in chosen:
        try:
            found.append((group, wish.curve(_histories(group, metric), group.label, unit(group.members))))
        except UsageError as error:
            refused.setdefault(str(error).removeprefix(f"'{group.label}': "), []).append(group.label)
    if not found:
        raise UsageError("; ".join(f"'{of[0]}': {why}" for why, of in refused.items()))
    notes += [f"Left out ({why.rstrip('.')}): {'; '.join(of)}." for why, of in refused.items()]
    drawn = named([curve for _, curve in found], wish.names)
    for (group, _), curve in zip(found, drawn):
        notes += _notes(group, curve, metric, pooled=wish.by is not None)
    return Made(metric, drawn, notes, found[0][0].members[0])


def named(found: Sequence[Curve], names: Sequence[str]) -> list[Curve]:
    """The curves under other names, if any are given.

    Raises
    ------
    UsageError : there are more or fewer names than curves
    """
    if names and len(names) != len(found):
        listed = "; ".join(one.label for one in found)
        raise UsageError(f"--label: {len(names)} for {len(found)} curves. They are, in this order: {listed}.")
    return [replace(one, label=name) for one, name in zip(found, names)] if names else list(found)


def chosen_metric(told: Sequence[Told], asked: str | None) -> str:
    """The one that was asked for, else that of PREFERRED which most tasks have, the first of several."""
    logged = [[name for name, (steps, _) in one.logged.items() if steps] for one in told]
    known = list(dict.fromkeys(name for names in logged for name in names))
    if asked is None:
        of = [name for name in PREFERRED if name in known] or known
        return max(of, key=lambda name: sum(name in names for names in logged))
    if asked not in known:
        raise UsageError(f"No task logged '{asked}'.{nearest(asked, known)} Logged: {', '.join(known)}.")
    return asked


def _groups(told: Sequence[Told], wish: Wish) -> list[Group]:
    """In the order of runs."""
    if wish.ensemble:
        values = groups.checked(wish.ensemble, told)
        found = groups.joined(wish.ensemble, told, values, groups.by_run(told, left_out=wish.ensemble))
        return [Group(label, parts) for label, parts in found]
    members: dict[str, list[Told]] = {}
    for label, one in zip(groups.by(wish.by, told) if wish.by else groups.by_run(told), told):
        members.setdefault(label, []).append(one)
    return [Group(label, [part]) for label, part in members.items()]


def _histories(group: Group, metric: str) -> list[History]:
    parts = [
        [_history(one, metric) for one in part if one.logged.get(metric, ([],))[0]] for part in group.parts
    ]
    if not all(parts):
        raise UsageError(f"'{group.label}': nothing logged as {metric}.")
    return parts[0] if len(parts) == 1 else ensemble(parts)


def _history(one: Told, metric: str) -> History:
    neurons = one.fact("neurons_scored")
    return History(*one.logged[metric], one.row["repetition"], neurons if isinstance(neurons, int) else None)


def _notes(group: Group, curve: Curve, metric: str, *, pooled: bool) -> list[str]:
    notes = []
    if pooled and (
        differ := describe_differences([one.row for one in group.members])
    ):  # within a run, this is said already
        notes.append(f"{curve.label}: its tasks differ in more than their seed: {differ}.")
    if pooled and len(runs := {one.run for one in group.members}) > 1:
        notes.append(
            f"{curve.label}: percentiles over {len(group.members)} tasks of {len(runs)} runs together, "
            "which differ in "
            "more than chance."
        )
    if silent := sum(not one.logged.get(metric, ([],))[0] for one in group.members):
        notes.append(f"{curve.label}: {silent} of {len(group.members)} tasks logged no {metric}.")
    if curve.count.min() < curve.repetitions:
        notes.append(f"{curve.label}: faint where not all {curve.repetitions} repetitions came so far.")
    if len(curve.steps) == 1:
        notes.append(f"{curve.label}: has one value: a smaller --validate-every gives a curve.")
    return notes
