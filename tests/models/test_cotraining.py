"""Co-training: responses and a label of the images, with weighted losses."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from interrupted import Dying, Killed, weights

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
    fit = fitted(with_gaps, epochs=6, label_weight=0.3, patience=6, checkpoint_minutes=1e-9)
    whole, parted = desks("whole"), desks("parted")
    metrics = whole.run(fit, **SMALL, dropout=0.2)
    assert parted.run(fit, **SMALL, dropout=0.2, stop_after=2) is None
    with pytest.raises(Killed):
        parted.run(Dying(fit, 5), **SMALL, dropout=0.2)
    assert parted.run(fit, **SMALL, dropout=0.2) == metrics
    assert parted.history() == whole.history()
    for one, other in zip(weights(whole, fit), weights(parted, fit)):
        np.testing.assert_array_equal(one, other)


def two_heads(shapes, *, units=6, l2=0.0):
    """As docs/it.md has it, with a penalty; without a label, one output."""
    import keras

    from neurofit.models.regularizers import L2

    image = keras.Input(shapes.image)
    flat = keras.layers.Flatten()(image)
    trunk = keras.layers.Dense(units, "relu", kernel_regularizer=L2(l2), name="trunk")(flat)
    neurons = [keras.layers.Dense(count, name=name)(trunk) for name, count in shapes.outputs.items()]
    if shapes.label is None:
        return keras.Model(image, neurons)
    return keras.Model(
        image, {"neurons": neurons, shapes.label: keras.layers.Dense(shapes.classes, name="classes")(trunk)}
    )


@pytest.mark.slow
def test_a_path_along_a_penalty_trains_the_label_and_resumes_bit_by_bit(desks):
    fit = fitted(architecture=two_heads, path="l2", strengths=(0.01, 1.0), checkpoint_minutes=1e-9)
    whole, killed = desks("whole"), desks("killed")
    metrics = whole.run(fit)
    assert [one["l2"] for one in whole.facts["path"]] == [0.01, 1.0]
    with pytest.raises(Killed):
        killed.run(Dying(fit, 6))
    assert killed.run(fit) == metrics
    np.testing.assert_array_equal(killed.array("predicted_label"), whole.array("predicted_label"))


def two_recordings():
    """Stacked: the images of each recording are its own, all with a category."""
    one = replace(planted(), name="a", neurons=None)
    shifted = {"image": one.inputs["image"] + 0.5}
    return nf.datasets.stack([one, replace(one, name="b", inputs=shifted, neurons=None)])


@pytest.mark.slow
def test_recordings_take_turns_and_share_the_label(desk):
    metrics = desk.run(fitted(two_recordings, architecture=two_heads, epochs=8, turns="recording"))
    assert metrics["test/category_accuracy"] > 0.5
    assert {"test/correlation/a", "test/correlation/b"} <= set(metrics)
    assert len(desk.array("number")) == 8


@pytest.mark.slow
def test_weights_are_taken_over_with_and_without_a_label(desks):
    def start_from(desk, fit):
        (desk.last.folder / "outcome.json").write_text("{}")
        return {"start": str(desk.last.folder), **SMALL}

    alone, both, back = desks("alone"), desks("both"), desks("back")
    alone.run(fitted(label=None), **SMALL)
    both.run(fitted(), **start_from(alone, fitted(label=None)))
    assert both.facts["start"]["left"] == ["classes/kernel", "classes/bias"]
    back.run(fitted(label=None), **start_from(both, fitted()))
    assert back.facts["start"]["left"] == []
    assert len(back.facts["start"]["taken"]) == 6


@pytest.mark.slow
def test_an_ensemble_averages_the_responses_of_co_trained_networks(desk):
    fit, folders = fitted(), []
    for repetition in (0, 1):
        desk.run(fit, repetition=repetition, **SMALL)
        folders.append(desk.last.folder)
    found = fit.ensemble(folders)
    assert found.members == 2
    assert found.predictions.shape == (50, 4)
    assert "test/correlation" in found.metrics


@pytest.mark.parametrize("name", ["klindt", "kindel_cnn", "shallow_cnn", "fine_tuned"])
def test_an_architecture_of_neurofit_without_a_second_output_is_refused_before_a_task_runs(name):
    fit = fitted(architecture={"own": two_heads, "mine": getattr(nf.models.architectures, name)})
    with pytest.raises(
        GridError, match=f"Architecture 'mine' .{name}. predicts responses alone.*co_trained_cnn"
    ):
        fit.check({"architecture": "mine", "standardise": "none"})
    fit.check({"architecture": "own"})


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"rate_factors": {"features_*": 0.1, "neurons/bias": 3.0}},
        {"optimizer": "adamw", "weight_decay": 0.1},
    ],
    ids=["adam", "rate_factors", "weight_decay"],
)
def test_weight_0_trains_as_without_a_label(how, desks):
    one, other = desks("one"), desks("other")
    with_label = one.run(fitted(label_weight=0.0, **how), **SMALL)
    without = other.run(fitted(label=None, **how), **SMALL)
    assert without.items() <= with_label.items()
    np.testing.assert_array_equal(one.array("predictions"), other.array("predictions"))
    shared = ("train/loss", "validation/loss")
    assert [[row[key] for key in shared] for row in one.history()] == [
        [row[key] for key in shared] for row in other.history()
    ]


@pytest.mark.slow
def test_factors_of_the_rate_count_with_a_label(desks):
    """One step of gradient descent: a layer with a factor moves by that share."""
    fit = fitted(epochs=1, batch_size=100, optimizer="sgd", learning_rate=0.01)
    found = {}
    for name, how in {
        "start": {"learning_rate": 1e-12},
        "full": {},
        "slower": {"rate_factors": {"classes": 0.5, "features_*": 0.25}},
    }.items():
        desk = desks(name)
        desk.run(fit, **SMALL, **how)
        found[name] = {one.path: np.asarray(one) for one in fit.load(desk.last.folder).trainable_variables}
    for path, factor in {"classes/kernel": 0.5, "features_1/kernel": 0.25, "neurons/kernel": 1}.items():
        before, full, slower = (found[name][path] for name in ("start", "full", "slower"))
        assert np.abs(full - before).max() > 1e-4
        np.testing.assert_allclose(slower - before, factor * (full - before), atol=1e-6)


@pytest.mark.slow
def test_steps_compiled_by_xla_train_the_label_as_well(desks):
    plain, jitted = desks("plain"), desks("jitted")
    metrics = plain.run(fitted(with_gaps, label_weight=0.3), **SMALL)
    again = jitted.run(fitted(with_gaps, label_weight=0.3, jit=True), **SMALL)
    assert again == pytest.approx(metrics, abs=0.02)
    for one, other in zip(plain.history(), jitted.history()):
        assert float(other["train/category_loss"]) == pytest.approx(
            float(one["train/category_loss"]), rel=1e-3
        )


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
