from functools import partial

import numpy as np
import pytest

from neurofit.errors import DataError, ShapeError, UsageError
from neurofit.scores import (
    Aggregation,
    aggregate,
    ceiled_score,
    correlation,
    fraction_of_variance_explained,
    poisson_deviance,
    poisson_log_likelihood,
    population,
    scored,
)

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


def test_undefined_scores_that_count_zero_are_counted():
    predictions = RESPONSES.copy()
    predictions[0, 2] = -1.0
    summary = population(poisson_log_likelihood, RESPONSES, predictions)
    assert (summary.n_scored, summary.n_undefined, summary.n_constant_predictions) == (3, 1, 0)


def test_undefined_scores_cannot_count_zero_if_zero_is_the_best():
    predictions = RESPONSES.copy()
    predictions[0, 2] = -1.0
    with pytest.raises(UsageError, match="1 neurons have no poisson_deviance, of which 0 is the best"):
        population(poisson_deviance, RESPONSES, predictions)
    assert (
        population(poisson_deviance, RESPONSES, predictions, how=Aggregation(undefined="drop")).n_dropped == 1
    )


def test_a_population_that_cannot_be_scored_is_an_error():
    with pytest.raises(
        DataError, match="None of 2 neurons can be scored: each one's responses to these 3 images are"
    ):
        population(correlation, np.ones((3, 2)), np.ones((3, 2)))


def test_shapes_are_checked_before_anything_else():
    with pytest.raises(ShapeError, match=r"responses \(3, 4\) and predictions \(3, 3\)"):
        population(correlation, RESPONSES, RESPONSES[:, :3])


VALUES = np.array([0.1, 0.2, np.nan, 0.9, 0.8])


def test_average_and_undefined_scores_are_reported():
    assert aggregate(VALUES).value == pytest.approx(2.0 / 5)
    assert aggregate(VALUES, how=Aggregation(undefined="drop")).value == pytest.approx(2.0 / 4)
    assert aggregate(VALUES, how=Aggregation(average="median")).value == pytest.approx(0.2)
    found = aggregate(VALUES, how=Aggregation(average="median", undefined="drop"))
    assert (found.value, found.n_scored, found.n_dropped) == (pytest.approx(0.5), 4, 1)


def test_neurons_not_above_the_threshold_are_left_out_and_counted():
    found = aggregate(VALUES, how=Aggregation(threshold=0.15), reliability=[0.15, 0.16, 0.5, 0.5, np.nan])
    assert (found.value, found.n_scored, found.n_unreliable) == (pytest.approx(1.1 / 3), 3, 2)
    np.testing.assert_allclose(found.per_neuron, [np.nan, 0.2, 0, 0.9, np.nan])


def test_recordings_can_have_equal_weight():
    labels = ["a", "a", "a", "a", "b"]
    found = aggregate(VALUES, how=Aggregation(per_recording=True, undefined="drop"), recordings=labels)
    assert found.per_recording == {"a": pytest.approx(0.4), "b": pytest.approx(0.8)}
    assert found.value == pytest.approx(0.6)
    silent = np.array([False, False, False, False, True])
    alone = aggregate(VALUES, how=Aggregation(per_recording=True), recordings=labels, among=silent)
    assert (alone.per_recording, alone.n_silent) == ({"b": pytest.approx(0.8)}, 4)


def test_a_population_takes_the_same_rules():
    predictions = RESPONSES.copy()
    predictions[:, 2] = 0.3  # constant: no correlation
    how = Aggregation(undefined="drop", threshold=0.1)
    found = population(correlation, RESPONSES, predictions, how=how, reliability=[0.0, 1.0, 1.0, 1.0])
    assert (found.value, found.n_scored, found.n_silent) == (pytest.approx(1), 1, 1)
    assert (found.n_unreliable, found.n_dropped, found.n_constant_predictions) == (1, 1, 0)


def test_an_aggregation_that_lacks_something_says_what():
    with pytest.raises(
        UsageError, match=r"Aggregation\(average='meen'\): expected one of mean, median. Did you mean 'mean'"
    ):
        Aggregation(average="meen")
    with pytest.raises(UsageError, match=r"pass reliability=fev\(trials\)"):
        aggregate(VALUES, how=Aggregation(threshold=0.1))
    with pytest.raises(UsageError, match="needs recordings"):
        aggregate(VALUES, how=Aggregation(per_recording=True))
    with pytest.raises(
        ShapeError, match=r"reliability \(2,\) must be \(neuron,\), one value per score \(5,\)"
    ):
        aggregate(VALUES, how=Aggregation(threshold=0.1), reliability=[1, 2])
    with pytest.raises(
        DataError, match="None of 5 neurons is left: 0 silent, 5 not above the threshold 2, 0 without"
    ):
        aggregate(VALUES, how=Aggregation(threshold=2), reliability=VALUES)


def test_brain_scores_ceiled_score_is_the_squared_median_over_the_unsquared_consistency():
    assert ceiled_score([0.2, 0.4, 0.6, np.nan], [0.5, np.nan, 0.7]) == pytest.approx(0.16 / 0.6)
    assert np.isnan(ceiled_score([0.2], [-0.1]))
    assert np.isnan(ceiled_score([np.nan], [0.5]))
    assert ceiled_score([-0.4, -0.2, -0.3], [0.5, 0.6, 0.7]) == 0  # not the square of a negative correlation
