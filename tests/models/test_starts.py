"""Where a training begins: earlier weights, frozen ones, recordings in turn; and L-BFGS, whose steps are its
own.
"""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import neurofit as nf
from neurofit.errors import DataError, GridError, StoreError, UsageError

pytestmark = pytest.mark.slow
Fit, Training = nf.models.Fit, nf.models.Training
SPLIT = {"validation": 10}


def core_and_readout(shapes, *, units=4):
    import keras

    from neurofit.models.layers import Dense

    return keras.Sequential(
        [
            keras.Input(shapes.image),
            Dense(units, activation="softplus", name="core"),
            Dense(shapes.neurons, activation="softplus", name="neurons"),
        ]
    )


def linear(shapes):
    import keras

    from neurofit.models.layers import Dense

    return keras.Sequential([keras.Input(shapes.image), Dense(shapes.neurons, name="neurons")])


def noisy(shapes):
    import keras

    return keras.Sequential(
        [
            keras.Input(shapes.image),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(shapes.neurons),
        ]
    )


def layers(desk, fit):
    model = nf.models.load_folder(desk.last.folder, fit)
    return {
        layer.name: [np.asarray(one) for one in layer.get_weights()]
        for layer in model.layers
        if layer.weights
    }


def finished(desk):
    """As a worker leaves an attempt whose fit has returned."""
    (desk.last.folder / "outcome.json").write_text("{}")
    return desk.last.folder.relative_to(desk.root)


def test_a_frozen_layer_and_a_frozen_weight_stay_as_they_were(small, desks):
    fit = Fit(core_and_readout, data=small, split=SPLIT, training=Training(epochs=3, learning_rate=0.1))
    started, trained = desks("started"), desks("trained")
    started.run(fit, learning_rate=1e-12, epochs=1)
    trained.run(fit, freeze=["core", "neurons/bias"])
    before, after = layers(started, fit), layers(trained, fit)
    np.testing.assert_allclose(after["core"][0], before["core"][0], atol=1e-7)
    np.testing.assert_array_equal(after["neurons"][1], 0)
    assert np.abs(after["neurons"][0] - before["neurons"][0]).max() > 0.01


def test_a_factor_of_the_rate_makes_a_layers_steps_smaller(small, desks):
    """One step of gradient descent from equal weights; the first name that matches counts."""
    one_step = Training(epochs=1, batch_size=100, optimizer="sgd", learning_rate=0.01)
    fit = Fit(core_and_readout, data=small, split=SPLIT, training=one_step)
    found = {}
    for name, how in {
        "start": {"learning_rate": 1e-12},
        "full": {},
        "slower": {"rate_factors": [["cor*", 0.25], ["*/bias", 0.5], ["core/kernel", 9.0]]},
    }.items():
        desk = desks(name)
        desk.run(fit, **how)
        found[name] = layers(desk, fit)
    for layer, factors in {"core": (0.25, 0.25), "neurons": (1, 0.5)}.items():
        for before, full, slower, factor in zip(*(found[one][layer] for one in found), factors):
            np.testing.assert_allclose(slower - before, factor * (full - before), atol=1e-6)
            assert np.abs(full - before).max() > 1e-4
    with pytest.raises(
        UsageError, match=r"rate_factors, among what is trained: no 'cor'\. Did you mean 'core'"
    ):
        desks("wrong").run(fit, rate_factors={"cor": 0.1})


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["x*"], r"freeze: no 'x\*'"),
        (["*"], "nothing is left to train"),
        (["cor"], r"no 'cor'\. Did you mean 'core'"),
        (["core", "neurons"], "nothing is left to train"),
    ],
)
def test_what_cannot_be_frozen_is_an_error(names, message, small, desk):
    with pytest.raises(UsageError, match=message):
        desk.run(Fit(core_and_readout, data=small, split=SPLIT), freeze=names)


def test_a_core_is_taken_over_for_other_neurons(small, desk):
    fit = Fit(core_and_readout, data=small, split=SPLIT, training=Training(epochs=3, learning_rate=0.05))
    desk.run(fit)
    core, folder = layers(desk, fit)["core"], finished(desk)
    others = Fit(
        core_and_readout,
        data=lambda: small().select_neurons([0, 2, 3]),
        split=SPLIT,
        training=Training(epochs=3, start=str(folder), freeze=("core",)),
    )
    assert desk.run(others) is not None
    after = layers(desk, others)
    for one, other in zip(core, after["core"]):
        np.testing.assert_array_equal(one, other)
    assert after["neurons"][0].shape == (4, 3)
    assert desk.facts["start"]["taken"] == ["core/kernel", "core/bias"]
    assert desk.facts["start"]["left"] == ["neurons/kernel", "neurons/bias"]


def test_a_training_starts_from_a_task_that_was_packed(small, desk):
    from neurofit.models import saved
    from neurofit.store import packing, run_files

    fit = Fit(core_and_readout, data=small, split=SPLIT, training=Training(epochs=3, learning_rate=0.05))
    desk.run(fit)
    core = layers(desk, fit)["core"]
    run = desk.root / "training_data/exp/runs/000-3f9a1c2e"
    shutil.copytree(desk.root / finished(desk), run / "rep-00/attempt-01")
    packing.pack(run_files.survey(run, lambda attempt: True))
    assert {path.name for path in (run / "rep-00/attempt-01").iterdir()} == {"claim.json", "outcome.json"}
    where = "training_data/exp/runs/000-3f9a1c2e/rep-{repetition:02d}"
    assert desk.run(fit, start=where, freeze=["core"]) is not None
    for one, other in zip(core, layers(desk, fit)["core"]):
        np.testing.assert_array_equal(one, other)
    assert desk.facts["start"]["folder"] == str(run / "rep-00/attempt-01")
    packed = run / "rep-00/attempt-01"
    assert nf.models.load_folder(packed, fit).count_params() > 0
    assert saved.recipe(packed)["architecture"] == "core_and_readout"


def test_the_newest_attempt_that_is_done_is_where_a_training_starts(tmp_path):
    from neurofit.models import saved
    from neurofit.models.fitting import warm_start

    for number, state in ((1, "done"), (9, "done"), (10, "done"), (11, "failed"), (12, "stopped")):
        attempt = tmp_path / f"attempt-{number:02d}"
        attempt.mkdir()
        (attempt / saved.WEIGHTS).write_text("")
        (attempt / "outcome.json").write_text(f'{{"state": "{state}"}}')
    assert warm_start._finished(tmp_path, "here").name == "attempt-10"
    assert warm_start._finished(tmp_path / "attempt-01", "here").name == "attempt-01"


def test_a_start_that_is_not_there_is_an_error(small, desk):
    with pytest.raises(StoreError, match="has no trained model of a finished task"):
        desk.run(Fit(core_and_readout, data=small, split=SPLIT), start="training_data/nowhere")


LBFGS = Training(optimizer="lbfgs", loss="gaussian", epochs=400, validate_every=100)


def trained_on(source, fit, desk):
    from neurofit.models import data

    task = SimpleNamespace(study=desk.root, split_by=None, seeds=desk.last.seeds)
    return data.prepared(source, {}, fit.router.data, task).parts.train


def test_lbfgs_finds_the_least_squares_solution_in_float64(small, desk):
    fit = Fit(linear, data=small, split=SPLIT, training=LBFGS)
    desk.run(fit)
    kernel, bias = layers(desk, fit)["neurons"]
    assert kernel.dtype == np.float64
    train = trained_on(small, fit, desk)
    x = np.c_[train.inputs["image"].reshape(train.n_images, -1).astype(float), np.ones(train.n_images)]
    residual = x @ np.r_[kernel, bias[None]] - train.responses
    best = x @ np.linalg.lstsq(x, train.responses, rcond=None)[0] - train.responses
    assert (residual**2).sum() <= (best**2).sum() + 1e-4 * (train.responses**2).sum()


def test_a_resumed_lbfgs_ends_bit_by_bit_the_same(small, desks):
    fit = Fit(
        core_and_readout,
        data=small,
        split=SPLIT,
        training=Training(optimizer="lbfgs", epochs=60, validate_every=10, checkpoint_minutes=1e-9),
    )
    whole, parts = desks("whole"), desks("parts")
    whole.run(fit)
    assert parts.run(fit, stop_after=2) is None
    assert parts.run(fit) is not None
    assert parts.facts["resumed_from"]
    for name, values in layers(whole, fit).items():
        for one, other in zip(values, layers(parts, fit)[name]):
            np.testing.assert_array_equal(one, other)
    assert whole.history() == parts.history()


def test_lbfgs_refuses_a_loss_that_differs_each_time(small, desk):
    with pytest.raises(UsageError, match="needs a loss that is deterministic"):
        desk.run(Fit(noisy, data=small, split=SPLIT, training=LBFGS))


def bounded(shapes, *, constraint="non_neg"):
    import keras

    return keras.Sequential(
        [
            keras.Input(shapes.image),
            keras.layers.Flatten(),
            keras.layers.Dense(shapes.neurons, kernel_constraint=constraint, name="neurons"),
        ]
    )


def test_lbfgs_keeps_bounds_and_refuses_other_constraints(small, desk):
    fit = Fit(bounded, data=small, split=SPLIT, training=LBFGS)
    desk.run(fit)
    kernel, bias = layers(desk, fit)["neurons"]
    assert kernel.min() == 0 < kernel.max()
    assert bias.min() != 0
    with pytest.raises(UsageError, match="kernel has a UnitNorm"):
        desk.run(fit, constraint="unit_norm")


def half(shapes):
    import keras

    return keras.Sequential(
        [
            keras.Input(shapes.image),
            keras.layers.Flatten(),
            keras.layers.Activation("softplus", dtype="float32", name="half"),
            keras.layers.Dense(shapes.neurons),
        ]
    )


def test_lbfgs_refuses_a_layer_that_computes_in_less(small, desk):
    with pytest.raises(UsageError, match="layer 'half' computes in float32"):
        desk.run(Fit(half, data=small, split=SPLIT, training=LBFGS))


def normalised(shapes, *, dropout=0.0):
    import keras

    layers = [keras.layers.Dropout(dropout)] if dropout else []
    return keras.Sequential(
        [
            keras.Input(shapes.image),
            keras.layers.Flatten(),
            keras.layers.BatchNormalization(name="norm"),
            *layers,
            keras.layers.Dense(shapes.neurons),
        ]
    )


def test_lbfgs_takes_batch_statistics_that_are_frozen_and_only_those(small, desk):
    fit = Fit(normalised, data=small, split=SPLIT, training=LBFGS)
    assert desk.run(fit, freeze=["norm"], epochs=20)
    with pytest.raises(UsageError, match=r"norm/moving_mean, .*norm/moving_variance changes it"):
        desk.run(fit)


def test_lbfgs_ends_where_nothing_is_left_to_gain(small, desk):
    fit = Fit(penalised, data=small, split=SPLIT, training=replace(LBFGS, epochs=4000, validate_every=1000))
    desk.run(fit)
    assert desk.facts["stop_reason"] == "converged" and desk.facts["epochs"] < 4000
    kernel, bias = layers(desk, fit)["neurons"]
    train = trained_on(small, fit, desk)
    x = train.inputs["image"].reshape(train.n_images, -1).astype(np.float64)
    centred, y = x - x.mean(axis=0), train.responses - train.responses.mean(axis=0)
    # d/dW of Σ(y − xW − b)²/images + ½ λ ΣW² is 0 at the ridge solution with λ · images / 2.
    ridge = centred.T @ np.linalg.solve(centred @ centred.T + 0.5 * train.n_images * np.eye(len(x)), y)
    np.testing.assert_allclose(kernel, ridge, atol=1e-4 * np.abs(ridge).max())
    np.testing.assert_allclose(bias, train.responses.mean(axis=0) - x.mean(axis=0) @ ridge, atol=1e-4)


def penalised(shapes):
    import keras

    from neurofit.models.layers import Dense
    from neurofit.models.regularizers import L2

    return keras.Sequential(
        [
            keras.Input(shapes.image),
            Dense(shapes.neurons, kernel_regularizer=L2(1.0), name="neurons"),
        ]
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "lbfgs"}, "expected a whole number ≥ 10"),
        ({"optimizer": "lbfgs", "validate_every": 50, "batch_size": 8}, "batch_size=8 has no effect"),
        ({"freeze": "core"}, "expected a list of names"),
        ({"rate_factors": {"core": 0}}, "each with a number > 0"),
        ({"start": 3}, "expected the path"),
    ],
)
def test_a_contradictory_training_is_refused(settings, message):
    with pytest.raises(GridError, match=message):
        Training(**settings)


def test_batches_in_turn_are_of_one_recording_and_miss_no_image():
    from neurofit.models.training_loop.loop import orders_in_turn

    recordings = np.array([0] * 20 + [1] * 7)
    rows = orders_in_turn(3, 0, 2, recordings, 8)
    assert rows.shape == (2, 2 * 3 * 8)
    for row in rows:
        batches = recordings[row].reshape(-1, 8)
        assert (batches == batches[:, :1]).all() and batches[:, 0].tolist() == [0, 1] * 3
        assert set(row) == set(range(27))
    assert np.array_equal(rows[1:], orders_in_turn(3, 1, 1, recordings, 8))


def readouts(shapes, *, units=4):
    """One per recording, over a core that they share."""
    import keras

    from neurofit.models.layers import Dense

    image = keras.Input(shapes.image)
    core = Dense(units, activation="softplus", name="core")(image)
    return keras.Model(
        image,
        [Dense(neurons, activation="softplus", name=name)(core) for name, neurons in shapes.outputs.items()],
    )


def two_recordings():
    made = [
        nf.datasets.simulate(n_images=90, n_neurons=3 + number, size=12, n_test=20, seed=number)
        for number in (0, 1)
    ]
    named = [
        one.derived(name=f"r{number}", neurons=one.neurons.assign(recording=f"r{number}"))
        for number, one in enumerate(made)
    ]
    return nf.datasets.stack(named)


def test_recordings_with_images_of_their_own_train_a_shared_core(desk):
    fit = Fit(readouts, data=two_recordings, split=SPLIT, training=Training(epochs=4, turns="recording"))
    metrics = desk.run(fit)
    assert np.isfinite(metrics["test/correlation"])
    with (desk.last.folder / "neurons.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["recording"] for row in rows] == ["r0"] * 3 + ["r1"] * 4
    values = np.array([float(row["test/correlation"]) for row in rows])
    assert metrics["test/correlation"] == pytest.approx(values.mean())
    assert metrics["test/correlation/r0"] == pytest.approx(values[:3].mean())
    assert metrics["test/correlation/r1"] == pytest.approx(values[3:].mean())


def test_resumed_recordings_in_turn_end_bit_by_bit_the_same(desks):
    training = Training(epochs=5, turns="recording", learning_rate=3e-2, freeze=("r1/bias",))
    fit = Fit(readouts, data=two_recordings, split=SPLIT, training=training)
    whole, parts = desks("whole"), desks("parts")
    metrics = whole.run(fit)
    assert parts.run(fit, stop_after=1) is None
    assert parts.run(fit, stop_after=0) is None
    assert parts.run(fit) == metrics
    assert int(parts.facts["resumed_from"]) == 3
    assert whole.history() == parts.history()
    for name, values in layers(whole, fit).items():
        for one, other in zip(values, layers(parts, fit)[name]):
            np.testing.assert_array_equal(one, other)


def test_rates_of_recordings_in_turn_are_over_their_own_images():
    from neurofit.models.fitting.task import _rates

    few = nf.datasets.Split(validation=10, test=20)
    parts = nf.datasets.split(two_recordings(), few, seed=0)
    own = np.array([parts.train.responses[parts.train.valid[:, one], one].mean() for one in range(7)])
    in_turn = _rates(Training(turns="recording", unit_rates="train"), parts)
    np.testing.assert_allclose(in_turn, own, rtol=1e-6)
    together = _rates(Training(unit_rates="train"), parts)
    shares = parts.train.valid.mean(axis=0)
    np.testing.assert_allclose(
        together, own * shares, rtol=1e-6
    )  # each spike weighs alike, in batches of all


def test_one_recording_takes_no_turns(small, desks):
    found = []
    for turns in ("none", "recording"):
        training = Training(epochs=2, loss="gaussian", turns=turns)
        found.append(desks(turns).run(Fit(linear, data=small, split=SPLIT, training=training)))
    assert found[0] == found[1]


def test_turns_need_recordings_with_images_of_their_own(small, desk):
    mixed = small().derived(neurons=small().neurons.assign(recording=["a", "b", "a", "b", "a", "b"]))
    with pytest.raises(DataError, match="has responses of several recordings"):
        desk.run(Fit(core_and_readout, data=lambda: mixed, split=SPLIT), turns="recording")


def test_the_klindt_recipe_can_be_changed():
    assert Training.klindt().batch_size == 256 and Training.klindt(epochs=7).epochs == 7


def test_a_fit_records_its_whole_recipe(small, desk, capsys):
    desk.run(
        Fit(core_and_readout, data=small, split=SPLIT, training=Training(epochs=2, freeze=("core",))), units=3
    )
    said = capsys.readouterr().out
    assert "model: core_and_readout(units=3)\n" in said
    assert "images: 60 train, 10 validation, 20 test" in said
    assert (
        "epochs=2, batch_size=16, learning_rate=0.001, optimizer=adam, loss=poisson, freeze=['core']\n"
        in said
    )
    assert "ended: epochs after 2 epochs" in said and "test/correlation=" in said
