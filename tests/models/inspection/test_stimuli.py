"""Gratings, tuning, most exciting images and units, of models whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from neurofit.errors import DataError, UsageError

pytestmark = pytest.mark.slow
SHAPE = (21, 21, 1)
RECORD = {"parts": {"train": {"inputs": {"image": {"mean": 100.0, "std": 20.0}}}}}


@pytest.fixture(scope="module")
def inspection(keras):
    from neurofit.models import inspection

    return inspection


@pytest.fixture(scope="module")
def gabors(inspection, keras):
    """Two simple cells, relu of a Gabor: 45° with .16 cycles per pixel, and 120° with .08."""
    model = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(2, "relu")])
    y, x = np.mgrid[-10:11, -10:11]
    window = np.exp(-(x**2 + y**2) / (2 * 4**2))[None, :, :, None]
    waves = inspection.gratings(SHAPE, orientation=np.array([45, 120]), frequency=np.array([0.16, 0.08]))
    model.layers[-1].set_weights([(waves * window).reshape(2, -1).T, np.full(2, 1e-3, "float32")])
    return model


def test_a_grating_is_the_cosine_that_its_arguments_say(inspection):
    (image,) = inspection.gratings((4, 6, 1), orientation=30, frequency=0.2, phase=0.5, contrast=0.7)
    y, x = np.mgrid[0:4, 0:6] - np.array([1.5, 2.5])[:, None, None]
    along = x * np.cos(np.pi / 6) + y * np.sin(np.pi / 6)
    np.testing.assert_allclose(
        image[..., 0], 0.7 * np.cos(2 * np.pi * 0.2 * along + 0.5), rtol=1e-5, atol=1e-6
    )
    disc = inspection.gratings(SHAPE, diameter=6, centre=(4, 15))[0, ..., 0]
    distance = np.hypot(*(np.mgrid[0:21, 0:21] - np.array([4, 15])[:, None, None]))
    assert (disc[distance > 3.5] == 0).all() and np.abs(disc[distance < 2.5]).max() > 0.5


def test_contrast_in_units_is_that_of_the_screen(inspection):
    units = inspection.Units.of(RECORD)
    (image,) = inspection.gratings(
        SHAPE, frequency=0.5, contrast=0.5, units=units
    )  # ±1 from column to column
    np.testing.assert_allclose(np.unique(units.to_pixels(image).round(3)), [50, 150])
    assert image.max() == pytest.approx(50 / 20)
    np.testing.assert_allclose(units.fields_to_pixels(np.ones(3)), 1 / 20)
    uncentred = {"parts": {"train": {"inputs": {"image": {"mean": 0.0, "std": 20.0}}}}}
    with pytest.raises(DataError, match="has no grey above 0"):
        inspection.Units.of(uncentred)
    assert inspection.Units.of(uncentred, grey=100).to_model(np.array([100.0])) == 5
    uncentred["parts"]["train"]["seen"] = {"image": {"mean": 110.0, "std": 40.0}}
    units = inspection.Units.of(uncentred)
    assert (units.grey, units.middle, units.typical) == (110, 5.5, 2)
    assert (inspection.Units.of(RECORD).middle, inspection.Units.of(RECORD).typical) == (0, 1)


def test_tuning_finds_what_a_gabor_prefers(inspection, gabors):
    found = inspection.tuning(gabors)
    assert found.preferred_orientation.tolist() == [45, 120]
    assert found.preferred_frequency.tolist() == [0.16, 0.08]
    np.testing.assert_allclose(found.centres, 10, atol=0.1)
    assert (inspection.orientation_selectivity(found.by_orientation, found.orientations) > 0.5).all()
    assert found.by_diameter[0, 0] < 0.5 * found.by_diameter[0, -1]  # a small disc drives it less
    np.testing.assert_allclose(
        found.by_contrast[:, -1] / found.by_contrast[:, -3], 2, rtol=0.02
    )  # linear: 1 to .5
    np.testing.assert_allclose(
        found.modulation, 4 / (1 + np.sqrt(2)), rtol=0.02
    )  # of a half-wave in 8 phases


def test_a_complex_cell_is_not_modulated(inspection, keras):
    class Energy(keras.layers.Layer):
        def call(self, images):
            waves = inspection.gratings(SHAPE, frequency=0.12, phase=np.array([0, np.pi / 2]))
            flat = keras.ops.reshape(images, (-1, 441))
            squares = keras.ops.square(keras.ops.matmul(flat, waves.reshape(2, -1).T))
            return keras.ops.sum(squares, axis=-1, keepdims=True)

    found = inspection.tuning(keras.Sequential([keras.Input(SHAPE), Energy()]))
    assert found.preferred_frequency == 0.12 and found.modulation < 0.05


def test_selectivity_is_one_for_one_orientation_and_zero_for_all(inspection):
    orientations = np.arange(0, 180, 30)
    responses = np.array([[0, 0, 3, 0, 0, 0], [2, 2, 2, 2, 2, 2], [0, 0, 0, 0, 0, 0.0]])
    found = inspection.orientation_selectivity(responses, orientations)
    np.testing.assert_allclose(found[:2], [1, 0], atol=1e-12)
    assert np.isnan(found[2])


def test_the_most_exciting_image_of_a_linear_neuron_is_its_field(inspection, gabors):
    found = inspection.most_exciting_images(gabors, norm=3.0, steps=60, seed=4)
    field = gabors.layers[-1].get_weights()[0].T.reshape(2, *SHAPE)
    best = 3.0 * field / np.sqrt(np.square(field).sum(axis=(1, 2, 3), keepdims=True))
    np.testing.assert_allclose(found.images, best, atol=0.02)
    np.testing.assert_allclose(found.responses, (field * best).sum(axis=(1, 2, 3)), rtol=1e-3)
    again = inspection.most_exciting_images(gabors, norm=3.0, steps=60, seed=4)
    np.testing.assert_array_equal(found.images, again.images)
    np.testing.assert_allclose(found.trace.max(axis=0), found.responses)


def test_budget_and_limits_hold(inspection, gabors):
    found = inspection.most_exciting_images(gabors, norm=5.0, steps=20, blur=1.0, lowest=-0.2, highest=0.3)
    assert np.sqrt(np.square(found.images).sum(axis=(1, 2, 3))).max() <= 5.0001
    assert found.images.min() >= np.float32(-0.2) and found.images.max() <= np.float32(0.3)
    with pytest.raises(UsageError, match="around=0, the mean grey, must lie between"):
        inspection.most_exciting_images(gabors, lowest=0.1)
    with pytest.raises(UsageError, match="norm and steps above 0"):
        inspection.most_exciting_images(gabors, norm=0)


def test_views_are_panels_of_arrays(inspection, gabors):
    for name, kinds in (
        ("receptive-fields", ["maps"]),
        ("exciting-images", ["maps"]),
        ("tuning", ["lines"] * 4),
    ):
        panels = inspection.view(gabors, RECORD, name, neurons=[1])
        assert [panel["kind"] for panel in panels] == kinds
        assert {label.split()[-1] for panel in panels for label in panel["labels"]} == {"1"}
    with pytest.raises(UsageError, match="Did you mean 'tuning'"):
        inspection.view(gabors, RECORD, "tunning")
    with pytest.raises(UsageError, match="has no readouts"):
        inspection.view(gabors, RECORD, "readouts")


def test_the_fit_names_the_views_that_there_are(inspection):
    from neurofit.models.fit import VIEWS

    assert tuple(inspection.VIEWS) == VIEWS


def test_readouts_of_several_recordings_count_through(inspection, keras):
    from neurofit.models.layers import FactorisedReadout

    image = keras.Input((6, 6, 1))
    heads = [FactorisedReadout(count, name=name) for name, count in (("first", 2), ("second", 3))]
    model = keras.Model(image, [head(image) for head in heads])
    panels = inspection.view(model, RECORD, "readouts", neurons=[1, 2, 4])
    assert [(panel["title"], panel["labels"]) for panel in panels[:2]] == [
        ("first: where", ["1"]),
        ("second: where", ["2", "4"]),
    ]
    np.testing.assert_array_equal(panels[1]["maps"], inspection.where_maps(model)["second"][[0, 2]])


def test_a_model_without_known_inputs_is_reported(inspection, keras):
    class Bare(keras.Model):
        def call(self, images, training=None):
            return images

    with pytest.raises(UsageError, match="0 known inputs"):
        inspection.receptive_fields(Bare())
