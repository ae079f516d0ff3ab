"""Convolutional networks for colour images: their weights, random changes of images, and what they recover."""

from __future__ import annotations

import numpy as np
import pytest
from interrupted import Dying, Killed, weights

import neurofit as nf
from neurofit.errors import UsageError
from neurofit.models.architectures.images import augmentation

pytestmark = pytest.mark.slow
Fit, Training = nf.models.Fit, nf.models.Training
ALL_CHANGES = {"flip": True, "shift": 0.2, "brightness": 0.5, "contrast": 0.5}


def shapes(size=12, neurons=5):
    from neurofit.models.building import Shapes

    return Shapes({"image": (size, size, 3)}, {"it": neurons})


def seeds(noise=2):
    class Seeds:
        init = 1

    Seeds.noise = noise
    return Seeds


def data(n_images=160, size=12):
    """Responses are the contrast of the left and of the right half in one colour, some of them negative."""
    random = np.random.default_rng(0)
    strength = random.uniform(0, 2, (n_images, 1, 2, 1, 3))
    images = (random.normal(size=(n_images, size, 2, size // 2, 3)) * strength).reshape(
        n_images, size, size, 3
    )
    rates = strength[:, 0, :, 0, :2].reshape(n_images, 4)
    responses = (rates - rates.mean(axis=0)) / rates.std(axis=0)
    return nf.datasets.Dataset("planted", {"image": images}, responses)


def fitted(**changes):
    training = Training(
        **{"epochs": 6, "batch_size": 16, "learning_rate": 3e-3, "loss": "mean_squared"} | changes
    )
    return Fit(
        nf.models.architectures.shallow_cnn, data=data, split={"validation": 24}, training=training,
        scores=("correlation", "explained_variance"),
    )  # fmt: skip


def test_the_networks_have_the_weights_of_their_description():
    from neurofit.models.building import build

    counts = {
        ("shallow_cnn", ()): 3 * 9 * 16 + 16 + 16 * 9 * 32 + 32 + 9 * 32 * 128 + 128 + 128 * 5 + 5,
        ("shallow_cnn", (("filters", (4, 8, 16)), ("size", 5), ("hidden", 10))): 3 * 25 * 4 + 4
        + 4 * 25 * 8 + 8 + 8 * 25 * 16 + 16 + 4 * 16 * 10 + 10 + 55,
        ("pooled_cnn", ()): 3 * 25 * 16 + 16 + 16 * 9 * 32 + 32 + 32 * 128 + 128 + 128 * 5 + 5,
    }  # fmt: skip
    for (name, arguments), count in counts.items():
        function = getattr(nf.models.architectures, name)
        model = build(function, shapes(), dict(arguments), seeds())
        assert model.count_params() == count
        normed = build(function, shapes(), {**dict(arguments), "batch_norm": True}, seeds())
        assert len(normed.trainable_variables) > len(model.trainable_variables)
        assert model(np.zeros((2, 12, 12, 3), np.float32)).numpy().shape == (2, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": 16}, r"filters=16; expected a list"),
        ({"shift": 1.5}, r"shift=1.5: expected a number of at least 0 and less than 1"),
        ({"contrast": -0.1}, "contrast=-0.1"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        nf.models.architectures.shallow_cnn(shapes(), **arguments)
    with pytest.raises(UsageError, match="one size per convolution"):
        nf.models.architectures.pooled_cnn(shapes(), sizes=(5,))


def test_changes_of_images_are_random_and_never_clip_standardised_values(keras):
    from neurofit.models.building import seed_noise

    images = np.random.default_rng(1).normal(size=(40, 8, 8, 3)).astype(np.float32)
    model = keras.Sequential([keras.Input((8, 8, 3)), *augmentation(**ALL_CHANGES)])
    assert np.array_equal(model(images, training=False), images)

    def changed(seed):
        seed_noise(model, seed)
        return np.asarray(model(images, training=True))

    assert np.array_equal(changed(3), changed(3))
    assert not np.array_equal(changed(3), changed(4))
    brightness = keras.Sequential([keras.Input((8, 8, 3)), *augmentation(brightness=0.5)])
    moved = np.asarray(brightness(images, training=True)) - images
    assert np.ptp(moved, axis=(1, 2, 3)).max() < 1e-3, "one number for all pixels of an image, also below 0"
    assert (
        -0.5 <= moved.min() < -0.3
        and 0.3 < moved.max() <= 0.5
        and len(np.unique(moved[:, 0, 0, 0].round(4))) > 30
    )
    contrast = keras.Sequential([keras.Input((8, 8, 3)), *augmentation(contrast=0.5)])
    ratio = np.asarray(contrast(images, training=True)).std(axis=(1, 2)) / images.std(axis=(1, 2))
    assert 0.5 <= ratio.min() < 0.7 and 1.3 < ratio.max() <= 1.5


def test_a_training_with_random_changes_of_images_resumes_bit_by_bit(desks):
    """With a rate that steps, batch statistics and dropout."""
    how = {**ALL_CHANGES, "batch_norm": True, "dropout": 0.2, "filters": [4, 4], "hidden": 8}
    steps = {"decay_every": 2, "decay": 0.1}
    fit, often = fitted(**steps), fitted(**steps, checkpoint_minutes=1e-9)
    whole, broken = desks("whole"), desks("broken")
    metrics = whole.run(fit, **how)
    with pytest.raises(Killed):
        broken.run(Dying(often, 4), **how)
    assert broken.run(often, **how) == metrics
    assert broken.history() == whole.history()
    for one, other in zip(weights(whole, fit), weights(broken, fit)):
        assert np.array_equal(one, other)
    rates = [float(row["learning_rate"]) for row in whole.history()]
    assert rates == pytest.approx([3e-3, 3e-3, 3e-4, 3e-4, 3e-5, 3e-5])


def test_a_planted_response_is_recovered_and_hidden_images_are_predicted_alike(desk):
    fit = fitted(epochs=25)
    metrics = desk.run(fit, filters=[8, 8], hidden=32, flip=False, shift=0.1)
    assert metrics["test/correlation"] > 0.6 and metrics["test/explained_variance"] > 0.3
    rows = desk.array("part") == "test"
    images = data().take(np.flatnonzero(np.isin(data().image_ids, desk.array("image_id")[rows])))
    found = fit.predict(desk.last.folder, images, desk.root)
    order = [list(found.image_id).index(one) for one in desk.array("image_id")[rows]]
    np.testing.assert_allclose(found.values[order], desk.array("predictions")[rows], atol=1e-5)
    assert (found.values < 0).any()


def test_a_rate_that_steps_is_part_of_an_id_only_where_it_is_set():
    assert "decay_every" not in fitted().settings()["training"]
    assert fitted(decay_every=5).settings()["training"]["decay_every"] == 5
