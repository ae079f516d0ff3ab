"""The pictures of `neurofit plot`: the numbers of each, as JSON and as a table, and how it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurofit.errors import UsageError
from neurofit.plotting.curve_sets import CurveSet
from neurofit.plotting.curves import Curve, History, last_steps
from neurofit.plotting.groups import panels_by_run
from neurofit.plotting.lines import draw_curves, draw_lines, draw_progress, legend_height
from neurofit.plotting.maps import draw_maps, draw_points
from neurofit.plotting.neurons import (
    CORRELATION,
    draw_neurons,
    draw_predictions,
    read_predictions,
    read_scores,
)
from neurofit.plotting.references import Reference
from neurofit.plotting.style import figure as new_figure
from neurofit.plotting.tasks import PlottedTask, select_tasks, step_unit
from neurofit.study import Study
from neurofit.tables.loading import view

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVES_WIDTH = 150  # mm
PANEL_KINDS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    # kind of panel: the function that draws it, and its operands, of which the last is the main one
    "maps": (draw_maps, ("maps",)),
    "lines": (draw_lines, ("x", "y")),
    "points": (draw_points, ("points",)),
}


@dataclass(frozen=True)
class Picture:
    """A picture that can be drawn or written as numbers.

    Parameters
    ----------
    facts : dict
        All numbers, as JSON.
    headers, rows : sequence
        A summary of the numbers, as a table.
    draw : callable
        Makes the matplotlib figure.
    notes : sequence of str
        What a reader must know.
    first_task : PlottedTask, optional
        The first task shown; None for files of other programs.
    """

    facts: dict[str, Any]
    headers: Sequence[str]
    rows: Sequence[Sequence[Any]]
    draw: Callable[[], Figure]
    notes: Sequence[str] = ()
    first_task: PlottedTask | None = None


def curves_picture(made: CurveSet, references: Sequence[Reference], *, bands: bool) -> Picture:
    """Curves over repetitions; the table has the middle, top and bottom at the last step."""
    facts = {
        "what": "curves",
        "metric": made.metric,
        "percentiles": dict(zip(("middle", "top", "bottom", "second"), made.curves[0].percentiles)),
        "curves": [_curve_facts(curve) for curve in made.curves],
        "references": [
            {"name": one.name, "value": one.value, "top": one.top, "bottom": one.bottom, "source": one.source}
            for one in references
        ],
    }
    headers = ["curve", "repetitions", "last step", *(f"p{of:g}" for of in made.curves[0].percentiles[:3])]
    rows = [
        [curve.label, curve.repetitions, float(curve.steps[-1]), *map(_three_decimals, last_steps(curve))]
        for curve in made.curves
    ]

    def draw() -> Figure:
        height = 90 + legend_height([curve.label for curve in made.curves], CURVES_WIDTH)
        figure, axes = new_figure(width=CURVES_WIDTH, height=height)
        draw_curves(made.curves, axes[0, 0], metric=made.metric, references=references, bands=bands)
        return figure

    return Picture(facts, headers, rows, draw, made.notes, made.first_task)


def progress_picture(tasks: Sequence[PlottedTask]) -> Picture:
    """Losses during training, one panel per run, and the step whose weights were kept."""
    facts, rows, panels, notes = [], [], [], []
    for label, members in panels_by_run(tasks).items():
        losses = _losses(members)
        kept_steps = [task.fact("best_epoch") for task in members]
        for task, kept in zip(members, kept_steps):
            repetition, reason = task.row["repetition"], task.fact("stop_reason")
            last = max(steps[-1] for steps, _ in task.history.values() if steps)
            facts.append(
                {
                    "run": task.row["run"],
                    "repetition": repetition,
                    "last_step": last,
                    "kept_step": kept,
                    "why": reason,
                }
            )
            rows.append([task.run, repetition, last, kept, reason])
        if all(len(history.steps) == 1 for histories in losses.values() for history in histories):
            notes.append(f"{label} has a single value. For a curve, fit with a smaller --validate-every.")
        panels.append((label, losses, kept_steps, step_unit(members)))

    def draw() -> Figure:
        figure, axes = new_figure(len(panels), width=120, height=30 + 55 * len(panels))
        for one, (label, losses, kept_steps, unit) in zip(axes[:, 0], panels):
            draw_progress(losses, one, stops=kept_steps, title=label, unit=unit)
        return figure

    headers = ["run", "repetition", "last step", "weights kept", "stopped by"]
    return Picture({"what": "progress", "tasks": facts}, headers, rows, draw, notes)


def is_loss(column: str) -> bool:
    """Whether `progress_picture` draws a column of a history: a loss without penalties."""
    return column.rpartition("/")[2] == "loss"


def neurons_picture(tasks: Sequence[PlottedTask], metric: str | None) -> Picture:
    """A score per neuron as bars, one panel per run."""
    name, panels, notes = read_scores(panels_by_run(tasks), metric)
    rows, facts = [], []
    for panel in panels:
        medians = panel.medians[np.isfinite(panel.medians)]
        summary = [_three_decimals(of(medians)) for of in (np.mean, np.min, np.max)]
        rows.append([panel.label, len(panel.scores), len(panel.neurons), *summary])
        facts.append(
            {
                "run": panel.task.row["run"],
                "neurons": panel.names,
                "median": [_number_or_none(median) for median in panel.medians],
            }
        )

    def draw() -> Figure:
        figure, axes = new_figure(len(panels), width=170, height=20 + 50 * len(panels))
        for one, panel in zip(axes[:, 0], panels):
            recordings, numbers = zip(*panel.neurons)
            draw_neurons(
                panel.scores, one, metric=name, numbers=numbers, recordings=recordings, title=panel.label
            )
        return figure

    headers = ["run", "repetitions", "neurons", "mean of medians", "lowest", "highest"]
    facts_of_all = {"what": "neurons", "metric": name, "runs": facts}
    return Picture(facts_of_all, headers, rows, draw, notes, panels[0].task)


def predictions_picture(tasks: Sequence[PlottedTask]) -> Picture:
    """Responses and predictions on the test set, for the best, the median and the worst neuron of one task.

    Raises
    ------
    UsageError
        There are several tasks, or the task saved no predictions.
    """
    if len(tasks) != 1:
        raise UsageError(
            f"--what predictions shows a single task, but {len(tasks)} are selected. Select one, such as "
            f"{tasks[0].name}."
        )
    task = tasks[0]
    responses, predictions = read_predictions(task.folder)
    _, (panel,), _ = read_scores(panels_by_run(tasks), CORRELATION)
    (scores,), names = panel.scores, panel.names
    ranked = [place for place in np.argsort(scores) if np.isfinite(scores[place])]
    shown = {"best": ranked[-1], "median": ranked[len(ranked) // 2], "worst": ranked[0]}
    rows = [[which, names[place], _three_decimals(scores[place])] for which, place in shown.items()]
    facts = [
        {
            "which": which,
            "neuron": names[place],
            CORRELATION: scores[place],
            "responses": [_number_or_none(response) for response in responses[:, place]],
            "predictions": predictions[:, place].tolist(),
        }
        for which, place in shown.items()
    ]

    def draw() -> Figure:
        figure, axes = new_figure(1, 3, width=180, height=65, title=f"{task.name}, test set")
        for one, (which, place) in zip(axes[0], shown.items()):
            title = f"{which}: neuron {names[place]}, r = {_three_decimals(scores[place])}"
            draw_predictions(responses[:, place], predictions[:, place], one, title=title)
        return figure

    facts_of_all = {"what": "predictions", "task": task.name, "neurons": facts}
    return Picture(facts_of_all, ["which", "neuron", "r"], rows, draw, first_task=task)


def view_picture(
    selector: str, what: str, neurons: Sequence[int] | None, study: Study, best_by: str | None = None
) -> Picture:
    """The panels of one view of a task's model.

    Raises
    ------
    UsageError
        The selector means several tasks, or the fit has no such view.
    """
    panels = view(selector, what, neurons=neurons, study=Path(study.root), best_by=best_by)
    (task,), notes = select_tasks(study, [selector], histories=False, best_by=best_by)
    rows = []
    for panel in panels:
        shape = np.shape(panel[PANEL_KINDS[panel["kind"]][1][-1]])
        rows.append([panel["title"], panel["kind"], " × ".join(map(str, shape))])
    facts = {
        "what": what,
        "task": task.name,
        "panels": [
            {
                key: _json_array(value) if isinstance(value, np.ndarray) else value
                for key, value in panel.items()
            }
            for panel in panels
        ],
    }
    title = task.name
    if len(panels) == 1:
        panels, title = [{**panels[0], "title": f"{task.name}: {panels[0]['title']}"}], ""
    return Picture(facts, ["panel", "kind", "shape"], rows, lambda: _draw_panels(panels, title), notes, task)


def _draw_panels(panels: Sequence[Mapping[str, Any]], title: str) -> Figure:
    columns = 1 if len(panels) == 1 else 2
    rows = -(-len(panels) // columns)
    has_maps = any(panel["kind"] == "maps" for panel in panels)
    figure, axes = new_figure(
        rows,
        columns,
        width=(110 if has_maps else 85) * columns,
        height=(80 if has_maps else 60) * rows + 6 * bool(title),
        title=title,
    )
    for panel, one in zip(panels, axes.flat):
        draw, operands = PANEL_KINDS[panel["kind"]]
        settings = {key: value for key, value in panel.items() if key not in ("kind", *operands)}
        draw(*(panel[operand] for operand in operands), one, **settings)
    for one in axes.flat[len(panels) :]:
        one.set_visible(False)
    for place, one in enumerate(
        axes.flat
    ):  # panels show the same neurons: keep one legend, where there is room
        if place != columns - 1 and one.get_legend():
            one.get_legend().remove()
    return figure


def _losses(tasks: Sequence[PlottedTask]) -> dict[str, list[History]]:
    """The loss of every repetition, without penalties, by part ("train", "validation")."""
    losses: dict[str, list[History]] = {}
    for task in tasks:
        for name, (steps, values) in task.history.items():
            part, slash, _ = name.rpartition("/")
            if is_loss(name) and steps:
                history = History(np.array(steps), np.array(values), task.row["repetition"])
                losses.setdefault(part if slash else "loss", []).append(history)
    if not losses:
        known = dict.fromkeys(name for task in tasks for name in task.history)
        raise UsageError(
            f"{tasks[0].run}: no loss was logged, only {', '.join(known)}. Draw these with `--what curves "
            "--metric NAME`."
        )
    return losses


def _curve_facts(curve: Curve) -> dict[str, Any]:
    arrays = {
        "steps": curve.steps,
        "middle": curve.middle,
        "top": curve.top,
        "bottom": curve.bottom,
        "second": curve.second,
        "last": curve.last,
    }
    return {
        "label": curve.label,
        "repetitions": curve.repetitions,
        **{name: [_number_or_none(number) for number in array] for name, array in arrays.items()},
        "at_last_step": dict(zip(("middle", "top", "bottom"), last_steps(curve))),
    }


def _three_decimals(value: float) -> str:
    return f"{value:.3f}"


def _number_or_none(value: float) -> float | None:
    """A number for JSON, which has no nan."""
    return float(value) if np.isfinite(value) else None


def _json_array(values: np.ndarray) -> Any:
    """Nested lists for JSON, with None for nan."""
    cells = values.astype(object)
    cells[~np.isfinite(values)] = None
    return cells.tolist()
