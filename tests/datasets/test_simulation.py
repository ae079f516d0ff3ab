import numpy as np
import pytest

from neurofit.datasets import Split, load, simulate, split
from neurofit.datasets.simulation import firing_rates, receptive_fields
from neurofit.errors import DataError
from neurofit.scores import correlation


@pytest.fixture(scope="module")
def built_in():
    return load("simulated")


def test_the_built_in_data_set_is_this_one_on_every_machine(built_in):
    # If this fails, scores on "simulated" are no longer comparable: restore it, or raise simulation.VERSION.
    assert built_in.hash() == "58ee75830d54"


def test_the_built_in_data_set_is_large_enough_to_learn_from_and_small_enough_to_wait_for(built_in):
    assert built_in.inputs["image"].shape == (1350, 31, 31, 1)
    assert built_in.n_neurons == 48
    parts = split(built_in, Split(validation=0.15), 0)
    assert {name: part.n_images for name, part in parts.items()} == {
        "train": 1020,
        "validation": 180,
        "test": 150,
    }


def test_test_images_have_ten_trials_and_training_images_one(built_in):
    counts = np.isfinite(built_in.trials[:, :, 0]).sum(axis=1)
    assert (counts == np.where(built_in.official == "test", 10, 1)).all()
    np.testing.assert_allclose(built_in.responses, np.nanmean(built_in.trials, axis=1))


def test_rates_are_those_of_cells_and_no_cell_is_silent(built_in):
    rates = built_in.truth["rates"]
    assert 0.8 < rates.mean() < 1.4
    assert rates.min() >= 0.019
    assert (rates.max(axis=0) < 20 * rates.mean(axis=0)).all()
    assert 0.3 < built_in.neurons["reliability"].mean() < 0.7


def test_images_are_like_photographs(built_in):
    images = built_in.inputs["image"][..., 0].astype(float)
    window = np.outer(np.hanning(31), np.hanning(31))
    spectrum = abs(np.fft.fft2((images - images.mean(axis=(1, 2), keepdims=True)) * window, axes=(1, 2))) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(31), np.fft.fftfreq(31)))
    between = (frequency > 0.05) & (frequency < 0.4)
    slope = np.polyfit(np.log(frequency[between]), np.log(np.sqrt(spectrum.mean(axis=0)))[between], 1)[0]
    assert -1.9 < slope < -1.0  # the macaque's photographs: -1.2; noise without edges: -1 exactly
    fields, _, _ = receptive_fields(built_in.truth["parameters"], 31)
    drive = images.reshape(len(images), -1) @ fields.reshape(len(fields), -1).T
    drive = (drive - drive.mean(axis=0)) / drive.std(axis=0)
    assert (drive**4).mean() > 4  # 3 for Gaussian noise: edges make responses sparse
    assert set(np.unique(images)) <= set(range(256))


def test_each_kind_of_cell_is_there_and_the_complex_ones_are_not_linear(built_in):
    cells = built_in.truth["parameters"]
    assert cells["kind"].value_counts().to_dict() == {"simple": 19, "complex": 17, "dog": 12}
    fields, _, _ = receptive_fields(cells, 31)
    linear = built_in.inputs["image"].reshape(1350, -1) @ fields.reshape(48, -1).T
    score = correlation(built_in.truth["rates"], linear)
    is_complex = (cells["kind"] == "complex").to_numpy()
    assert abs(score[is_complex]).mean() < 0.3
    assert score[~is_complex].mean() > 0.6


def test_complex_cells_do_not_care_about_contrast_sign_and_others_do(built_in):
    cells, images = built_in.truth["parameters"], built_in.inputs["image"][:100, :, :, 0]
    rates, inverted = (firing_rates(x, cells, np.ones(48)) for x in (images, 256 - images))
    is_complex = (cells["kind"] == "complex").to_numpy()
    np.testing.assert_allclose(rates[:, is_complex], inverted[:, is_complex], atol=0.01)
    assert (abs(rates - inverted)[:, ~is_complex].max(axis=0) > 1).all()


def test_counts_are_poisson(built_in):
    rates = built_in.truth["rates"][-150:]
    trials = built_in.trials[-150:]
    surprise = (trials.mean(axis=1) - rates) / np.sqrt(rates / 10)
    assert abs(surprise.mean()) < 0.02
    assert 0.95 < surprise.std() < 1.05
    assert trials.var(axis=1, ddof=1).mean() == pytest.approx(rates.mean(), rel=0.03)


def test_the_true_rates_are_nearly_perfect_predictions(built_in):
    test = built_in.take(built_in.official == "test")
    assert correlation(test.responses, test.truth["rates"]).mean() > 0.9


def test_the_seed_decides_and_nothing_else():
    first, again, other = (simulate(n_images=40, n_neurons=5, n_test=8, seed=seed) for seed in (1, 1, 2))
    assert first.hash() == again.hash() != other.hash()


def test_without_a_test_set_every_image_is_repeated():
    dataset = simulate(n_images=20, n_neurons=4, n_trials=3, n_test=0)
    assert dataset.official is None
    assert np.isfinite(dataset.trials).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_images": 100, "n_test": 100}, "no images are left to train on"),
        ({"n_neurons": 0}, "n_neurons is too small, or not a whole number"),
        ({"size": 6}, "size is too small"),
        ({"n_trials": 2.5}, "n_trials is too small, or not a whole number"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        simulate(**arguments)
