"""What a trained task shows, from its folder alone."""

from __future__ import annotations

import numpy as np
import pytest

import neurofit as nf
from neurofit.models import architectures

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("architecture", "shown"),
    [
        (architectures.what_where, {"filters": "features_1", "readouts": "neurons: where"}),
        (architectures.hsm, {"filters": "dog"}),
    ],
)
def test_a_fit_shows_its_models(desk, small, architecture, shown):
    fit = nf.models.Fit(architecture, data=small, training=nf.models.Training(epochs=2))
    desk.run(fit, filters=4)
    assert set(shown) < set(fit.views)
    for name, title in shown.items():
        assert fit.view(desk.last.folder, name)[0]["title"] == title
    (panel,) = fit.view(desk.last.folder, "receptive-fields", [1, 5])
    assert panel["labels"] == ["1", "5"] and np.shape(panel["maps"]) == (2, 12, 12, 1)
    tuned = fit.view(desk.last.folder, "tuning", [0])
    units = nf.models.inspection.Units.of(nf.models.saved.normalisation(desk.last.folder))
    grey = nf.models.inspection.gratings((12, 12, 1), contrast=0, units=units)
    silent = nf.models.inspection.respond(fit.load(desk.last.folder), grey)[0, 0]
    assert tuned[-1]["x"][0] == 0 and tuned[-1]["y"][0, 0] == pytest.approx(silent, rel=1e-5)


def bent(shapes):
    """Σ tanh(pixel / 200) · w, whose gradient tells where it is taken."""
    import keras

    return keras.Sequential(
        [
            keras.Input(shapes.image),
            keras.layers.Rescaling(1 / 200),
            keras.layers.Flatten(),
            keras.layers.Activation("tanh"),
            keras.layers.Dense(shapes.neurons),
        ]
    )


def test_pictures_of_a_model_of_raw_pixels_are_around_their_mean_grey(desk, small):
    training = nf.models.Training(epochs=2, loss="gaussian", learning_rate=1e-6)
    fit = nf.models.Fit(bent, data=small, standardise="none", training=training)
    desk.run(fit)
    record, model = nf.models.saved.normalisation(desk.last.folder), fit.load(desk.last.folder)
    seen = record["parts"]["train"]["seen"]["image"]
    assert 100 < seen["mean"] < 150
    grey = np.full((12, 12, 1), seen["mean"], np.float32)
    (panel,) = fit.view(desk.last.folder, "receptive-fields", [1])
    expected = nf.models.inspection.receptive_fields(model, at=grey, neurons=[1]) * seen["std"]
    np.testing.assert_allclose(panel["maps"], expected, rtol=1e-4)
    (panel,) = fit.view(desk.last.folder, "exciting-images", [1])
    assert np.sqrt(np.square(panel["maps"]).sum()) == pytest.approx(12, rel=0.01), (
        "as far from grey as a typical image"
    )
    silent = nf.models.inspection.respond(model, grey[None])[0, 1]
    assert fit.view(desk.last.folder, "tuning", [1])[-1]["y"][0, 0] == pytest.approx(silent, rel=1e-4)
