import numpy as np
import pytest
from scipy import stats

from neurofit.errors import DataError, ShapeError
from neurofit.scores import dissimilarities, linear_cka, representational_similarity


@pytest.fixture
def responses():
    """(image, unit) = (25, 12)."""
    return np.random.default_rng(0).gamma(2.0, 1.0, (25, 12))


def test_dissimilarities_are_one_less_correlation(responses):
    np.testing.assert_allclose(dissimilarities(responses), 1 - np.corrcoef(responses), atol=1e-12)
    assert (np.diag(dissimilarities(responses)) == 0).all()


def test_an_image_to_which_all_respond_equally_has_none(responses):
    responses[4] = 1.0
    found = dissimilarities(responses)
    assert np.isnan(found[4]).all()
    assert np.isfinite(np.delete(np.delete(found, 4, 0), 4, 1)).all()
    assert np.isfinite(representational_similarity(responses, responses))


def test_representational_similarity_is_scipys_spearman_over_pairs(responses):
    other = np.round(responses[:, :5] + np.random.default_rng(1).normal(0, 1, (25, 5)))  # with ties
    upper = np.triu_indices(25, 1)
    pairs = [(1 - np.corrcoef(values))[upper] for values in (responses, other)]
    assert representational_similarity(responses, other) == pytest.approx(
        stats.spearmanr(*pairs).statistic, abs=0.01
    )
    assert representational_similarity(responses, 3 * responses + 1) == pytest.approx(1)


def test_cka_is_one_for_rotated_and_scaled_copies(responses):
    rotation = np.linalg.qr(np.random.default_rng(1).normal(0, 1, (12, 12)))[0]
    assert linear_cka(responses, 3 * responses @ rotation + 5) == pytest.approx(1)


def test_cka_is_the_sum_over_four_different_images(responses):
    # HSIC by its definition as a U statistic: kernels h of every four different images.
    other = responses[:8, :3] ** 2
    few = responses[:8]

    def hsic(x, y):
        k, l = x @ x.T, y @ y.T  # noqa: E741
        n = len(k)
        total, count = 0.0, 0
        for i in range(n):
            for j in set(range(n)) - {i}:
                for q in set(range(n)) - {i, j}:
                    for r in set(range(n)) - {i, j, q}:
                        total += k[i, j] * (l[i, j] + l[q, r] - 2 * l[i, q])
                        count += 1
        return total / count

    expected = hsic(few, other) / np.sqrt(hsic(few, few) * hsic(other, other))
    assert linear_cka(few, other) == pytest.approx(expected)


def test_cka_of_unrelated_populations_is_zero_on_average_with_more_units_than_images():
    rng = np.random.default_rng(0)
    found = [linear_cka(*rng.normal(0, 1, (2, 20, 100))) for _ in range(200)]
    assert abs(np.mean(found)) < 0.02


def test_similarity_is_undefined_if_nothing_varies(responses):
    assert np.isnan(linear_cka(responses, np.ones((25, 3))))
    assert np.isnan(representational_similarity(responses[:2], responses[:2]))


@pytest.mark.parametrize("score", [representational_similarity, linear_cka])
def test_bad_input_is_named(score, responses):
    with pytest.raises(ShapeError, match="25 and 24 images"):
        score(responses, responses[1:])
    with pytest.raises(ShapeError, match=r"responses \(12,\) must be \(image, unit\)"):
        score(responses[0], responses[0])
    with pytest.raises(DataError, match="NaN or infinite"):
        score(responses, np.full((25, 2), np.nan))


def test_cka_of_three_images_is_an_error(responses):
    with pytest.raises(DataError, match="at least four images; there are 3"):
        linear_cka(responses[:3], responses[:3])


def test_ties_are_ties_whatever_the_scale():
    """Six units with few values: many dissimilarities are equal, and rounding must not rank them."""
    rng = np.random.default_rng(7)
    one, other = rng.integers(0, 3, (20, 6)).astype(float), rng.integers(0, 3, (20, 6)).astype(float)
    expected = representational_similarity(one, other)
    upper = np.triu_indices(20, 1)
    pairs = [np.round(dissimilarities(values)[upper], 9) for values in (one, other)]
    defined = np.isfinite(pairs[0]) & np.isfinite(pairs[1])
    assert expected == pytest.approx(stats.spearmanr(*(pair[defined] for pair in pairs)).statistic, abs=1e-12)
    for scale, offset in ((3, 0), (0.1, 0), (7, 1 / 3), (1e6, 0)):
        assert representational_similarity(scale * one + offset, other) == pytest.approx(expected, abs=1e-12)
