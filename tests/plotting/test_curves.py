"""Curves over repetitions, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from neurofit.errors import ShapeError, UsageError
from neurofit.plotting import curves
from neurofit.plotting.curves import History, over_repetitions


def histories(n=10, steps=20, seed=0):
    values = np.random.default_rng(seed).normal(size=(n, steps)).cumsum(axis=1)
    return values, [History(np.arange(1, steps + 1), row, place) for place, row in enumerate(values)]


@pytest.mark.parametrize("percentiles", [curves.MEDIAN, curves.UPPER_QUARTILE])
def test_percentiles_by_step_are_numpys(percentiles):
    values, given = histories()
    curve = over_repetitions(given, "a", percentiles=percentiles)
    np.testing.assert_array_equal(curve.steps, np.arange(1, 21))
    for name, at in zip(("middle", "top", "bottom", "second"), percentiles):
        np.testing.assert_allclose(getattr(curve, name), np.percentile(values, at, axis=0))
    np.testing.assert_allclose(curves.last_steps(curve), np.percentile(values[:, -1], percentiles[:3]))
    assert curve.repetitions == 10 and (curve.count == 10).all()


def test_repetitions_that_stopped_earlier_count_as_far_as_they_came():
    short, long = History([1, 2], [0.1, 0.2]), History([1, 2, 3, 4], [0.3, 0.4, 0.5, 0.6])
    curve = over_repetitions([short, long])
    assert curve.count.tolist() == [2, 2, 1, 1]
    np.testing.assert_allclose(curve.middle, [0.2, 0.3, 0.5, 0.6])
    assert curve.last.tolist() == [0.2, 0.6]


def test_other_steps_are_interpolated_between_ones_own():
    curve = over_repetitions([History([0, 10], [0, 1]), History([0, 5, 10], [0, 0, 0])])
    np.testing.assert_allclose(curve.middle, [0, 0.25, 0.5])


def test_steps_can_be_limited_and_normalised():
    _, given = histories(steps=100)
    curve = over_repetitions(given, limit=(30, 50))
    assert (curve.steps[0], curve.steps[-1], len(curve.steps)) == (30, 50, 21)
    different = [History([10, 20, 40], [1, 2, 4]), History([1, 2, 4], [1, 2, 4])]
    curve = over_repetitions(different, normalise_steps=True)
    np.testing.assert_allclose(curve.steps, [0.25, 0.5, 1])
    np.testing.assert_allclose(curve.top, [1, 2, 4])
    with pytest.raises(UsageError, match="no repetition has a value between steps 200 and 300"):
        over_repetitions(given, limit=(200, 300))


def test_at_most_500_points_with_both_ends_and_50_error_bars():
    _, given = histories(n=2, steps=3501)
    curve = over_repetitions(given)
    assert len(curve.steps) == 500 and (curve.steps[0], curve.steps[-1]) == (1, 3501)
    for n, bars in ((500, 50), (51, 26), (50, 50), (1, 1)):
        assert len(np.arange(n)[curves.error_bar_places(n)]) == bars


def test_an_ensemble_is_weighted_by_neurons_and_paired_by_repetition():
    regions = [
        [History([1, 2], np.array([base, base + 1]) + r, r, neurons) for r in (0, 1)]
        for base, neurons in ((0.0, 103), (10.0, 55), (20.0, 102))
    ]
    regions[1].append(History([1, 2], [0, 0], 2, 55))  # a repetition that the others lack
    found = curves.ensemble(regions)
    expected = (103 * 0 + 55 * 10 + 102 * 20) / 260
    assert [one.repetition for one in found] == [0, 1]
    np.testing.assert_allclose(
        [one.values for one in found], [[expected, expected + 1], [expected + 1, expected + 2]]
    )
    assert found[0].neurons == 260


def test_what_cannot_be_an_ensemble_is_reported():
    with pytest.raises(UsageError, match="did not record the fact 'neurons_scored'"):
        curves.ensemble([[History([1], [0], 0, 3)], [History([1], [0], 0)]])
    with pytest.raises(UsageError, match="no repetition is done in all"):
        curves.ensemble([[History([1], [0], 0, 3)], [History([1], [0], 1, 3)]])
    with pytest.raises(ShapeError, match="expected"):
        History([1, 2], [0])
