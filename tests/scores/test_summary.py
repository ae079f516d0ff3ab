from functools import partial

import numpy as np
import pytest

from neurofit.errors import DataError, ShapeError
from neurofit.scores import correlation, fraction_of_variance_explained, population, scored

RESPONSES = np.array([[1.0, 5.0, 0.0, 1.0], [2.0, 5.0, 1.0, 3.0], [4.0, 5.0, 0.0, 2.0]])


def test_a_neuron_with_constant_responses_is_not_scored():
    assert scored(RESPONSES).tolist() == [True, False, True, True]


def test_what_is_masked_or_missing_cannot_make_a_neuron_vary():
    mask = np.ones(RESPONSES.shape, bool)
    mask[1, 2] = False
    assert scored(RESPONSES, mask).tolist() == [True, False, False, True]
    gaps = RESPONSES.copy()
    gaps[1:, 0] = np.nan
    assert scored(gaps).tolist() == [False, False, True, True]


def test_the_mean_is_over_the_scored_neurons():
    predictions = RESPONSES.copy()
    predictions[:, 2] = [1, 0, 1]
    summary = population(correlation, RESPONSES, predictions)
    assert summary.value == pytest.approx((1 - 1 + 1) / 3)
    assert (summary.n_scored, summary.n_silent, summary.n_constant_predictions) == (3, 1, 0)
    np.testing.assert_allclose(summary.per_neuron, [1, np.nan, -1, 1])


def test_constant_and_nan_predictions_score_zero_and_are_counted():
    predictions = RESPONSES.copy()
    predictions[:, 2] = 0.3
    predictions[1, 3] = np.nan
    summary = population(correlation, RESPONSES, predictions)
    assert summary.value == pytest.approx(1 / 3)
    assert (summary.n_scored, summary.n_silent, summary.n_constant_predictions) == (3, 1, 2)


def test_who_is_left_out_does_not_depend_on_the_model():
    broken = population(correlation, RESPONSES, np.full(RESPONSES.shape, np.nan))
    assert (broken.value, broken.n_scored, broken.n_silent, broken.n_constant_predictions) == (0.0, 3, 1, 3)


def test_a_constant_prediction_keeps_a_score_that_it_has():
    score = partial(fraction_of_variance_explained, baseline_mean=[2.0, 5.0, 0.5, 2.0])
    summary = population(score, RESPONSES, np.full(RESPONSES.shape, 100.0))
    assert summary.value < -1000
    assert summary.n_constant_predictions == 3


def test_a_population_that_cannot_be_scored_is_an_error():
    with pytest.raises(DataError, match="None of 2 neurons can be scored: each one's responses to these 3 images are"):
        population(correlation, np.ones((3, 2)), np.ones((3, 2)))


def test_shapes_are_checked_before_anything_else():
    with pytest.raises(ShapeError, match=r"responses \(3, 4\) and predictions \(3, 3\)"):
        population(correlation, RESPONSES, RESPONSES[:, :3])
