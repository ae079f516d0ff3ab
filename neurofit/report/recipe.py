"""How the best run was fitted and on which split: the recipe that its fit saved, flat."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neurofit import packed
from neurofit.errors import StoreError
from neurofit.experiments.grid.params import short
from neurofit.files import from_json
from neurofit.report.tables import RunTable
from neurofit.status.experiment_status import ExperimentStatus
from neurofit.tables.trials import is_counted

if TYPE_CHECKING:
    from neurofit.tables.table import TaskRow

MOST_SETTINGS = 150
LONGEST_VALUE = 200
DATA, SCALING, SPLIT = ("data.name", "data.hash", "data.neurons"), "standardise.", "split."


@dataclass(frozen=True)
class Setting:
    """A value of a recipe, under the names that lead to it."""

    name: str
    value: str


def recipe_of(status: ExperimentStatus, rows: list[TaskRow], table: RunTable) -> tuple[str, list[Setting]]:
    """The selector of a task of the best run and its recipe: `recipe.json`, the fact `recipe`, or its arguments."""
    done = [row for row in rows if is_counted(row)]
    best = table.best_runs(1)
    row = next((row for row in done if row["run"] in best), done[0] if done else None)
    if row is None:
        return "", []
    folder = status.files.task(row["run"], row["id"], row["repetition"]).attempt(row["attempt"] or 0).folder
    found: Any = None
    try:
        found = from_json(packed.read(folder / "recipe.json"))
    except (StoreError, OSError, ValueError):
        found = (row.get("facts") or {}).get("recipe")
    if not isinstance(found, Mapping):
        found = {"recipe": found} if found is not None else arguments_of(row)
    settings = list(_flat("", found))[:MOST_SETTINGS]
    return f"{status.name}:{row['run']}/{row['repetition']}", settings


def arguments_of(row: TaskRow) -> dict[str, Any]:
    """Every argument that applied to a task: defaults, then given and derived ones."""
    return {**(row.get("defaults") or {}), **(row.get("params") or {}), **(row.get("derived") or {})}


def splits_of(rows: list[TaskRow], recipe: list[Setting]) -> list[Setting]:
    """Images of each part, what the split depends on, and the settings of the split."""
    done = [row for row in rows if row.get("state") == "done"]
    images = Counter(
        json.dumps(images)
        for row in done
        if isinstance(images := (row.get("facts") or {}).get("images"), Mapping)
    )
    found = []
    for text, number in images.most_common(3):
        listed = ", ".join(f"{count} {part}" for part, count in json.loads(text).items())
        found.append(Setting("images", listed if len(images) == 1 else f"{listed} (in {number} tasks)"))
    declared = {row.get("split_by") for row in done}
    settings = [one for one in recipe if one.name.startswith(SPLIT) and one.value != "None"]
    if images or settings or declared - {None}:
        words = {"repetition": "each repetition has its own", "fold": "repetition k tests on fold k"}
        of = ", ".join(sorted(words.get(str(one), "all tasks share one") for one in declared))
        found.append(Setting("split", of))
    data = [one for one in recipe if one.name in DATA or one.name.startswith(SCALING)]
    return [*data, *found, *settings]


def _flat(above: str, value: Any) -> Iterator[Setting]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _flat(f"{above}.{name}" if above else str(name), inner)
    else:
        yield Setting(above, short(value, LONGEST_VALUE))
