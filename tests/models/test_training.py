"""Trainings: what a step is, when one stops, what it leaves, and that it goes on to the last bit."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest
from interrupted import Dying, Killed, noisy, weights

import neurofit as nf
from neurofit.errors import DataError, NeurofitError
from neurofit.models.ready_made import PLAIN_SCORES

pytestmark = pytest.mark.slow
Fit, Training = nf.models.Fit, nf.models.Training


def plain(shapes):
    import keras

    from neurofit.models.layers import Dense

    return keras.Sequential([keras.Input(shapes.image), Dense(shapes.neurons, activation="softplus")])


SPLIT = {"validation": 10}


@pytest.fixture
def fit(small):
    return Fit(noisy, data=small, split=SPLIT, training=Training(epochs=6, batch_size=16, learning_rate=1e-2))


def test_a_task_leaves_its_files_and_named_metrics(fit, desk):
    metrics = desk.run(fit)
    names = {path.name for path in desk.last.folder.iterdir()}
    assert {
        "weights.weights.h5",
        "recipe.json",
        "normalisation.json",
        "predictions.npz",
        "neurons.csv",
    } <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    told = {f"{part}/{score}" for part in ("train", "validation", "test") for score in PLAIN_SCORES}
    assert told | {f"test/{score}" for score in fit.scores} == set(metrics)
    assert all(np.isfinite(value) for value in metrics.values())
    assert desk.facts["neurons_scored"] == 6 and desk.facts["monitored"] == "validation"
    recipe = json.loads((desk.last.folder / "recipe.json").read_text())
    assert recipe["arguments"] == {"units": 4, "dropout": 0.3, "l2": 0.01}
    assert recipe["data"]["images"] == {"train": 60, "validation": 10, "test": 20}


def test_predictions_are_those_of_the_saved_model(fit, desk, small):
    metrics = desk.run(fit)
    model = nf.models.load_folder(desk.last.folder, fit)
    data, test = small(), desk.array("part") == "test"
    rows = [list(data.image_ids).index(one) for one in desk.array("image_id")[test]]
    images = nf.datasets.standardise_like(
        nf.models.saved.normalisation(desk.last.folder), {"image": data.inputs["image"][rows]}
    )
    predictions = np.asarray(model(images["image"]))
    assert np.abs(predictions - desk.array("predictions")[test]).max() < 1e-5
    score = nf.scores.population(nf.scores.correlation, data.responses[rows], predictions).value
    assert score == pytest.approx(metrics["test/correlation"], abs=1e-5)
    with (desk.last.folder / "neurons.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert np.mean([float(row["test/correlation"]) for row in rows]) == pytest.approx(
        metrics["test/correlation"]
    )


def test_the_last_batch_is_a_step_of_its_own_with_its_own_number_of_images(small, keras, close):
    """Two epochs of plain gradient descent over 60 images in batches of 16, by hand."""
    from neurofit.models.data import Arrays
    from neurofit.models.training_loop.loop import orders
    from neurofit.models.training_loop.program import Program

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 3)).astype(np.float32), rng.normal(size=(60, 2)).astype(np.float32)
    model = keras.Sequential([keras.Input((3,)), nf.models.layers.Dense(2)])
    kernel, bias = (np.asarray(one, np.float64) for one in model.get_weights())
    training = Training(loss="gaussian", optimizer="sgd", batch_size=16)
    program = Program(model, training, Arrays({"image": x}, y, None))
    order = orders(5, 0, 2, 60)
    state, cost, _ = program.epochs(program.start(), order, 0.05)
    expected = []
    for epoch in order:
        total = 0.0
        for start in range(0, 60, 16):
            rows = epoch[start : start + 16]
            error = x[rows] @ kernel + bias - y[rows]
            total += (error**2).sum()
            kernel = kernel - 0.05 * 2 * x[rows].T @ error / len(rows)
            bias = bias - 0.05 * 2 * error.sum(axis=0) / len(rows)
        expected.append(total / 60)
    program.install(state.weights, state.other)
    close(model.get_weights()[0], kernel)
    close(model.get_weights()[1], bias)
    close(cost, expected)
    assert int(state.step) == 8


def test_every_epoch_has_an_order_of_its_own_that_depends_on_seed_and_epoch_alone():
    from neurofit.models.training_loop.loop import orders

    all_at_once = orders(7, 0, 5, 100)
    assert np.array_equal(all_at_once[3:], orders(7, 3, 2, 100))
    assert not np.array_equal(all_at_once[0], all_at_once[1])
    assert not np.array_equal(all_at_once[0], orders(8, 0, 1, 100)[0])
    assert (np.sort(all_at_once, axis=1) == np.arange(100)).all()


PATIENT = Training(epochs=14, batch_size=16, learning_rate=3e-2, patience=2, decays=2, decay=0.5)


@pytest.mark.parametrize(("how", "jit"), [("stopped", False), ("killed", False), ("stopped", True)])
def test_a_resumed_training_ends_bit_by_bit_the_same(how, jit, small, desks):
    """With dropout, batch statistics, patience and decays, interrupted again and again."""
    fit = Fit(noisy, data=small, split=SPLIT, training=replace(PATIENT, jit=jit))
    whole, broken = desks("whole"), desks("broken")
    metrics = whole.run(fit)
    assert {row["learning_rate"] for row in whole.history()} > {"0.03"}, "no decay: the test tests too little"
    if how == "stopped":
        for looks in (1, 3) if jit else (0, 1, 2, 3):
            assert broken.run(fit, stop_after=looks) is None
        again = broken.run(fit)
    else:
        often = Fit(noisy, data=small, split=SPLIT, training=replace(PATIENT, checkpoint_minutes=1e-9))
        for epoch in (3, 5, 8):
            with pytest.raises(Killed):
                broken.run(Dying(often, epoch))
        again = broken.run(often)
    assert again == metrics
    assert broken.history() == whole.history()
    assert broken.facts["best_epoch"] == whole.facts["best_epoch"]
    for one, other in zip(weights(whole, fit), weights(broken, fit)):
        assert np.array_equal(one, other)


def test_a_damaged_checkpoint_is_skipped_for_the_one_before(small, desks, fit):
    whole, broken = desks("whole"), desks("broken")
    metrics = whole.run(fit)
    assert broken.run(fit, stop_after=1) is None
    assert broken.run(fit, stop_after=1) is None
    newest, older = broken.last.checkpoints
    (newest / "state.npz").write_bytes((newest / "state.npz").read_bytes()[:-40])
    assert broken.run(fit) == metrics
    assert broken.facts["resumed_from"] == older.name


def test_event_files_continue_at_the_checkpoint(small, desk, tf):
    fit = Fit(noisy, data=small, split=SPLIT, training=Training(epochs=4, checkpoint_minutes=1e-9))
    with pytest.raises(Killed):
        desk.run(Dying(fit, 3))
    desk.run(fit)
    steps = [
        event.step
        for path in sorted(desk.last.folder.glob("events.out.tfevents*"))
        for event in tf.compat.v1.train.summary_iterator(str(path))
        if event.summary.value
    ]
    assert steps == [1, 2, 3, 4]
    assert [row["step"] for row in desk.history()] == ["1", "2", "3", "4"]


def test_how_many_epochs_a_call_has_changes_nothing(small, desks):
    from neurofit.models.training_loop import loop

    found = []
    for seconds in (0.0, 100.0):
        fit = Fit(noisy, data=small, split=SPLIT, training=Training(epochs=12, validate_every=6))
        desk = desks(str(seconds))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "SECONDS_PER_CALL", seconds)
            desk.run(fit)
        found.append(weights(desk, fit))
    assert all(np.array_equal(one, other) for one, other in zip(*found))


def test_patience_keeps_the_best_weights_of_the_validation_set(small, desk):
    fit = Fit(
        noisy, data=small, split=SPLIT, training=replace(PATIENT, epochs=60, decays=0, learning_rate=0.1)
    )
    desk.run(fit)
    losses = {int(row["step"]): float(row["validation/loss"]) for row in desk.history()}
    assert desk.facts["stop_reason"] == "patience"
    assert desk.facts["best_epoch"] == min(losses, key=losses.get) == desk.facts["epochs"] - 2


def test_without_patience_the_last_weights_are_kept(fit, desk):
    desk.run(fit)
    assert (desk.facts["best_epoch"], desk.facts["stop_reason"]) == (6, "epochs")


def test_patience_counts_epochs_and_starts_again_after_a_decay():
    from neurofit.models.training_loop.checkpoint import Progress, Verdict

    training = Training(patience=4, decays=1, decay=0.1, validate_every=2, learning_rate=1.0)
    progress, verdicts = Progress.start(training), []
    for epoch, loss in enumerate((5.0, 4.0, 4.5, 4.0, 4.2, 3.9, 4.0, 4.0, 4.0), start=1):
        progress, verdict = replace(progress, epoch=2 * epoch).after(loss, training, 2)
        verdicts.append(verdict.value)
    assert verdicts == ["better", "better", "wait", "decay", "wait", "better", "wait", "stop", "stop"]
    assert (progress.best_epoch, progress.best_loss, progress.learning_rate) == (12, 3.9, 0.1)
    assert Progress.start(training).after(1.0, training, 1)[1] is Verdict.BETTER


@pytest.mark.parametrize("split", [{"validation": 0}, {"monitor_test": True}])
def test_patience_without_a_validation_set_is_an_error(split, small, desk):
    fit = Fit(noisy, data=small, split=split, training=Training(epochs=2, patience=1))
    with pytest.raises(DataError, match="needs a validation set"):
        desk.run(fit)


def test_a_monitored_test_set_is_allowed_and_flagged(small, desk):
    fit = Fit(noisy, data=small, split={"monitor_test": True}, training=Training(epochs=2))
    metrics = desk.run(fit)
    assert desk.facts["monitored"] == "test" and "monitored_test" in desk.facts
    assert "test/loss" in desk.history()[0] and not any(name.startswith("validation") for name in metrics)


def test_a_loss_that_is_not_a_number_names_the_epoch_and_the_remedy(small, desk):
    def exploding(shapes):
        import keras

        return keras.Sequential(
            [keras.Input(shapes.image), nf.models.layers.Dense(shapes.neurons, activation="exponential")]
        )

    fit = Fit(exploding, data=small, split=SPLIT, training=Training(epochs=50, learning_rate=50.0))
    with pytest.raises(
        NeurofitError, match=r"epoch \d+ \(learning rate 50\).*lower learning_rate, such as 5"
    ):
        desk.run(fit)


def test_one_initializer_for_two_weights_is_reported(small, desk):
    def twins(shapes, *, one=True):
        import keras

        Normal = keras.initializers.RandomNormal
        shared = Normal(stddev=0.1)
        inputs = keras.Input(shapes.image)
        flat = keras.layers.Flatten()(inputs)
        both = [
            keras.layers.Dense(3, name=name, kernel_initializer=shared if one else Normal())(flat)
            for name in ("left", "right")
        ]
        return keras.Model(
            inputs, keras.layers.Dense(shapes.neurons, "softplus")(keras.layers.Concatenate()(both))
        )

    fit = Fit(twins, data=small, split=SPLIT, training=Training(epochs=1))
    desk.run(fit)
    assert "left/kernel and right/kernel have equal initial values" in desk.facts["warnings"][0]
    desk.run(fit, one=False)
    assert "warnings" not in desk.facts


def test_dropout_is_drawn_from_a_stream_of_its_own(keras):
    from neurofit.models.building import NOISE, seed_noise

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dropout(0.5), keras.layers.GaussianNoise(1.0)])

    def states(seed):
        seed_noise(model, seed)
        return [tuple(np.asarray(one.value)) for one in model.non_trainable_variables if one.name == NOISE]

    assert len(set(states(1))) == 2
    assert states(1) != states(2)
    assert states(1) == states(1)


def test_preparing_leaves_tensorflow_unstarted_so_that_a_fork_can_train():
    code = """
        import os, pathlib, sys
        import neurofit as nf
        fit = nf.models.Fit(nf.models.architectures.hsm)
        fit.prepare(pathlib.Path("."))
        from tensorflow.python.eager import context
        assert context._context is None or not context._context._initialized
        assert "neurofit.datasets.simulation" in sys.modules
        if os.fork() == 0:
            import tensorflow as tf
            nf.models.layers.Dense(2)(tf.ones((1, 3)))
            os._exit(0)
        raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))
    """
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120
    )
    assert found.returncode == 0, found.stderr[-2000:]


def test_a_model_that_is_a_class_trains_too(small, desk):
    def classy(shapes, *, told=True):
        import keras

        class Classy(keras.Model):
            def __init__(self):
                super().__init__()
                self.out = nf.models.layers.Dense(shapes.neurons, activation="softplus")

            def build(self, input_shape):
                self.out.build(input_shape)
                self.built = True

            def call(self, images, training=None):
                return self.out(images)

        class Untold(Classy):
            def call(self, images):
                return self.out(images)

        return Classy() if told else Untold()

    fit = Fit(classy, data=small, split=SPLIT, training=Training(epochs=2))
    assert np.isfinite(desk.run(fit)["test/correlation"])
    with pytest.raises(NeurofitError, match=r"Untold\.call has no argument `training`"):
        desk.run(fit, told=False)


def test_missing_and_masked_responses_are_trained_around(small, desk):
    def holes():
        data = small()
        responses = np.array(data.responses)
        responses[::7, 1] = np.nan
        mask = np.ones(responses.shape, bool)
        mask[:30, 2] = False
        return nf.datasets.Dataset("holes", data.inputs, responses, mask=mask, official=data.official)

    metrics = desk.run(Fit(noisy, data=holes, split=SPLIT, training=Training(epochs=3, unit_rates="train")))
    assert all(np.isfinite(value) for value in metrics.values())
    assert np.isnan(desk.array("responses")).any() and not desk.array("mask").all()


def test_repetitions_differ_in_weights_and_order_and_share_the_split(fit, desk):
    first = desk.run(fit, repetition=0)
    ids, kernels = desk.array("image_id"), weights(desk, fit)
    second = desk.run(fit, repetition=1)
    assert np.array_equal(ids, desk.array("image_id"))
    assert first != second and not np.array_equal(kernels[0], weights(desk, fit)[0])
    assert desk.run(fit, repetition=0) == first


def test_folds_validate_on_different_images(fit, desk):
    found = []
    for repetition in range(3):
        desk.run(fit, repetition=repetition, split_by="fold")
        found.append(set(desk.array("image_id")[desk.array("part") == "validation"]))
    assert not (found[0] & found[1] or found[1] & found[2])


def test_initialise_sets_weights_from_the_training_set(small, desk):
    def bias(model, train):
        """Output at the mean rate: softplus⁻¹ of it."""
        kernel, _ = model.layers[-1].get_weights()
        model.layers[-1].set_weights([0 * kernel, np.log(np.expm1(train.responses.mean(axis=0)))])

    fit = Fit(
        plain, data=small, split=SPLIT, initialise=bias, training=Training(epochs=1, learning_rate=1e-9)
    )
    desk.run(fit)
    rows = desk.array("predictions")
    assert np.abs(rows - rows[0]).max() < 1e-3
    data = small().take(np.setdiff1d(np.arange(70), desk.array("image_id")))
    assert rows[0] == pytest.approx(data.responses.mean(axis=0), rel=1e-3)


def test_several_inputs_and_several_readouts(desk, small):
    def joint():
        data = small()
        size = np.arange(90.0)[:, None] / 90
        neurons = data.neurons.assign(recording=["a", "a", "b", "b", "b", "b"], number=[0, 1, 0, 1, 2, 3])
        return nf.datasets.Dataset(
            "joint", {**data.inputs, "pupil": size}, data.responses, neurons=neurons, official=data.official
        )

    def two(shapes):
        import keras

        image, pupil = (keras.Input(shapes.inputs[name], name=name) for name in ("image", "pupil"))
        seen = keras.layers.Concatenate()([keras.layers.Flatten()(image), pupil])
        outputs = [
            keras.layers.Dense(count, "softplus", name=name)(seen) for name, count in shapes.outputs.items()
        ]
        return keras.Model({"image": image, "pupil": pupil}, outputs)

    desk.run(Fit(two, data=joint, split=SPLIT, training=Training(epochs=2)))
    assert desk.array("predictions").shape == (30, 6)
    recipe = json.loads((desk.last.folder / "recipe.json").read_text())
    assert recipe["shapes"] == {"inputs": {"image": [12, 12, 1], "pupil": [1]}, "outputs": {"a": 2, "b": 4}}


@pytest.mark.filterwarnings("error:The structure of `inputs`")
def test_a_model_whose_only_input_has_a_name_gets_it_by_that_name(desk, small):
    def named(shapes):
        import keras

        image = keras.Input(shapes.image, name="image")
        neurons = nf.models.layers.Dense(shapes.neurons, activation="softplus")
        return keras.Model({"image": image}, neurons(image))

    fit = Fit(named, data=small, split=SPLIT, training=Training(epochs=2))
    desk.run(fit)
    predicted = nf.models.saved.predict(fit, desk.last.folder, small(), desk.root)
    assert predicted.values.shape == (small().n_images, 6)


def test_an_architecture_that_fits_no_population_is_an_error(small, desk):
    def wrong(shapes):
        import keras

        return keras.Sequential([keras.Input(shapes.image), nf.models.layers.Dense(3)])

    with pytest.raises(DataError, match=r"expected \(image, neuron\) with 6 neurons"):
        desk.run(Fit(wrong, data=small, split=SPLIT))


def test_constraints_of_weights_hold_after_every_step(small, desk):
    def positive(shapes):
        import keras

        return keras.Sequential(
            [
                keras.Input(shapes.image),
                keras.layers.Flatten(),
                keras.layers.Dense(shapes.neurons, "softplus", kernel_constraint="non_neg"),
            ]
        )

    fit = Fit(positive, data=small, split=SPLIT, training=Training(epochs=2, learning_rate=0.1))
    desk.run(fit)
    assert weights(desk, fit)[0].min() == 0


def test_xla_is_chosen_where_it_was_measured_to_be_faster(small, desks, monkeypatch):
    from neurofit.models.training_loop import program

    def own(shapes):
        import keras

        class Own(keras.layers.Dense):
            """XLA may not know what it does."""

        return keras.Sequential(
            [keras.Input(shapes.image), keras.layers.Flatten(), Own(shapes.neurons, "softplus")]
        )

    def chosen(architecture, **settings):
        desk = desks(f"{architecture.__name__} {settings}")
        desk.run(Fit(architecture, data=small, split=SPLIT, training=Training(**settings)))
        return desk.facts["jit"]

    hsm, what_where = nf.models.architectures.hsm, nf.models.architectures.what_where
    monkeypatch.setattr(program, "LEAST_COMPILED", 9)  # 60 images: 4 steps an epoch
    assert [chosen(hsm, epochs=epochs) for epochs in (2, 3)] == [False, True]
    assert chosen(hsm, epochs=3, jit=False) is False
    assert chosen(hsm, epochs=2, jit=True) is True
    assert chosen(what_where, epochs=3) is False
    assert chosen(own, epochs=3) is False
    assert chosen(hsm, epochs=10, optimizer="lbfgs", validate_every=10) is False


@pytest.mark.parametrize("name", ["hsm", "linear_nonlinear", "what_where"])
@pytest.mark.parametrize("jit", [False, True])
def test_ready_made_architectures_train(name, jit, small, desk):
    architecture = getattr(nf.models.architectures, name)
    arguments = {
        "hsm": {"hidden": 0.5, "l2": 0.1},
        "linear_nonlinear": {"hidden": 0.5},
        "what_where": {"layers": 2},
    }
    fit = Fit(
        architecture, data=small, split=SPLIT, training=Training(epochs=15, learning_rate=1e-2, jit=jit)
    )
    metrics = desk.run(fit, **arguments[name])
    assert np.isfinite(metrics["test/correlation"])
    losses = [float(row["train/penalised_loss"]) for row in desk.history()]
    assert losses[-1] < losses[0]
