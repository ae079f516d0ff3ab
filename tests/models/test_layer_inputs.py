"""A network that is trained on a layer's activations, and what it predicts for hidden images."""

from __future__ import annotations

import numpy as np
import pytest

import neurofit as nf
from neurofit import datasets, features
from neurofit.errors import DataError, ShapeError
from neurofit.models.ready_made import ComputesInputs
from neurofit.study import Study


@pytest.mark.slow
def test_a_network_on_activations_predicts_hidden_images(desk):
    """Its features are those of a network in a file of the study."""
    import keras

    study = Study(desk.root)
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [keras.Input((None, None, 3)), keras.layers.Conv2D(4, 5, 4, "same", activation="relu", name="maps")]
    )
    network.save(study.root / "small.keras")
    options = datasets.ExampleOptions(images=64, size=40, neurons=3, ceiling=1.0, layer="layer1")
    datasets.make_example("majaj_2015", study.data / "majaj_2015", options)
    fit = nf.models.Fit(
        nf.models.architectures.pooled_cnn,
        data=features.activations,
        split={"validation": 8},
        scores=("explained_variance", "correlation"),
        training=nf.models.Training(epochs=2, loss="mean_squared", learning_rate=1e-2),
    )
    assert isinstance(fit.data, ComputesInputs)
    fit.prepare(study.root)  # must not start TensorFlow, and there is no ResNet50 to read
    how = {"network": "small.keras", "weights": "saved", "layer": "maps", "pixels": "torch", "sizes": [1, 1]}
    desk.run(fit, **how)
    assert "IT_data.h5" in str(desk.facts["inputs"])
    folder, rows = desk.last.folder, desk.array("part") == "test"

    found = fit.predict(folder, "majaj_2015/val", study.root)
    order = [desk.array("image_id")[rows].tolist().index(one) for one in found.image_id]
    np.testing.assert_allclose(found.values, desk.array("predictions")[rows][order], atol=1e-5)
    hidden = datasets.load_stimuli("majaj_2015/test", study.data)
    assert fit.predict(folder, hidden, study.root).values.shape == (hidden.n_images, 3)
    images = hidden.read(slice(None))  # an array of this size is taken as the training images were declared
    np.testing.assert_allclose(
        fit.loaded(folder, study.root).predict(images), fit.predict(folder, hidden, study.root).values
    )
    with pytest.raises(DataError, match=r"the images given: images .*, declared as rgb 0…1.*: values are"):
        fit.predict(folder, images / 7 - 300.0, study.root)
    with pytest.raises(
        ShapeError, match=r"takes activations, \(image, 10, 10, 4\).*as a stimulus set, or its name"
    ):
        fit.predict(folder, images[:, 1:], study.root)
    with pytest.raises(ShapeError, match=r"'image' of the data set is \(8, 5, 5, 4\)"):
        small = hidden.sized(20, 20, resize=True)
        fit.predict(folder, small, study.root)
