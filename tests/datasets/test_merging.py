import numpy as np
import pytest

from neurofit.datasets import Dataset, join, stack
from neurofit.errors import DataError, ShapeError

PIXELS = np.arange(24.0).reshape(6, 2, 2, 1)


@pytest.fixture
def recorded(make):
    """recorded("name", [image numbers], neurons): a recording that was shown these of six images."""

    def build(name: str, shown: list[int], n_neurons: int = 2, **fields):
        responses = 10.0 * np.array(shown)[:, None] + np.arange(n_neurons)
        given = {"inputs": {"image": PIXELS[shown]}, "image_ids": shown, "responses": responses}
        return make(name=name, **{**given, **fields})

    return build


def test_joined_recordings_have_their_neurons_side_by_side_and_images_aligned(recorded):
    both = join([recorded("a", [0, 1, 2]), recorded("b", [2, 0, 4], n_neurons=1)])
    assert both.image_ids.tolist() == [0, 1, 2, 4]
    nan = np.nan
    expected = [[0, 1, 0], [10, 11, nan], [20, 21, 20], [nan, nan, 40]]
    np.testing.assert_array_equal(both.responses, expected)
    np.testing.assert_array_equal(both.inputs["image"], PIXELS[[0, 1, 2, 4]])
    assert both.neurons["recording"].tolist() == ["a", "a", "b"]
    assert both.neurons["number"].tolist() == [0, 1, 0]
    assert both.name == "a+b"
    assert both.mask is None


def test_joined_masks_keep_what_does_not_count(recorded):
    mask = np.array([[True, False], [True, True]])
    both = join([recorded("a", [0, 1], mask=mask), recorded("b", [0, 2])])
    assert both.valid.tolist() == [
        [True, False, True, True],
        [True, True, False, False],
        [False, False, True, True],
    ]


def test_joined_trials_are_filled_up_with_nan(recorded):
    trials = np.ones((2, 3, 2))
    both = join([recorded("a", [0, 1], trials=trials, responses=np.ones((2, 2))), recorded("b", [0, 1])])
    assert both.trials.shape == (2, 3, 4)
    assert np.isnan(both.trials[:, :, 2:]).all()
    assert (both.trials[:, :, :2] == 1).all()


def test_images_that_share_a_group_in_either_recording_share_one_when_joined(recorded):
    both = join([recorded("a", [0, 1, 2], groups=[5, 5, 6]), recorded("b", [2, 3, 1], groups=[7, 7, 8])])
    assert both.image_ids.tolist() == [0, 1, 2, 3]
    assert both.groups[0] == both.groups[1] != both.groups[2] == both.groups[3]


def test_groups_are_joined_by_way_of_other_recordings(recorded):
    chain = [recorded(str(k), [k, k + 1], groups=[0, 0]) for k in range(5)]
    assert len(set(join(chain).groups.tolist())) == 1


def test_an_official_test_set_must_be_the_same_in_all(recorded):
    left = recorded("a", [0, 1], official=["train", "test"])
    assert join([left, recorded("b", [1, 2])]).official.tolist() == ["train", "test", "train"]
    with pytest.raises(DataError, match="b: image '1' is for 'train' here, but not in another recording"):
        join([left, recorded("b", [1, 2], official=["train", "test"])])


def test_one_id_for_two_different_images_cannot_be_joined(recorded):
    with pytest.raises(
        DataError, match=r"b: image '1' differs from the one of that id.*neurofit\.datasets\.stack"
    ):
        join([recorded("a", [0, 1]), recorded("b", [0, 1], inputs={"image": PIXELS[[0, 5]]})])


def test_stacked_recordings_are_block_diagonal_with_zeros_that_do_not_count(recorded):
    both = stack([recorded("a", [0, 1]), recorded("b", [2, 3], n_neurons=1)])
    np.testing.assert_array_equal(both.responses, [[0, 1, 0], [10, 11, 0], [0, 0, 20], [0, 0, 30]])
    np.testing.assert_array_equal(both.mask, [[1, 1, 0], [1, 1, 0], [0, 0, 1], [0, 0, 1]])
    assert both.image_ids.tolist() == ["a/0", "a/1", "b/2", "b/3"]


def test_equal_images_of_stacked_recordings_share_a_group(recorded):
    both = stack([recorded("a", [0, 1], groups=[3, 3]), recorded("b", [0, 2])])
    assert both.groups[0] == both.groups[1] == both.groups[2] != both.groups[3]


def test_stacked_recordings_need_names_of_their_own(recorded):
    with pytest.raises(DataError, match="different names"):
        stack([recorded("a", [0]), recorded("a", [1])])


def test_stacking_with_and_without_an_official_test_set_is_refused(recorded):
    with pytest.raises(DataError, match="Only some of a, b have an official test set"):
        stack([recorded("a", [0, 1], official=["train", "test"]), recorded("b", [1])])


@pytest.mark.parametrize("merge", [join, stack])
def test_images_of_different_sizes_cannot_be_merged(recorded, merge):
    with pytest.raises(ShapeError, match=r"a has inputs \{'image': \(2, 2, 1\)\}, b has .*\(3, 2, 1\)"):
        merge([recorded("a", [0]), recorded("b", [1], inputs={"image": np.zeros((1, 3, 2, 1))})])


@pytest.mark.parametrize("merge", [join, stack])
def test_nothing_cannot_be_merged(merge):
    with pytest.raises(DataError, match="merge needs at least one data set"):
        merge([])


def labelled(name, ids, values):
    images = np.array(ids, float).reshape(-1, 1, 1, 1)
    return Dataset(
        name, {"image": images}, np.arange(len(ids))[:, None], image_ids=ids, labels={"object": values}
    )


def test_labels_that_all_recordings_have_are_kept():
    one, two = labelled("one", [0, 1], ["a", "b"]), labelled("two", [1, 2], ["b", "c"])
    assert join([one, two]).label("object").tolist() == ["a", "b", "c"]
    assert stack([one, two]).label("object").tolist() == ["a", "b", "b", "c"]
    without = Dataset("none", {"image": np.full((1, 1, 1, 1), 7.0)}, [[1.0]], image_ids=[7])
    assert join([one, without]).labels == stack([one, without]).labels == {}
    with pytest.raises(DataError, match="two: image '1' has the label object 'x' here, but 'b' in another"):
        join([one, labelled("two", [1], ["x"])])
