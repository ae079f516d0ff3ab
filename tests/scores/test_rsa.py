"""Similarity of representations against rsatoolbox, published formulas, and what must change nothing."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import io

from neurofit.errors import DataError, ShapeError
from neurofit.scores import (
    cka_of_products,
    dissimilarities,
    dissimilarities_of_products,
    linear_cka,
    rdm_ceiling,
    rdm_similarity,
    representational_similarity,
)


def populations(seed, images=20, units=(50, 7)):
    random = np.random.default_rng(seed)
    return [random.gamma(2.0, 1.0, (images, n)) for n in units]


@pytest.fixture(scope="module")
def subjects():
    """RDMs of five subjects that share a part: (subject, image, image)."""
    random = np.random.default_rng(3)
    shared = random.normal(size=(15, 8))
    return np.stack([dissimilarities(shared + random.normal(size=(15, 8))) for _ in range(5)])


def as_rsatoolbox(rdms):
    rsatoolbox = pytest.importorskip("rsatoolbox")
    upper = np.triu_indices(rdms.shape[-1], 1)
    return rsatoolbox.rdm.RDMs(rdms[:, upper[0], upper[1]])


@pytest.mark.parametrize("units", [(500, 7), (5, 3)])
def test_dissimilarities_and_their_similarity_are_those_of_rsatoolbox(units):
    rsatoolbox = pytest.importorskip("rsatoolbox")
    one, other = populations(0, 30, units)
    theirs = [
        rsatoolbox.rdm.calc_rdm(rsatoolbox.data.Dataset(values), method="correlation")
        for values in (one, other)
    ]
    for values, rdm in zip((one, other), theirs):
        np.testing.assert_allclose(dissimilarities(values), rdm.get_matrices()[0], rtol=0, atol=1e-6)
    expected = rsatoolbox.rdm.compare(*theirs, method="spearman").item()
    assert representational_similarity(one, other) == pytest.approx(expected, abs=1e-6)
    assert rdm_similarity(*(rdm.get_matrices()[0] for rdm in theirs)) == pytest.approx(expected, abs=1e-6)


def test_the_ceiling_is_that_of_rsatoolbox(subjects):
    rsatoolbox = pytest.importorskip("rsatoolbox")
    expected = rsatoolbox.inference.boot_noise_ceiling(as_rsatoolbox(subjects), method="spearman")
    assert rdm_ceiling(subjects) == pytest.approx(expected, abs=1e-6)


def test_no_matrix_is_more_similar_to_the_subjects_than_the_upper_ceiling(subjects):
    lower, upper = rdm_ceiling(subjects)
    assert lower < upper
    for other in [*subjects, subjects.mean(axis=0)]:
        assert np.mean([rdm_similarity(one, other) for one in subjects]) <= upper + 1e-12


def test_equal_subjects_have_ceilings_of_one(subjects):
    assert rdm_ceiling(subjects[[0, 0, 0]]) == pytest.approx((1, 1))


def test_the_ceiling_ignores_the_scale_of_each_subject_and_pairs_that_one_has_not(subjects):
    expected = rdm_ceiling(subjects)
    assert rdm_ceiling(subjects * np.array([1e-15, 1, 7, 1e6, 2])[:, None, None]) == pytest.approx(expected)
    cut = subjects.copy()
    cut[1, 4] = cut[1, :, 4] = np.nan
    kept = np.delete(np.arange(15), 4)
    assert rdm_ceiling(cut) == pytest.approx(rdm_ceiling(subjects[:, kept][:, :, kept]))


def test_a_ceiling_needs_symmetric_matrices_of_two_subjects(subjects):
    with pytest.raises(DataError, match="at least two subjects; there are 1"):
        rdm_ceiling(subjects[:1])
    with pytest.raises(ShapeError, match=r"dissimilarities \(105,\) must be a symmetric matrix.*squareform"):
        rdm_similarity(subjects[0][np.triu_indices(15, 1)], subjects[1])
    with pytest.raises(ShapeError, match="15 and 14 images"):
        rdm_similarity(subjects[0], subjects[1][:14, :14])
    with pytest.raises(ShapeError, match="must be a symmetric matrix"):
        rdm_similarity(subjects[0], np.triu(subjects[1]))


def test_human_it_of_92_images_has_its_measured_ceiling(shared):
    file = shared / "data" / "rdm92" / "92_brainRDMs.mat"
    if not file.exists():
        pytest.skip(f"{file} is not there")
    read = io.loadmat(file, squeeze_me=True)["RDMs"]
    human = np.array([[session["RDM"] for session in subject] for subject in read]).mean(axis=1)
    assert human.shape == (4, 92, 92)
    assert rdm_ceiling(human) == pytest.approx((0.3723, 0.6657), abs=0.0001)  # as rsatoolbox has it
    # Pearson correlations with means of ranks, which no Spearman correlation reaches, are .377 and .672.


def hsic_1(k, l):  # noqa: E741
    """Equation 4 of L. Song et al. (2012): [tr K̃L̃ + 1ᵀK̃1 1ᵀL̃1 / (m−1)(m−2) − 2/(m−2) 1ᵀK̃L̃1] / m(m−3)."""
    m, ones = len(k), np.ones(len(k))
    k, l = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))  # noqa: E741
    middle = (ones @ k @ ones) * (ones @ l @ ones) / ((m - 1) * (m - 2))
    return (np.trace(k @ l) + middle - 2 / (m - 2) * (ones @ k @ l @ ones)) / (m * (m - 3))


@pytest.mark.parametrize("units", [(500, 700), (5, 3)])
def test_unbiased_cka_is_its_published_formula(units):
    one, other = populations(1, 25, units)
    other[:, :3] += one[:, :3]
    k, l = one @ one.T, other @ other.T  # noqa: E741
    expected = hsic_1(k, l) / np.sqrt(hsic_1(k, k) * hsic_1(l, l))
    assert linear_cka(one, other) == pytest.approx(expected, rel=1e-9)
    assert cka_of_products(k, l) == pytest.approx(expected, rel=1e-9)


def test_products_give_the_dissimilarities_of_their_responses():
    responses = populations(2)[0] + 3
    responses[4] = 1.0
    found = dissimilarities_of_products(responses @ responses.T, responses.sum(axis=1), 50)
    np.testing.assert_allclose(found, dissimilarities(responses), atol=1e-12)
    with pytest.raises(ShapeError, match=r"products \(20, 20\) for 19 images"):
        dissimilarities_of_products(responses @ responses.T, np.ones(19), 50)


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100), st.floats(-5, 5))
def test_neither_order_nor_scale_nor_offset_of_all_units_changes_a_similarity(seed, scale, offset):
    one, other = populations(seed, 12)
    moved = scale * one[:, np.random.default_rng(seed).permutation(50)] + offset
    assert representational_similarity(moved, other) == pytest.approx(
        representational_similarity(one, other), abs=1e-9
    )
    assert linear_cka(moved, other) == pytest.approx(linear_cka(one, other), abs=1e-9)


@given(st.integers(0, 2**32 - 1))
def test_rotations_and_constant_units_change_no_cka(seed):
    one, other = populations(seed, 12)
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(50, 50)))[0]
    moved = np.concatenate([one @ rotation, np.full((12, 9), 4.0)], axis=1)
    assert linear_cka(moved, other) == pytest.approx(linear_cka(one, other), abs=1e-9)


@given(st.integers(0, 2**32 - 1))
def test_the_order_of_images_changes_no_similarity_if_it_is_the_same_for_both(seed):
    one, other = populations(seed, 12)
    order = np.random.default_rng(seed).permutation(12)
    assert representational_similarity(one[order], other[order]) == pytest.approx(
        representational_similarity(one, other), abs=1e-9
    )
    assert linear_cka(one[order], other[order]) == pytest.approx(linear_cka(one, other), abs=1e-9)
