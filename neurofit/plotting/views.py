"""Pictures of what one task's model looks like: the panels that its fit shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neurofit.plotting.drawings import Picture
from neurofit.plotting.tasks import tasks
from neurofit.study import Study
from neurofit.tables.loading import view

DRAWN_AS = {  # kind of panel: the function of reports, and which of its entries are operands
    "maps": ("draw_maps", ("maps",)),
    "lines": ("draw_lines", ("x", "y")),
    "points": ("draw_points", ("points",)),
}


def of_view(selector: str, what: str, neurons: Sequence[int] | None, study: Study) -> Picture:
    """What one task's model looks like."""
    panels = view(selector, what, neurons=neurons, study=Path(study.root))
    (one,), notes = tasks(study, [selector], histories=False)
    shown = {"maps": "maps", "lines": "y", "points": "points"}
    rows = [
        [panel["title"], panel["kind"], " × ".join(map(str, np.shape(panel[shown[panel["kind"]]])))]
        for panel in panels
    ]
    facts = {
        "what": what,
        "task": one.name,
        "panels": [
            {key: _listed(value) if isinstance(value, np.ndarray) else value for key, value in panel.items()}
            for panel in panels
        ],
    }
    title = one.name
    if len(panels) == 1:
        panels, title = [{**panels[0], "title": f"{one.name}: {panels[0]['title']}"}], ""
    return Picture(facts, ["panel", "kind", "shape"], rows, lambda: _drawn(panels, title), notes, one)


def _drawn(panels: Sequence[Mapping[str, Any]], title: str) -> Any:
    from neurofit import plotting

    columns = 1 if len(panels) == 1 else 2
    rows = -(-len(panels) // columns)
    big = any(panel["kind"] == "maps" for panel in panels)
    figure, axes = plotting.figure(
        rows,
        columns,
        width=110 * columns if big else 85 * columns,
        height=(80 if big else 60) * rows + 6 * bool(title),
        title=title,
    )
    for panel, one in zip(panels, axes.flat):
        settings = {
            key: value for key, value in panel.items() if key not in ("kind", *DRAWN_AS[panel["kind"]][1])
        }
        name, operands = DRAWN_AS[panel["kind"]]
        getattr(plotting, name)(*(panel[operand] for operand in operands), one, **settings)
    for one in axes.flat[len(panels) :]:
        one.set_visible(False)
    for place, one in enumerate(axes.flat):
        if (
            place != columns - 1 and one.get_legend()
        ):  # panels share their lines: one legend, where there is room
            one.get_legend().remove()
    return figure


def _listed(values: np.ndarray) -> list:
    """As JSON has it, which knows no nan."""
    return np.where(np.isfinite(values), values, None).tolist()
