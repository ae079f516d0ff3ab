import json

import numpy as np
import pytest

from neurofit.datasets import Dataset, Split, split, standardise, standardise_like
from neurofit.datasets.splits import Parts
from neurofit.errors import DataError


@pytest.fixture
def parts(make) -> Parts:
    return split(make(n_images=60), Split(validation=0.2, test=0.2), 0)


def test_global_uses_one_mean_and_std_of_all_training_pixels(parts):
    scaled, record = standardise(parts, inputs="global")
    train = parts.train.inputs["image"].astype(float)
    image, untouched = {"mean": train.mean(), "std": train.std()}, {"mean": 0.0, "std": 1.0}
    assert record["parts"] == {
        "train": {"inputs": {"image": image}, "responses": untouched, "seen": {"image": image}}
    }
    expected = (parts.test.inputs["image"] - train.mean()) / train.std()
    np.testing.assert_allclose(scaled.test.inputs["image"], expected, rtol=1e-5)


def test_each_parts_own_statistics_are_the_thesis_way(parts):
    scaled, record = standardise(parts, inputs="global", statistics="own")
    assert set(record["parts"]) == {"train", "validation", "test"}
    for _, part in scaled.items():
        np.testing.assert_allclose(
            [part.inputs["image"].mean(), part.inputs["image"].std()], [0, 1], atol=1e-6
        )


def test_pixel_scales_each_pixel_and_leaves_constant_ones_at_zero(make):
    images = np.random.default_rng(0).normal(3, 5, (40, 4, 5, 1))
    images[:, 0, 0] = 7
    scaled, _ = standardise(split(make(n_images=40, inputs={"image": images}), Split(), 0), inputs="pixel")
    std = scaled.train.inputs["image"].std(axis=0)
    assert std[0, 0, 0] == 0
    np.testing.assert_allclose(np.delete(std.ravel(), 0), 1, rtol=1e-5)
    assert (scaled.test.inputs["image"][:, 0, 0] == 0).all()


@pytest.mark.parametrize(("way", "factor"), [("none", 1.0), ("times_mil", 1e6)])
def test_fixed_ways_multiply(parts, way, factor):
    scaled, _ = standardise(parts, inputs=way)
    np.testing.assert_allclose(scaled.train.inputs["image"], parts.train.inputs["image"] * factor, rtol=1e-6)


def test_std_divides_and_does_not_shift(parts):
    scaled, _ = standardise(parts, inputs="std")
    ratio = scaled.train.inputs["image"] / parts.train.inputs["image"]
    np.testing.assert_allclose(ratio, 1 / parts.train.inputs["image"].std(), rtol=1e-5)


def test_responses_are_divided_by_one_number_together_with_trials(make):
    trials = np.random.default_rng(0).poisson(3.0, (30, 4, 2)).astype(float)
    trials[0, :, 0] = np.nan
    dataset = make(n_images=30, n_neurons=2, responses=trials.mean(axis=1), trials=trials)
    scaled, record = standardise(split(dataset, Split(), 0), responses="std")
    valid = scaled.train.responses[scaled.train.valid]
    np.testing.assert_allclose(valid.std(), 1)
    np.testing.assert_allclose(scaled.train.trials.mean(axis=1)[scaled.train.valid], valid)
    assert record["parts"]["train"]["responses"]["mean"] == 0.0


def test_what_is_missing_stays_missing(make):
    responses = np.ones((30, 2)) * np.arange(30)[:, None]
    responses[3, 1] = np.nan
    scaled, _ = standardise(split(make(n_images=30, responses=responses), Split(), 0), responses="std")
    assert sum(np.isnan(part.responses).sum() for _, part in scaled.items()) == 1


def test_the_record_survives_json_and_scales_other_images_in_the_same_way(parts):
    scaled, record = standardise(parts, inputs="pixel")
    again = standardise_like(json.loads(json.dumps(record)), {"image": parts.test.inputs["image"]})
    np.testing.assert_allclose(again["image"], scaled.test.inputs["image"], rtol=1e-6)
    assert again["image"].dtype == np.float32


def test_validation_may_be_absent_and_the_flag_is_kept(make):
    scaled, _ = standardise(split(make(n_images=30), Split(monitor_test=True), 0))
    assert scaled.validation is None
    assert scaled.monitors_test


def test_images_without_contrast_cannot_be_scaled(make):
    dataset = make(n_images=30, inputs={"image": np.full((30, 4, 5, 1), 9.0)}, groups=range(30))
    with pytest.raises(DataError, match=r"All values of 'image' are equal \(9\)"):
        standardise(split(dataset, Split(), 0))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"inputs": "globl"},
            r"standardise\(inputs='globl'\): expected one of global, .* Did you mean 'global'",
        ),
        ({"responses": "mean"}, r"standardise\(responses='mean'\)"),
        ({"statistics": "all"}, r"standardise\(statistics='all'\): expected one of train, own"),
    ],
)
def test_an_unknown_way_lists_the_known_ones(parts, arguments, message):
    with pytest.raises(DataError, match=message):
        standardise(parts, **arguments)


def test_a_record_without_the_input_says_so(parts):
    _, record = standardise(parts)
    with pytest.raises(DataError, match=r"No statistics for inputs sound\. Inputs with statistics: image"):
        standardise_like(record, {"sound": np.zeros((1, 2))})


def test_several_inputs_are_each_scaled_on_their_own():
    rng = np.random.default_rng(0)
    inputs = {"image": rng.normal(5, 2, (30, 3, 3, 1)), "speed": rng.normal(-1, 9, (30, 2))}
    scaled, _ = standardise(split(Dataset("two", inputs, rng.normal(size=(30, 2))), Split(), 0))
    for array in scaled.train.inputs.values():
        np.testing.assert_allclose([array.mean(), array.std()], [0, 1], atol=1e-5)
