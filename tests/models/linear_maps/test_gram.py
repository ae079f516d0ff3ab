"""Inner products from one pass over blocks of units, and the memory that they need."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from neurofit import scores
from neurofit.errors import DataError, ShapeError, UsageError
from neurofit.models.linear_maps import ArrayMatrix, gram_of
from neurofit.models.linear_maps.forecast import LIBRARIES, forecast
from neurofit.process import memory_used


class Watched(ArrayMatrix):
    """An array whose reads are noted."""

    reads: list = []

    def columns(self, start, stop, out=None):
        Watched.reads.append(stop - start)
        return super().columns(start, stop, out)


@pytest.fixture
def features():
    return np.random.default_rng(0).normal(size=(30, 500)) + 4


TRAIN = np.arange(30)[::-1][:20]


@settings(max_examples=10)
@given(st.integers(1, 600))
def test_products_do_not_depend_on_the_size_of_the_blocks(size):
    features = np.random.default_rng(0).normal(size=(30, 500)) + 4
    centred = features - features[TRAIN].mean(axis=0)
    memory = memory_used() / 2**30 + 1 + size / 1e3
    np.testing.assert_allclose(
        gram_of(features, TRAIN, memory_gb=memory).products[0], centred @ centred.T, atol=1e-9
    )


def test_blocks_are_narrow_if_memory_is_short_and_give_the_same_products():
    features = np.random.default_rng(0).normal(size=(400, 3000)).astype(np.float32)
    Watched.reads.clear()
    whole = gram_of(Watched(features))
    assert Watched.reads == [3000]
    Watched.reads.clear()
    least = forecast(400, 3000, memory_gb=1e3)
    room = (LIBRARIES + least.products + max(least.fit, 400 * 16 * 100)) / 2**30
    tight = gram_of(Watched(features), memory_gb=memory_used() / 2**30 + room + 0.004)
    assert len(Watched.reads) > 1 and sum(Watched.reads) == 3000
    np.testing.assert_allclose(tight.products, whole.products, rtol=1e-12, atol=1e-9)


def test_features_are_centred_on_the_training_images_alone(features):
    moved = features.copy()
    moved[np.setdiff1d(np.arange(30), TRAIN)] += 100
    inside = np.ix_([0], TRAIN, TRAIN)
    np.testing.assert_allclose(
        gram_of(moved, TRAIN).products[inside], gram_of(features, TRAIN).products[inside], atol=1e-9
    )


def test_training_images_can_be_rows_or_a_mask(features):
    mask = np.isin(np.arange(30), TRAIN)
    np.testing.assert_allclose(gram_of(features, mask).products, gram_of(features, TRAIN).products, atol=1e-9)
    assert gram_of(features).train.tolist() == list(range(30))


def test_dissimilarities_and_cka_of_a_wide_layer_are_those_of_its_features(features):
    gram = gram_of(features, TRAIN)
    np.testing.assert_allclose(gram.dissimilarities(), scores.dissimilarities(features), atol=1e-10)
    rows = np.array([3, 1, 25, 9, 0])
    np.testing.assert_allclose(gram.dissimilarities(rows), scores.dissimilarities(features[rows]), atol=1e-10)
    other = np.random.default_rng(1).normal(size=(30, 7))
    found = scores.cka_of_products(gram.products[0], gram_of(other).products[0])
    assert found == pytest.approx(scores.linear_cka(features, other), abs=1e-12)


def test_half_of_the_units_can_be_constant(features):
    padded = np.concatenate([features, np.full((30, 500), 7.0)], axis=1)
    np.testing.assert_allclose(gram_of(padded, TRAIN).products, gram_of(features, TRAIN).products, atol=1e-9)


def test_what_does_not_fit_is_refused_with_both_numbers_before_anything_is_read():
    Watched.reads.clear()
    used = memory_used() / 2**30
    with pytest.raises(
        UsageError, match=r"2,000 images needs 0\.\d\d GB of memory.* and 0\.05 GB may be used"
    ) as error:
        gram_of(Watched(np.zeros((2000, 10), np.float32)), memory_gb=used + 0.05)
    assert "memory_gb=" in str(error.value)
    assert not Watched.reads


def test_a_setting_beyond_what_the_host_has_does_not_help():
    with pytest.raises(UsageError, match="but this process can take no more than that"):
        forecast(2_000_000, 10, memory_gb=1e6)
    with pytest.raises(UsageError, match="80% of what this process can still take"):
        forecast(2_000_000, 10)
    with pytest.raises(UsageError, match=re.escape("memory_gb=-1: expected a number of GB > 0")):
        forecast(20, 10, memory_gb=-1)


def test_features_that_are_not_finite_are_named_by_their_units(features):
    features[3, 77] = np.nan
    with pytest.raises(DataError, match="Features of units 0 … 499 are NaN or infinite"):
        gram_of(features)


@pytest.mark.parametrize(
    ("train", "error", "message"),
    [
        ([1], DataError, "1 training images: a map needs at least two"),
        ([1, 1], ShapeError, "expected different row numbers"),
        ([1, 30], ShapeError, r"rows 1 … 30, and there are 30 images"),
        ([0.5, 1.5], ShapeError, "expected different row numbers"),
        (np.ones(29, bool), ShapeError, "expected different row numbers"),
    ],
)
def test_rows_that_are_no_images_are_refused(features, train, error, message):
    with pytest.raises(error, match=message):
        gram_of(features, train)


def test_bands_of_other_images_are_refused(features):
    with pytest.raises(ShapeError, match=r"same images; their shapes are \(30, 500\), \(29, 500\)"):
        gram_of([features, features[1:]])


BOUNDED = """
import re, sys
import numpy as np
from scipy.linalg import blas
from neurofit.models.linear_maps import MapRecipe, fit_map, gram_of
from neurofit.process import memory_used
bound = memory_used() / 2**30 + 0.25
gram = gram_of(sys.argv[1], np.arange(1000), memory_gb=bound, neurons=20)
responses = np.random.default_rng(0).normal(size=(1000, 20))
fit_map(gram, responses, MapRecipe(kind="pca_ridge", components=300, fold_rule="random"))
peak = re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())  # ru_maxrss begins with the parent's
print(bound, int(peak[1]) / 2**20)
"""


@pytest.mark.process
def test_the_memory_of_a_whole_fit_stays_within_its_setting(tmp_path):
    """The layer has 346 MB; the process may take 250 MB beyond its libraries."""
    random, path = np.random.default_rng(0), tmp_path / "layer.npy"
    layer = np.lib.format.open_memmap(path, "w+", np.float32, (1200, 72_000))
    for start in range(0, 1200, 100):
        layer[start : start + 100] = random.random((100, 72_000), np.float32)
    del layer
    settings = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    answer = subprocess.run(
        [sys.executable, "-c", BOUNDED, path], env=settings, capture_output=True, text=True, check=True
    )
    bound, peak = map(float, answer.stdout.split())
    assert peak <= bound
