"""The picture of a search: its numbers, as JSON and as a table, and how its panels are arranged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neurofit.plotting.pictures import Picture
from neurofit.plotting.search_numbers import SearchNumbers, facts
from neurofit.plotting.searches import draw_searches


def search_picture(searches: Sequence[SearchNumbers]) -> Picture:
    """A search per point of the grid, one below the other; the table has a row for each.

    Parameters
    ----------
    searches : sequence of SearchNumbers
        Each has a finished trial.
    """
    has_points = any(one.label for one in searches)
    rows: list[list[Any]] = []
    notes: list[str] = []
    for one in searches:
        best = one.best()
        assert best is not None and best.score is not None  # they have a finished trial
        main = [f"{name} {share:.2f}" for name, share in list(one.importances.items())[:3]]
        rows.append(
            [
                *([one.label] if has_points else []),
                len(one.point.runs),
                len(one.finished()),
                len(one.numbers("pruned")),
                len(one.numbers("failed")),
                best.run,
                float(f"{best.score:.4g}"),
                ", ".join(main),
            ]
        )
        notes += [f"{one.label}: {one.no_importances}" if one.label else one.no_importances] * bool(
            one.no_importances
        )
        low, high = one.limits()
        if far := int(((one.values() < low) | (one.values() > high)).sum()):
            where = f"{one.label}: " if one.label else ""
            trials = "one trial lies" if far == 1 else f"{far} trials lie"
            notes.append(
                f"{where}{trials} far below the others, and are drawn at the edge; importances count them."
                if one.maximizes
                else f"{where}{trials} far above the others, and are drawn at the edge; importances count them."
            )
    headers = [
        *(["search"] if has_points else []),
        *("trials", "finished", "pruned", "failed", "best run", searches[0].metric, "importances"),
    ]
    return Picture(facts(searches), headers, rows, lambda: draw_searches(searches), notes)
