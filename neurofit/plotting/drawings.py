"""Pictures of what was logged: the numbers of each, and how it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurofit.errors import UsageError
from neurofit.experiments.grid.params import short
from neurofit.plotting import curves as numbers
from neurofit.plotting.curve_sets import Made
from neurofit.plotting.curves import History
from neurofit.plotting.references import Reference
from neurofit.plotting.tasks import Told, unit
from neurofit.tables.table import changed_defaults

MOST_RUNS = 6  # of a picture with a panel per run
WIDTH = 150  # of a picture of curves, in millimetres


@dataclass(frozen=True)
class Picture:
    """facts: what was drawn, as JSON; rows: the same in short, a table; draw: makes the matplotlib figure.

    shown : the first task that is in it, exp3:0/0, where there is one
    """

    facts: dict[str, Any]
    headers: Sequence[str]
    rows: Sequence[Sequence[Any]]
    draw: Callable[[], Any]
    notes: Sequence[str] = ()
    shown: Told | None = None


def of_curves(made: Made, references: Sequence[Reference], *, bands: bool) -> Picture:
    """Curves over repetitions; its table is the thesis': middle, top and bottom at the last step."""
    middle, top, bottom = (f"p{percentile:g}" for percentile in made.curves[0].percentiles[:3])
    table = [
        [one.label, one.repetitions, float(one.steps[-1]), *map(three, numbers.last_steps(one))]
        for one in made.curves
    ]
    facts = {
        "what": "curves",
        "metric": made.metric,
        "percentiles": dict(zip(("middle", "top", "bottom", "second"), made.curves[0].percentiles)),
        "curves": [_curve_facts(one) for one in made.curves],
        "references": [
            {"name": one.name, "value": one.value, "top": one.top, "bottom": one.bottom, "source": one.source}
            for one in references
        ],
    }

    def draw() -> Any:
        from neurofit import plotting
        from neurofit.plotting.legends import room

        height = 90 + room([one.label for one in made.curves], WIDTH)
        figure, axes = plotting.figure(width=WIDTH, height=height)
        plotting.draw_curves(made.curves, axes[0, 0], metric=made.metric, references=references, bands=bands)
        return figure

    headers = ["curve", "repetitions", "last step", middle, top, bottom]
    return Picture(facts, headers, table, draw, made.notes, made.shown)


def of_progress(told: Sequence[Told]) -> Picture:
    """Losses while training, a panel per run, and the step whose weights were kept."""
    facts, rows, panels, notes = [], [], [], []
    for label, members in by_run(told).items():
        losses = _losses(members)
        stops = [one.fact("best_epoch") for one in members]
        for one, stop in zip(members, stops):
            last = max(steps[-1] for steps, _ in one.logged.values() if steps)
            why = one.fact("stop_reason")
            facts.append(
                {
                    "run": one.row["run"],
                    "repetition": one.row["repetition"],
                    "last_step": last,
                    "kept_step": stop,
                    "why": why,
                }
            )
            rows.append([one.run, one.row["repetition"], last, stop, why])
        if all(len(one.steps) == 1 for found in losses.values() for one in found):
            notes.append(f"{label}: has one value: a smaller --validate-every gives a curve.")
        panels.append((label, losses, stops, unit(members)))

    def draw() -> Any:
        from neurofit import plotting

        figure, axes = plotting.figure(len(panels), width=120, height=30 + 55 * len(panels))
        for one, (label, losses, stops, steps) in zip(axes[:, 0], panels):
            plotting.draw_progress(losses, one, stops=stops, title=label, unit=steps)
        return figure

    headers = ["run", "repetition", "last step", "weights kept", "stopped by"]
    return Picture({"what": "progress", "tasks": facts}, headers, rows, draw, notes)


def by_run(told: Sequence[Told]) -> dict[str, list[Told]]:
    """What each run's panel is called, exp3:0 or, of a single task, exp3:0/2, and its tasks.

    A run whose defaults changed between its tasks has a panel for each, exp3:0 (b=2).

    Raises
    ------
    UsageError : more panels than fit a page
    """
    runs: dict[tuple[str, str], list[Told]] = {}
    changed = {
        run: changed_defaults(one.row for one in told if one.run == run) for run in {one.run for one in told}
    }
    for one in told:
        defaults = one.row.get("defaults") or {}
        apart = ", ".join(f"{name}={short(defaults.get(name))}" for name in changed[one.run])
        runs.setdefault((one.run, f" ({apart})" * bool(apart)), []).append(one)
    if len(runs) > MOST_RUNS:
        raise UsageError(
            f"{len(runs)} runs are too many for a panel each (at most {MOST_RUNS}). Choose some: "
            f"{next(iter(runs))[0]}."
        )
    return {
        (members[0].name if len(members) == 1 else run)
        + apart
        + " (off the grid)" * members[0].off_grid: members
        for (run, apart), members in runs.items()
    }


def is_loss(column: str) -> bool:
    """Whether a column of a history is what `of_progress` draws: the loss of a part, without penalties."""
    return column.rpartition("/")[2] == "loss"


def three(value: float) -> str:
    return f"{value:.3f}"


def number(value: float) -> float | None:
    """As JSON has it, which knows no nan."""
    return float(value) if np.isfinite(value) else None


def _losses(members: Sequence[Told]) -> dict[str, list[History]]:
    """Part → the loss of every repetition, without penalties."""
    found: dict[str, list[History]] = {}
    for one in members:
        for name, (steps, values) in one.logged.items():
            part, slash, _ = name.rpartition("/")
            if is_loss(name) and len(steps):
                found.setdefault(part if slash else "loss", []).append(
                    History(steps, values, one.row["repetition"])
                )
    if not found:
        known = dict.fromkeys(name for one in members for name in one.logged)
        raise UsageError(
            f"{members[0].run}: no loss was logged, only {', '.join(known)}. `--what curves --metric "
            "NAME` draws those."
        )
    return found


def _curve_facts(curve: numbers.Curve) -> dict[str, Any]:
    arrays = {
        name: [number(one) for one in getattr(curve, name)]
        for name in ("steps", "middle", "top", "bottom", "second", "last")
    }
    at_last = dict(zip(("middle", "top", "bottom"), numbers.last_steps(curve)))
    return {"label": curve.label, "repetitions": curve.repetitions, **arrays, "at_last_step": at_last}
