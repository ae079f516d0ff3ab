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
