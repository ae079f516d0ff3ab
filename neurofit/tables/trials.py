"""Trials in tables: which of them count, and what their search improves, as its suggestions say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neurofit.errors import StoreError
from neurofit.status.experiment_status import ExperimentStatus
from neurofit.store.suggestions import PRUNED_AT, read_suggestion

if TYPE_CHECKING:
    import pandas as pd


def is_pruned(row: Mapping[str, Any]) -> bool:
    """Whether a row of results is of a trial that a search ended early: its numbers are not those of a whole fit."""
    facts = row.get("facts")
    return bool(facts) and isinstance(facts, Mapping) and PRUNED_AT in facts


def is_counted(row: Mapping[str, Any]) -> bool:
    """Whether the task is done, and its numbers count in means and for the best run."""
    return row.get("state") == "done" and not is_pruned(row)


@dataclass(frozen=True)
class Target:
    """The metric that a search improves, and whether higher is better."""

    metric: str
    maximizes: bool

    @property
    def by(self) -> str:
        """As an option that chooses the best run has it."""
        return f"{'max' if self.maximizes else 'min'}:{self.metric}"


def searched_for(status: ExperimentStatus) -> Target | None:
    """What the newest readable suggestion says; None if the experiment has no search, or no trial has started."""
    for run in reversed(status.registry.runs.values()):
        if run.trial is None or not run.on_grid:
            continue
        try:
            suggestion = read_suggestion(status.files, run)
        except (StoreError, OSError):
            continue
        if suggestion is not None:
            return Target(suggestion.metric, suggestion.direction == "maximize")
    return None


def best_first(frame: pd.DataFrame, target: Target) -> pd.DataFrame:
    """The rows of a table with the best trial first, and those that a pruner ended after the others."""
    name = next((one for one in (f"{target.metric} mean", target.metric) if one in frame), None)
    if name is None:
        return frame
    early = frame[PRUNED_AT].notna() if PRUNED_AT in frame else frame[name].isna()
    off_grid = ~frame["on_grid"].astype(bool) if "on_grid" in frame else frame[name].isna() & False
    numbers = frame[name].astype(float)
    order = frame.assign(_off=off_grid, _early=early, _number=-numbers if target.maximizes else numbers)
    chosen = frame.loc[order.sort_values(["_off", "_early", "_number"], kind="stable").index]
    chosen = chosen.reset_index(drop=True)
    chosen.attrs = dict(frame.attrs)
    return chosen
