"""Pictures of how good predictions were: scores per neuron, and predictions beside responses.

Files of finished tasks that pictures read: `neurons.csv` and `predictions.npz`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurofit.errors import UsageError, nearest
from neurofit.plotting.drawings import Picture, by_run, number, three
from neurofit.plotting.neuron_tables import Neuron, neurons, neurons_table, predicted, scores_of
from neurofit.plotting.tasks import Told

CORRELATION = "test/correlation"


@dataclass(frozen=True)
class _Scores:
    """Of one run: which neurons, and their scores (repetition, neuron), nan where there is none."""

    label: str
    task: Told
    known: list[Neuron]
    scores: np.ndarray

    @property
    def names(self) -> list[str]:
        """Numbers, with their recording where there are several."""
        several = len({recording for recording, _ in self.known}) > 1
        return [f"{recording}/{number}" if several else number for recording, number in self.known]

    @property
    def medians(self) -> np.ndarray:
        scored = np.isfinite(self.scores).any(axis=0)
        found = np.full(self.scores.shape[1], np.nan)
        found[scored] = np.nanmedian(self.scores[:, scored], axis=0)
        return found


def of_neurons(told: Sequence[Told], metric: str | None) -> Picture:
    """A score per neuron as bars, a panel per run."""
    name, panels, notes = _scored(told, metric)
    rows, facts = [], []
    for one in panels:
        medians = one.medians[np.isfinite(one.medians)]
        three_of = [three(of(medians)) for of in (np.mean, np.min, np.max)]
        rows.append([one.label, len(one.scores), len(one.known), *three_of])
        facts.append(
            {"run": one.task.row["run"], "neurons": one.names, "median": [number(of) for of in one.medians]}
        )

    def draw() -> Any:
        from neurofit import plotting

        figure, axes = plotting.figure(len(panels), width=170, height=20 + 50 * len(panels))
        for place, one in zip(axes[:, 0], panels):
            recordings, numbers = zip(*one.known)
            plotting.draw_neurons(
                one.scores, place, metric=name, numbers=numbers, recordings=recordings, title=one.label
            )
        return figure

    headers = ["run", "repetitions", "neurons", "mean of medians", "lowest", "highest"]
    return Picture(
        {"what": "neurons", "metric": name, "runs": facts}, headers, rows, draw, notes, panels[0].task
    )


def of_predictions(told: Sequence[Told]) -> Picture:
    """Test responses and predictions of the best, the median and the worst neuron of one task.

    Raises
    ------
    UsageError : several tasks, or one that saved no predictions
    """
    if len(told) != 1:
        raise UsageError(f"Predictions are of one task, not {len(told)}: {told[0].name}.")
    responses, predictions = predicted(told[0].folder)
    _, (found,), _ = _scored(told, CORRELATION)
    (scores,), names = found.scores, found.names
    ranked = [place for place in np.argsort(scores) if np.isfinite(scores[place])]
    shown = {"best": ranked[-1], "median": ranked[len(ranked) // 2], "worst": ranked[0]}
    rows = [[which, names[place], three(scores[place])] for which, place in shown.items()]
    facts = [
        {
            "which": which,
            "neuron": names[place],
            CORRELATION: scores[place],
            "responses": [number(one) for one in responses[:, place]],
            "predictions": predictions[:, place].tolist(),
        }
        for which, place in shown.items()
    ]

    def draw() -> Any:
        from neurofit import plotting

        figure, axes = plotting.figure(1, 3, width=180, height=65, title=f"{told[0].name}, test set")
        for one, (which, place) in zip(axes[0], shown.items()):
            title = f"{which}: neuron {names[place]}, r = {three(scores[place])}"
            plotting.draw_predictions(responses[:, place], predictions[:, place], one, title=title)
        return figure

    return Picture(
        {"what": "predictions", "task": told[0].name, "neurons": facts},
        ["which", "neuron", "r"],
        rows,
        draw,
        shown=told[0],
    )


def _scored(told: Sequence[Told], metric: str | None) -> tuple[str, list[_Scores], list[str]]:
    """The metric, its scores by run, and what was left out.

    Raises
    ------
    UsageError : no task has such a score
    """
    runs = {
        label: [(one, table) for one in members if (table := neurons_table(one.folder))]
        for label, members in by_run(told).items()
    }
    tables = [table for members in runs.values() for _, table in members]
    if not tables:
        raise UsageError(f"{told[0].folder} has no neurons.csv: its fit saved no scores per neuron.")
    name = _metric([[one for one in table if one not in ("recording", "number")] for table in tables], metric)
    silent = len(told) - len(tables)
    notes = (
        [f"{silent} {'task' if silent == 1 else 'tasks'} without scores per neuron: left out."]
        if silent
        else []
    )
    panels = []
    for label, members in runs.items():
        given = [(one, scores_of(table, name, one.folder)) for one, table in members]
        given = [(one, scores) for one, scores in given if np.isfinite(list(scores.values())).any()]
        if given:
            known = list(dict.fromkeys(neuron for _, table in members for neuron in neurons(table)))
            matrix = np.array([[scores.get(neuron, np.nan) for neuron in known] for _, scores in given])
            panels.append(_Scores(label, given[0][0], known, matrix))
        elif members:
            notes.append(f"{label}: no neuron has a {name}: left out.")
    if not panels:
        raise UsageError(f"{told[0].name}: no neuron of the test set was scored by {name}.")
    return name, panels, notes


def _metric(known: Sequence[Sequence[str]], asked: str | None) -> str:
    """The one that was asked for, else the correlation or the first that all have, or that any has."""
    every = list(dict.fromkeys(name for names in known for name in names))
    shared = [name for name in every if all(name in names for names in known)]
    found = asked or next((one for one in (CORRELATION, *shared, *every) if one in (shared or every)), "")
    if found not in every:
        raise UsageError(
            f"No score '{found}' per neuron.{nearest(found, every)} There are: {', '.join(every)}."
        )
    return found
