"""The pictures that there are: the numbers of each, and how it is drawn."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurofit.errors import UsageError, nearest
from neurofit.orchestrate.pictures.curves import Made, Told
from neurofit.orchestrate.reload import view
from neurofit.reports import curves as numbers
from neurofit.reports.curves import History
from neurofit.reports.references import Reference

MOST_RUNS = 6  # of a picture with a panel per run
DRAWN_AS = {  # kind of panel: the function of reports, and which of its entries are operands
    "maps": ("draw_maps", ("maps",)),
    "lines": ("draw_lines", ("x", "y")),
    "points": ("draw_points", ("points",)),
}


@dataclass(frozen=True)
class Picture:
    """facts: what was drawn, as JSON; rows: the same in short, a table; draw: makes the matplotlib figure."""

    facts: dict[str, Any]
    headers: Sequence[str]
    rows: Sequence[Sequence[Any]]
    draw: Callable[[], Any]
    notes: Sequence[str] = ()


def of_curves(made: Made, references: Sequence[Reference], *, bands: bool) -> Picture:
    """Curves over repetitions; its table is the thesis': middle, top and bottom at the last step."""
    middle, top, bottom = (f"p{percentile:g}" for percentile in made.curves[0].percentiles[:3])
    table = [[one.label, one.repetitions, float(one.steps[-1]), *map(_three, numbers.last_steps(one))]
             for one in made.curves]  # fmt: skip
    facts = {
        "what": "curves", "metric": made.metric, "percentiles": dict(zip(("middle", "top", "bottom", "second"),
                                                                         made.curves[0].percentiles)),
        "curves": [_curve_facts(one) for one in made.curves],
        "references": [{"name": one.name, "value": one.value, "top": one.top, "bottom": one.bottom,
                        "source": one.source} for one in references],
    }  # fmt: skip

    def draw() -> Any:
        from neurofit import reports

        figure, axes = reports.figure(width=150, height=95)
        reports.draw_curves(made.curves, axes[0, 0], metric=made.metric, references=references, bands=bands)
        return figure

    return Picture(facts, ["curve", "repetitions", "last step", middle, top, bottom], table, draw, made.notes)


def of_progress(told: Sequence[Told]) -> Picture:
    """Losses while training, a panel per run, and the step whose weights were kept."""
    runs = _by_run(told)
    facts, rows, panels = [], [], []
    for label, members in runs.items():
        losses = _losses(members)
        stops = [_fact(one, "best_epoch") for one in members]
        for one, stop in zip(members, stops):
            last = max((steps[-1] for steps, _ in one.logged.values() if steps), default=None)
            facts.append({"run": one.row["run"], "repetition": one.row["repetition"], "last_step": last,
                          "kept_step": stop, "why": _fact(one, "stop_reason")})  # fmt: skip
            rows.append([label, one.row["repetition"], last, stop, _fact(one, "stop_reason")])
        panels.append((label, losses, stops))

    def draw() -> Any:
        from neurofit import reports

        figure, axes = reports.figure(len(panels), width=120, height=30 + 55 * len(panels))
        for one, (label, losses, stops) in zip(axes[:, 0], panels):
            reports.draw_progress(losses, one, stops=stops, title=label)
        return figure

    headers = ["run", "repetition", "last step", "weights kept", "stopped by"]
    return Picture({"what": "progress", "tasks": facts}, headers, rows, draw)


def of_neurons(told: Sequence[Told], metric: str | None) -> Picture:
    """A score per neuron as bars, a panel per run."""
    panels, rows, facts, name = [], [], [], metric
    for label, members in _by_run(told).items():
        name, neurons, scores = _scores(members, metric)
        panels.append((label, neurons, scores))
        medians = _medians(scores)
        rows.append([label, len(members), len(neurons), _three(np.nanmean(medians)), _three(np.nanmin(medians)),
                     _three(np.nanmax(medians))])  # fmt: skip
        facts.append({"run": members[0].row["run"], "neurons": neurons, "median": [_number(one) for one in medians]})

    def draw() -> Any:
        from neurofit import reports

        figure, axes = reports.figure(len(panels), width=170, height=20 + 50 * len(panels))
        for one, (label, neurons, scores) in zip(axes[:, 0], panels):
            reports.draw_neurons(scores, one, metric=name, numbers=neurons, title=label)
        return figure

    headers = ["run", "repetitions", "neurons", "mean", "lowest", "highest"]
    return Picture({"what": "neurons", "metric": name, "runs": facts}, headers, rows, draw)


def of_predictions(told: Sequence[Told]) -> Picture:
    """Test responses and predictions of the best, the median and the worst neuron of one task.

    Raises
    ------
    UsageError : several tasks, or one that saved no predictions
    """
    if len(told) != 1:
        one = told[0].row
        raise UsageError(f"Predictions are of one task, not {len(told)}: {one['experiment']}:{one['run']}/0.")
    name, neurons, ((*scores,),) = _scores(told, "test/correlation")
    ranked = [place for place in np.argsort(scores) if np.isfinite(scores[place])]
    if not ranked:
        raise UsageError(f"{told[0].folder}: no neuron of the test set was scored.")
    shown = {"best": ranked[-1], "median": ranked[len(ranked) // 2], "worst": ranked[0]}
    responses, predictions = _predicted(told[0].folder / "predictions.npz")
    rows = [[which, neurons[place], _three(scores[place])] for which, place in shown.items()]
    facts = [{"which": which, "neuron": neurons[place], name: scores[place],
              "responses": [_number(one) for one in responses[:, place]],
              "predictions": predictions[:, place].tolist()} for which, place in shown.items()]  # fmt: skip

    def draw() -> Any:
        from neurofit import reports

        figure, axes = reports.figure(1, 3, width=180, height=60)
        for one, (which, place) in zip(axes[0], shown.items()):
            title = f"{which}: neuron {neurons[place]}, r = {_three(scores[place])}"
            reports.draw_predictions(responses[:, place], predictions[:, place], one, title=title)
        return figure

    return Picture({"what": "predictions", "neurons": facts}, ["which", "neuron", "r"], rows, draw)


def of_view(selector: str, what: str, neurons: Sequence[int] | None, study: Path) -> Picture:
    """What one task's model looks like."""
    panels = view(selector, what, neurons=neurons, study=study)
    shown = {"maps": "maps", "lines": "y", "points": "points"}
    rows = [[panel["title"], panel["kind"], " × ".join(map(str, np.shape(panel[shown[panel["kind"]]])))]
            for panel in panels]  # fmt: skip
    facts = {"what": what, "task": selector, "panels": [
        {key: _listed(value) if isinstance(value, np.ndarray) else value for key, value in panel.items()}
        for panel in panels
    ]}  # fmt: skip
    return Picture(facts, ["panel", "kind", "shape"], rows, lambda: _drawn(panels))


def _drawn(panels: Sequence[Mapping[str, Any]]) -> Any:
    from neurofit import reports

    columns = 1 if len(panels) == 1 else 2
    rows = -(-len(panels) // columns)
    big = any(panel["kind"] == "maps" for panel in panels)
    figure, axes = reports.figure(rows, columns, width=110 * columns if big else 85 * columns,
                                  height=(80 if big else 60) * rows)  # fmt: skip
    for panel, one in zip(panels, axes.flat):
        settings = {key: value for key, value in panel.items() if key not in ("kind", *DRAWN_AS[panel["kind"]][1])}
        name, operands = DRAWN_AS[panel["kind"]]
        getattr(reports, name)(*(panel[operand] for operand in operands), one, **settings)
    for one in axes.flat[len(panels) :]:
        one.set_visible(False)
    for place, one in enumerate(axes.flat):
        if place != columns - 1 and one.get_legend():  # panels share their lines: one legend, where there is room
            one.get_legend().remove()
    return figure


def _by_run(told: Sequence[Told]) -> dict[str, list[Told]]:
    runs: dict[str, list[Told]] = {}
    for one in told:
        runs.setdefault(f"{one.row['experiment']}:{one.row['run']}", []).append(one)
    if len(runs) > MOST_RUNS:
        raise UsageError(f"{len(runs)} runs are too many for a panel each (at most {MOST_RUNS}). Choose some: "
                         f"{next(iter(runs))}.")  # fmt: skip
    return runs


def _losses(members: Sequence[Told]) -> dict[str, list[History]]:
    """Part → the loss of every repetition, without penalties."""
    found: dict[str, list[History]] = {}
    for one in members:
        for name, (steps, values) in one.logged.items():
            part, slash, what = name.rpartition("/")
            if what == "loss" and len(steps):
                found.setdefault(part if slash else "loss", []).append(History(steps, values, one.row["repetition"]))
    if not found:
        known = dict.fromkeys(name for one in members for name in one.logged)
        raise UsageError(f"No loss was logged, only {', '.join(known)}. `--what curves --metric NAME` draws those.")
    return found


def _scores(members: Sequence[Told], metric: str | None) -> tuple[str, list[str], np.ndarray]:
    """The metric, names of neurons, and scores (repetition, neuron)."""
    tables = [_table(one.folder / "neurons.csv") for one in members]
    known = [name for name in tables[0] if name not in ("recording", "number")]
    name = metric or next((one for one in ("test/correlation", *known) if one in known), "")
    if name not in known:
        raise UsageError(f"No score '{name}' per neuron.{nearest(name, known)} There are: {', '.join(known)}.")
    return name, _names(tables[0]), np.array([[float(cell or "nan") for cell in table[name]] for table in tables])


def _names(table: dict[str, list[str]]) -> list[str]:
    """Numbers of neurons, with their recording where there are several; places in a table that has no numbers."""
    numbers = table.get("number") or [str(place) for place in range(len(next(iter(table.values()))))]
    recordings = table.get("recording") or [""] * len(numbers)
    several = len(set(recordings)) > 1
    return [f"{recording}/{number}" if several else number for recording, number in zip(recordings, numbers)]


def _predicted(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Test responses, nan where they do not count, and predictions: (image, neuron) each."""
    try:
        with np.load(path) as file:
            test = file["part"] == "test"
            return np.where(file["mask"], file["responses"], np.nan)[test], file["predictions"][test]
    except FileNotFoundError:
        raise UsageError(f"{path.parent} has no predictions.npz: its fit saved no predictions.") from None


def _table(path: Path) -> dict[str, list[str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
    except FileNotFoundError:
        raise UsageError(f"{path.parent} has no neurons.csv: its fit saved no scores per neuron.") from None
    return {name: [row[place] for row in rows] for place, name in enumerate(header)}


def _medians(scores: np.ndarray) -> np.ndarray:
    known = np.isfinite(scores).any(axis=0)
    found = np.full(scores.shape[1], np.nan)
    found[known] = np.nanmedian(scores[:, known], axis=0)
    return found


def _curve_facts(curve: numbers.Curve) -> dict[str, Any]:
    arrays = {name: [_number(one) for one in getattr(curve, name)]
              for name in ("steps", "middle", "top", "bottom", "second", "last")}  # fmt: skip
    at_last = dict(zip(("middle", "top", "bottom"), numbers.last_steps(curve)))
    return {"label": curve.label, "repetitions": curve.repetitions, **arrays, "at_last_step": at_last}


def _fact(one: Told, name: str) -> Any:
    return (one.row.get("facts") or {}).get(name)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _listed(values: np.ndarray) -> list:
    """As JSON has it, which knows no nan."""
    return np.where(np.isfinite(values), values, None).tolist()


def _three(value: float) -> str:
    return f"{value:.3f}"
