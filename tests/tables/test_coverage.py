"""Intervals hold the true value as often as they say: `scripts/coverage` with fewer cases and fixed seeds."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from neurofit.tables.comparison import compare

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "coverage"
CASES = 4000  # of which 95 % have a standard error of .34 %


def loaded():
    loader = importlib.machinery.SourceFileLoader("coverage_of_intervals", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    sys.modules[loader.name] = module  # dataclasses look their module up
    loader.exec_module(module)
    return module


simulation = loaded()
simulation.MISSING_SETS = 20
CLAIMED = [one for one in simulation.scenarios() if one.claimed]
RESAMPLED = {one.name: one for one in simulation.scenarios() if not one.claimed and one.repetitions == 10}


@pytest.mark.parametrize("scenario", CLAIMED, ids=lambda one: f"{one.name}, {one.repetitions}")
def test_an_interval_that_claims_95_percent_holds_the_true_value_in_93_to_97(scenario):
    found, cases = simulation.coverage(scenario, CASES, seed=1)
    assert 0.93 <= found <= 0.97 and cases > 0.9 * CASES


def test_resampled_splits_taken_as_independent_would_be_covered_far_less():
    how = "resampled splits, difference"
    corrected, _ = simulation.coverage(RESAMPLED[f"{how}, corrected"], 500, seed=1)
    naive, _ = simulation.coverage(RESAMPLED[f"{how}, as if independent"], 500, seed=1)
    assert corrected > 0.85 and naive < 0.75


def test_the_simulated_interval_is_that_of_the_table():
    records = [
        simulation.record(5 * x + y, r, x=x, y=y) for x in range(2) for y in range(3) for r in range(4)
    ]
    scores = np.random.default_rng(0).normal(size=(1, len(records)))
    low, high, _ = simulation.of_axis(records, "x", scores, 0.0)
    told = [{**one, "metrics": {simulation.METRIC: score}} for one, score in zip(records, scores[0])]
    row = compare(told, "x").iloc[0]
    assert (row["difference low"], row["difference high"]) == pytest.approx((low[0], high[0]))
