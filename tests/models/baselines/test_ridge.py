"""Ridge against the normal equations, and the Gaussian kernel against its formula."""

import numpy as np
import pytest

from neurofit.errors import DataError
from neurofit.models.baselines import Block, ridge_path
from neurofit.models.baselines.linear import over_splits

ALPHAS = (0.01, 1.0)


@pytest.fixture
def case():
    rng = np.random.default_rng(1)
    features = rng.normal(3, 2, (20, 6))
    features[:, 4] = 7.0  # constant
    return features, rng.normal(1, 1, (20, 3)), rng.normal(3, 2, (5, 6))


def scaled(values, like, weights, share):
    std = like.std(axis=0)
    weights = np.where(std > 0, weights, 0)
    return (
        (values - like.mean(axis=0))
        / np.where(std > 0, std, 1)
        * weights
        * np.sqrt(share / (weights**2).sum())
    )


def test_linear_ridge_solves_the_normal_equations(case):
    seen, responses, others = case
    path = ridge_path([Block(seen)], responses, ALPHAS)
    z, z_others = scaled(seen, seen, np.ones(6), 1), scaled(others, seen, np.ones(6), 1)
    assert (z**2).sum(axis=1).mean() == pytest.approx(1)
    for alpha, found in zip(ALPHAS, path.predict([Block(others)])):
        weights = np.linalg.solve(z.T @ z + alpha * np.eye(6), z.T @ (responses - responses.mean(axis=0)))
        np.testing.assert_allclose(found, z_others @ weights + responses.mean(axis=0), atol=1e-9)


def test_blocks_have_their_share_and_weights(case):
    seen, responses, others = case
    weights = np.array([1.0, 2.0, 3.0])
    blocks = [[Block(one[:, :3], 3.0, weights), Block(one[:, 3:], 1.0)] for one in (seen, others)]
    path = ridge_path(blocks[0], responses, ALPHAS)
    z, z_others = (
        np.hstack(
            [
                scaled(one[:, :3], seen[:, :3], weights, 0.75),
                scaled(one[:, 3:], seen[:, 3:], np.ones(3), 0.25),
            ]
        )
        for one in (seen, others)
    )
    primal = np.linalg.solve(z.T @ z + np.eye(6), z.T @ (responses - responses.mean(axis=0)))
    np.testing.assert_allclose(
        path.predict(blocks[1])[1], z_others @ primal + responses.mean(axis=0), atol=1e-9
    )


def test_gaussian_kernel_is_the_formula(case):
    seen, responses, others = case
    path = ridge_path([Block(seen)], responses, ALPHAS, kernel="gaussian", length=1.5)
    z, z_others = scaled(seen, seen, np.ones(6), 1), scaled(others, seen, np.ones(6), 1)

    def kernel(left, right):
        return np.array([[np.exp(-((a - b) ** 2).sum() / (2 * 1.5**2)) for b in right] for a in left])

    centre = np.eye(20) - 1 / 20
    dual = np.linalg.solve(centre @ kernel(z, z) @ centre + np.eye(20), responses - responses.mean(axis=0))
    across = (kernel(z_others, z) - kernel(z, z).mean(axis=0)) @ centre
    np.testing.assert_allclose(
        path.predict([Block(others)])[1], across @ dual + responses.mean(axis=0), atol=1e-9
    )


def test_a_power_is_undone_on_what_is_predicted(case):
    seen, responses, others = case
    rates = np.abs(responses)
    plain = ridge_path([Block(seen)], rates**0.5, ALPHAS).predict([Block(others)])
    found = ridge_path([Block(seen)], rates, ALPHAS, power=0.5).predict([Block(others)])
    np.testing.assert_allclose(found, np.maximum(plain, 0) ** 2)
    with pytest.raises(DataError, match=r"power=0\.5 needs"):
        ridge_path([Block(seen)], responses - 5, ALPHAS, power=0.5)


def test_each_neuron_gets_the_alpha_that_was_chosen_for_it(case):
    seen, responses, others = case
    path = ridge_path([Block(seen)], responses, ALPHAS)
    every, one = path.predict([Block(others)]), path.chosen(np.array([1, 0, 1])).predict([Block(others)])
    np.testing.assert_allclose(one[0], np.stack([every[1, :, 0], every[0, :, 1], every[1, :, 2]], axis=1))


def test_missing_responses_and_impossible_alphas_are_refused(case):
    seen, responses, _ = case
    with pytest.raises(DataError, match="alpha must be > 0"):
        ridge_path([Block(seen)], responses, [0.0])
    with pytest.raises(DataError, match="kernel='cubic'"):
        ridge_path([Block(seen)], responses, [1.0], kernel="cubic")
    responses[2, 1] = np.nan
    with pytest.raises(DataError, match="missing"):
        ridge_path([Block(seen)], responses, [1.0])


def test_interval_over_splits_is_students():
    scores = np.array([[0.2, 0.4], [0.5, np.nan], [0.3, 0.5], [np.nan, np.nan]])
    mean, low, high = over_splits(scores)  # of .3, .5 and .4
    half = 4.30265 * 0.1 / np.sqrt(3)  # t for 2 degrees of freedom at 95 %
    assert (mean, low, high) == pytest.approx((0.4, 0.4 - half, 0.4 + half), abs=1e-5)
    assert np.isnan(over_splits(np.full((2, 2), np.nan))[0])
