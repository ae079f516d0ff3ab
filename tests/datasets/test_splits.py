from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from neurofit.datasets import Dataset, Split, split
from neurofit.errors import DataError

GREEDY = (  # validation and test images of seeds 0 to 11 under the rule that 0.1.0 had
    [(38, 52), (38, 64), (39, 53), (38, 52), (39, 52), (38, 52)]
    + [(38, 52), (39, 52), (38, 52), (39, 55), (38, 52), (38, 52)]
)


def grouped(groups, **fields) -> Dataset:
    count = len(groups)
    images = np.arange(count, dtype=float).reshape(count, 1, 1, 1)
    return Dataset(
        "toy", {"image": images}, np.arange(count, dtype=float)[:, None] + 1, groups=groups, **fields
    )


def sizes(parts) -> dict[str, int]:
    return {name: part.n_images for name, part in parts.items()}


some_groups = st.lists(st.integers(0, 30), min_size=40, max_size=120)


@settings(max_examples=60, deadline=None)
@given(groups=some_groups, seed=st.integers(0, 2**31 - 1))
def test_parts_hold_every_image_once_and_divide_no_group(groups, seed):
    try:
        parts = split(grouped(groups), Split(validation=0.2, test=0.2), seed)
    except DataError as error:
        assert "would be empty" in str(error)  # a few large groups can leave nothing for a part
        return
    ids = [part.image_ids.tolist() for _, part in parts.items()]
    assert sorted(chain.from_iterable(ids)) == list(range(len(groups)))
    members = [set(part.groups.tolist()) for _, part in parts.items()]
    assert sum(map(len, members)) == len(set().union(*members))


@settings(max_examples=40, deadline=None)
@given(groups=some_groups, seed=st.integers(0, 2**31 - 1), folds=st.integers(2, 5))
def test_folds_test_every_image_once_and_divide_no_group(groups, seed, folds):
    dataset = grouped(groups)
    try:
        every = [split(dataset, Split(validation=0), seed, fold, folds) for fold in range(folds)]
    except DataError as error:
        assert "would be empty" in str(error)
        return
    assert sorted(chain.from_iterable(parts.test.image_ids for parts in every)) == list(range(len(groups)))
    assert all(not set(parts.test.groups) & set(parts.train.groups) for parts in every)


def test_the_seed_alone_decides():
    dataset = grouped(range(50))
    first, again, other = (split(dataset, Split(), seed).test.image_ids.tolist() for seed in (3, 3, 4))
    assert first == again != other


def test_the_test_set_does_not_depend_on_how_much_is_kept_for_validation():
    dataset = grouped(range(50))
    left, right = (split(dataset, Split(validation=share), 1).test for share in (0.1, 0.3))
    assert left.image_ids.tolist() == right.image_ids.tolist()


def test_images_of_their_own_are_counted_exactly():
    assert sizes(split(grouped(range(270)), Split(train=180, validation=38, test=52), 0)) == {
        "train": 180,
        "validation": 38,
        "test": 52,
    }


def test_train_as_a_share_may_leave_images_unused():
    assert sizes(split(grouped(range(100)), Split(train=0.5, validation=0.1, test=0.2), 0)) == {
        "train": 50,
        "validation": 10,
        "test": 20,
    }


def test_shares_that_sum_to_one_leave_no_image_out():
    assert (
        sum(sizes(split(grouped(range(101)), Split(train=0.7, validation=0.1, test=0.2), 0)).values()) == 101
    )


def test_a_validation_of_zero_gives_none():
    parts = split(grouped(range(20)), Split(validation=0), 0)
    assert parts.validation is None
    assert parts.monitored is None
    assert not parts.monitors_test


def test_the_thesis_way_monitors_the_test_set_and_says_so():
    parts = split(grouped(range(20)), Split(train=0.8, test=0.2, monitor_test=True), 0)
    assert parts.monitors_test
    assert parts.validation is None
    assert parts.monitored is parts.test


def test_otherwise_validation_is_what_is_monitored():
    parts = split(grouped(range(20)), Split(), 0)
    assert parts.monitored is parts.validation


def test_an_official_test_set_stays_the_test_set():
    dataset = grouped(range(50), official=["train"] * 40 + ["test"] * 10)
    parts = split(dataset, Split(train=0.75, validation=0.25), 0)
    assert parts.test.image_ids.tolist() == list(range(40, 50))
    assert sizes(parts) == {"train": 30, "validation": 10, "test": 10}


def test_a_fold_of_a_data_set_with_an_official_test_set_is_its_validation():
    dataset = grouped(range(50), official=["train"] * 40 + ["test"] * 10)
    every = [split(dataset, Split(), 0, fold, 4) for fold in range(4)]
    assert all(parts.test.image_ids.tolist() == list(range(40, 50)) for parts in every)
    assert sorted(chain.from_iterable(parts.validation.image_ids for parts in every)) == list(range(40))


def test_copies_of_official_test_images_are_not_trained_on():
    dataset = grouped([0, 0, *range(1, 9)], official=["test"] + ["train"] * 9)
    parts = split(dataset, Split(validation=0), 0)
    assert parts.train.image_ids.tolist() == list(range(2, 10))


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=4, max_size=14),
    share=st.floats(0.05, 0.95),
    seed=st.integers(0, 2**31),
)
def test_the_exact_rule_comes_as_near_as_any_set_of_groups(sizes, share, seed):
    target = max(1, round(share * sum(sizes)))
    dataset = grouped(np.repeat(range(len(sizes)), sizes))
    possible = {0}
    for size in sizes:
        possible |= {one + size for one in possible}
    nearest = min(abs(one - target) for one in possible)
    try:
        found = split(dataset, Split(validation=0, test=target, rule="exact"), seed).test.n_images
    except DataError as error:
        assert "would be empty" in str(error)  # nothing, or everything, is the nearest
        return
    assert abs(found - target) == nearest


def photographs() -> Dataset:
    """The groups of the macaque recordings: 41 images alone, 7 pairs, 5 threes, 39 fours, one of 17 and one
    of 27.
    """
    return grouped(np.repeat(range(94), [1] * 41 + [2] * 7 + [3] * 5 + [4] * 39 + [17, 27]))


def test_the_exact_rule_meets_the_macaque_protocol_for_every_seed():
    spec = Split(train=180, validation=38, test=52, rule="exact")
    for seed in range(200):
        parts = split(photographs(), spec, seed)
        assert sizes(parts) == {"train": 180, "validation": 38, "test": 52} and parts.overshot == ()


def test_every_group_of_a_size_is_as_likely_to_be_tested_under_the_exact_rule():
    dataset, spec = photographs(), Split(train=180, validation=38, test=52, rule="exact")
    tested = np.concatenate([split(dataset, spec, seed).test.image_ids for seed in range(600)]).astype(int)
    shares = np.bincount(tested, minlength=270)[:41] / 600  # of the images alone
    assert abs(shares - shares.mean()).max() < 4.5 * np.sqrt(shares.mean() * (1 - shares.mean()) / 600)


def test_a_split_without_a_rule_is_what_it_was_and_says_where_it_overshoots():
    spec = Split(train=180, validation=38, test=52)
    every = [split(photographs(), spec, seed) for seed in range(12)]
    assert [(parts.validation.n_images, parts.test.n_images) for parts in every] == GREEDY
    for parts in every:
        missed = [name for name, asked in (("test", 52), ("validation", 38)) if sizes(parts)[name] > asked]
        assert list(parts.overshot) == missed


def test_a_size_that_no_set_of_groups_has_is_not_an_overshoot():
    assert split(grouped(np.repeat(range(5), 10)), Split(validation=0, test=8), 0).overshot == ()


def test_an_unknown_rule_is_refused():
    with pytest.raises(DataError, match=r"Split\(rule='best'\): expected one of 'greedy', 'exact'"):
        Split(rule="best")


def test_folds_are_as_equal_in_size_as_groups_allow():
    dataset = grouped(np.repeat(range(25), 4))
    assert [split(dataset, Split(), 0, fold, 5).test.n_images for fold in range(5)] == [20] * 5


def test_an_empty_part_is_an_error_that_says_why():
    with pytest.raises(
        DataError, match=r"the test part of .* would be empty\. There are 10 images in 1 groups"
    ):
        split(grouped([0] * 10), Split(test=2), 0)


@pytest.mark.parametrize(
    ("amounts", "message"),
    [
        ({"test": 1.5}, r"Split\(test=1.5\): a share is at most 1; a number of images is an int, 1"),
        ({"test": -1}, r"Split\(test=-1\): expected a share"),
        ({"validation": True}, r"Split\(validation=True\): expected a share"),
        ({"validation": None}, r"Split\(validation=None\): expected a share"),
    ],
)
def test_an_amount_that_makes_no_sense_is_refused(amounts, message):
    with pytest.raises(DataError, match=message):
        Split(**amounts)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            Split(train=0.9, validation=0.2, test=0.2),
            r"toy: Split\(train=0.9, .* asks for 26 images together",
        ),
        (Split(test=500), "asks for 503 images together; there are 20"),
        (Split(train=18), "asks for 25 images together; there are 20"),
    ],
)
def test_more_than_there_is_is_refused(spec, message):
    with pytest.raises(DataError, match=message):
        split(grouped(range(20)), spec, 0)


@pytest.mark.parametrize(("fold", "folds"), [(5, 5), (-1, 5), (0, 1)])
def test_a_fold_out_of_range_is_refused(fold, folds):
    with pytest.raises(DataError, match="expected at least 2 folds, and 0 ≤ fold < folds"):
        split(grouped(range(20)), Split(), 0, fold, folds)


def test_a_fold_without_a_number_of_folds_is_refused():
    with pytest.raises(DataError, match="give both or neither"):
        split(grouped(range(20)), Split(), 0, fold=1)


def test_a_split_that_ignores_groups_is_numpys_permutation():
    parts = split(
        grouped(np.arange(270) // 3), Split(train=180, validation=38, test=52, ignore_groups=True), 7
    )
    order = np.random.default_rng(7).permutation(270)
    expected = {"train": order[:180], "validation": order[180:218], "test": order[218:]}
    assert {name: part.image_ids.tolist() for name, part in parts.items()} == {
        name: sorted(images.tolist()) for name, images in expected.items()
    }
    seen = set((np.r_[order[:218]] // 3).tolist())
    assert parts.leaked == sum(image // 3 in seen for image in order[218:])


def test_a_split_by_groups_leaks_nothing():
    assert split(grouped(np.arange(90) // 3), Split(), 0).leaked == 0


def test_a_permutation_has_no_folds_and_no_official_test_set():
    official = np.array(["train", "test"] * 5)
    with pytest.raises(DataError, match="official test set"):
        split(grouped(range(10), official=official), Split(ignore_groups=True), 0)
    with pytest.raises(DataError, match="folds"):
        split(grouped(range(10)), Split(ignore_groups=True), 0, fold=0, folds=5)
