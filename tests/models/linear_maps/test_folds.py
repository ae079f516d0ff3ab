"""Folds of the training images."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from neurofit.errors import DataError, ShapeError
from neurofit.models.linear_maps import folds_of

LABELS = st.lists(st.integers(0, 6), min_size=6, max_size=80)


@given(LABELS, st.integers(2, 6), st.integers(0, 9))
def test_stratified_folds_have_equal_sizes_and_equal_shares_of_every_label(labels, count, seed):
    labels = np.array(labels)
    folds = folds_of(len(labels), count, rule="stratified", labels=labels, seed=seed)
    for images in (np.ones(len(labels), bool), *(labels == one for one in set(labels.tolist()))):
        sizes = np.bincount(folds[images], minlength=count)
        assert sizes.max() - sizes.min() <= 1


@given(LABELS, st.integers(2, 6), st.integers(0, 9))
def test_grouped_folds_have_all_images_of_a_label_together(labels, count, seed):
    labels = np.array(labels)
    names = set(labels.tolist())
    if len(names) < count:
        with pytest.raises(DataError, match=f"grouped by {len(names)} labels"):
            folds_of(len(labels), count, rule="grouped", labels=labels, seed=seed)
        return
    folds = folds_of(len(labels), count, rule="grouped", labels=labels, seed=seed)
    assert all(len(set(folds[labels == one])) == 1 for one in names)
    assert set(folds) == set(range(count))


def test_folds_depend_on_the_seed_alone():
    labels = np.repeat(np.arange(8), 9)
    for rule in ("stratified", "grouped", "random"):
        first, again, other = (folds_of(72, 4, rule=rule, labels=labels, seed=seed) for seed in (1, 1, 2))
        assert (first == again).all() and (first != other).any()


def test_labels_can_be_names():
    names = np.array(["car", "face", "car", "face"])
    assert sorted(folds_of(4, 2, rule="stratified", labels=names)[names == "car"]) == [0, 1]


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"count": 1}, DataError, r"folds=1 of 6 training images: expected 2 … 6"),
        ({"count": 7}, DataError, r"folds=7 of 6 training images"),
        (
            {"rule": "stratified"},
            DataError,
            "stratified need the labels of the images, such as their objects",
        ),
        ({"rule": "grouped", "labels": [1, 2]}, ShapeError, r"\(2,\) labels for 6 training images"),
        ({"rule": "by object"}, DataError, "expected one of stratified, grouped, random"),
    ],
)
def test_folds_that_cannot_be_are_refused(how, error, message):
    with pytest.raises(error, match=message):
        folds_of(6, **{"count": 2, **how})
