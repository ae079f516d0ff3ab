"""Co-training: responses and a label of the images, with weighted losses."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from interrupted import weights

import neurofit as nf
from neurofit.errors import DataError, GridError, ShapeError
from neurofit.models.labels import classes_of

Fit, Training = nf.models.Fit, nf.models.Training
KINDS = ("animal", "boat", "car")


def planted(missing=0):
    """The category is the brightest colour; a neuron per colour, and one of noise. Some labels are empty."""
    n_images, random = 120, np.random.default_rng(0)
    kinds = np.arange(n_images) % 3
    images = random.normal(size=(n_images, 8, 8, 3)) + 1.5 * np.eye(3)[kinds][:, None, None]
    responses = np.column_stack([images.mean(axis=(1, 2)), random.normal(size=n_images)])
    names = np.array(KINDS)[kinds].astype("<U8")
    names[:missing] = ""
    return nf.datasets.Dataset("planted", {"image": images}, responses, labels={"category": names})


def with_gaps():
    return planted(missing=9)


def fitted(data=planted, label="category", architecture=None, **changes):
    training = {"epochs": 4, "batch_size": 16, "learning_rate": 3e-3, "loss": "mean_squared"} | changes
    return Fit(
        architecture or nf.models.architectures.co_trained_cnn,
        data=data,
        label=label,
        split={"validation": 20, "test": 30},
        training=Training(**training),
        scores=("correlation",),
    )


SMALL = {"filters": [4], "hidden": 8}


@pytest.mark.slow
def test_a_co_trained_network_predicts_responses_and_categories(desk):
    metrics = desk.run(fitted(with_gaps, epochs=8, label_weight=0.3, patience=8), **SMALL)
    assert metrics["test/category_accuracy"] > 0.6
    assert {"train/category_accuracy", "validation/category_accuracy", "test/correlation"} <= set(metrics)
    folder, wanted, named = desk.last.folder, desk.array("label"), desk.array("predicted_label")
    rows = (desk.array("part") == "test") & (wanted != "")
    assert (named == wanted)[rows].mean() == pytest.approx(metrics["test/category_accuracy"])
    assert set(named) <= set(KINDS)
    assert json.loads((folder / "recipe.json").read_text())["label"] == {
        "name": "category",
        "classes": list(KINDS),
    }
    row = desk.history()[-1]
    assert 0 <= float(row["train/category_accuracy"]) <= 1
    added = float(row["validation/penalised_loss"]) - float(row["validation/loss"])
    assert added == pytest.approx(0.3 * float(row["validation/category_loss"]), rel=1e-3)

    fit, data = fitted(with_gaps), with_gaps()
    assert set(fit.load(folder).output) == {"neurons", "category"}
    found = fit.predict(folder, data, desk.root)
    order = [list(found.image_id).index(one) for one in desk.array("image_id")]
    np.testing.assert_allclose(found.values[order], desk.array("predictions"), atol=1e-4)
    assert fit.view(folder, "filters")


@pytest.mark.slow
def test_a_resumed_co_training_ends_bit_by_bit_the_same(desks):
    fit = fitted(with_gaps, epochs=5, label_weight=0.3, patience=5)
    whole, parted = desks("whole"), desks("parted")
    metrics = whole.run(fit, **SMALL, dropout=0.2)
    assert parted.run(fit, **SMALL, dropout=0.2, stop_after=2) is None
    assert parted.run(fit, **SMALL, dropout=0.2) == metrics
    assert parted.history() == whole.history()
    for one, other in zip(weights(whole, fit), weights(parted, fit)):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_weight_0_trains_as_without_a_label(desks):
    one, other = desks("one"), desks("other")
    with_label = one.run(fitted(label_weight=0.0), **SMALL)
    without = other.run(fitted(label=None), **SMALL)
    assert without.items() <= with_label.items()
    np.testing.assert_array_equal(one.array("predictions"), other.array("predictions"))
    shared = ("train/loss", "validation/loss")
    assert [[row[key] for key in shared] for row in one.history()] == [
        [row[key] for key in shared] for row in other.history()
    ]


def only_neurons(shapes):
    import keras

    image = keras.Input(shapes.image)
    return keras.Model(image, keras.layers.Dense(shapes.neurons)(keras.layers.Flatten()(image)))


def softmax_of_two(shapes):
    import keras

    image = keras.Input(shapes.image)
    flat = keras.layers.Flatten()(image)
    return keras.Model(
        image,
        {"neurons": keras.layers.Dense(shapes.neurons)(flat), "category": keras.layers.Dense(2)(flat)},
    )


@pytest.mark.slow
def test_an_architecture_without_the_named_output_is_an_error(desk):
    with pytest.raises(ShapeError, match=r"only_neurons.. has no named outputs.*'category': .image, class."):
        desk.run(fitted(architecture=only_neurons))
    with pytest.raises(ShapeError, match=r"gives \(None, 2\) for 'category'; expected .* 3 classes"):
        desk.run(fitted(architecture=softmax_of_two))


def parts_of(missing=0, **labels):
    data = planted(missing)
    data = replace(data, labels={**data.labels, **labels})
    return nf.datasets.split(data, nf.datasets.Split(validation=20, test=30), 0)


def test_classes_are_those_of_the_training_set_without_empty_labels():
    parts = parts_of(missing=10)
    classes = classes_of(parts, "category")
    assert classes.names == KINDS
    codes = classes.codes(parts.train)
    assert ((codes == -1) == (parts.train.label("category") == "")).all()
    assert classes.accuracy(np.eye(3)[codes.clip(0)], codes) == 1
    assert classes.accuracy(np.zeros((2, 3)), np.array([-1, -1])) is None


def test_labels_that_cannot_be_trained_on_are_errors():
    with pytest.raises(DataError, match=r"no label 'categry'.*category"):
        classes_of(parts_of(), "categry")
    with pytest.raises(DataError, match="has only 'animal'; expected two classes"):
        classes_of(parts_of(one=np.full(120, "animal")), "one")
    rare = parts_of().test.image_ids[0]
    ids = planted().image_ids
    lonely = np.where(ids == rare, "yeti", np.where(ids % 2, "animal", "boat"))
    with pytest.raises(DataError, match="the test set has 'yeti', which no training image has"):
        classes_of(parts_of(lonely=lonely), "lonely")


def test_settings_without_effect_are_errors_and_ids_stay():
    with pytest.raises(GridError, match=r"label_weight=0\.3 has no effect without a label"):
        fitted(label=None, label_weight=0.3)
    with pytest.raises(GridError, match="no effect without a label"):
        fitted(label=None).check({"label_weight": 0.3})
    with pytest.raises(GridError, match="label='category' and optimizer='lbfgs'"):
        fitted().check({"optimizer": "lbfgs", "batch_size": 16, "learning_rate": 1e-3, "validate_every": 100})
    with pytest.raises(GridError, match="label_weight=-1"):
        Training(label_weight=-1)
    assert "label" not in fitted(label=None).settings()
    assert fitted().settings()["label"] == "category"
