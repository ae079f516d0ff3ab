"""Repetitions trained together: each as it is alone, whatever else its job has, and wherever it is interrupted."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from grouped import MOST, Table, distance, must_equal
from interrupted import noisy
from test_cotraining import SMALL as SMALL_LABELLED, with_gaps

import neurofit as nf
from neurofit.errors import Diverged, GridError, StoreError

pytestmark = pytest.mark.slow
Fit, Training, architectures = nf.models.Fit, nf.models.Training, nf.models.architectures
JOBS = Path(__file__).resolve().parents[2] / "jobs"
CONV = "TensorFlow cannot vectorise its operation Conv2D"


def fit_of(architecture, data, *, together=3, split=None, label=None, **settings):
    training = {"epochs": 4, "batch_size": 16, "learning_rate": 3e-3, **settings}
    scores = ("correlation",) if label else nf.models.Fit.scores
    return Fit(
        architecture,
        data=data,
        split=split or {"validation": 10},
        training=Training(**training, together=together),
        label=label,
        scores=scores,
    )


def alone(fit):
    return replace(fit, training=replace(fit.training, together=1))


@pytest.fixture
def tables(tmp_path):
    """tables("a"): a table of that name."""
    return lambda name: Table(tmp_path / name)


def both(fit, tables, repetitions=range(3), **how):
    """The repetitions together, and each alone."""
    group, single = tables("together"), tables("alone")
    for found in (group.run(fit, repetitions, **how), single.run_alone(alone(fit), repetitions, **how)):
        for one in found.values():
            if isinstance(one, Exception):
                raise one
    return group, single


def must_agree(group, single, repetitions=range(3)):
    """Weights within the tolerance, bit for bit if trained in turn; ends, rows and events as alone."""
    for number in repetitions:
        if group.facts(number)["together"]["how"] == "in turn":
            must_equal(group, single, number)
        else:
            assert distance(group, single, number) < MOST
        for name in ("stop_reason", "epochs", "best_epoch"):
            assert group.facts(number)[name] == single.facts(number)[name]
        rows, expected = group.history(number), single.history(number)
        assert [row["step"] for row in rows] == [row["step"] for row in expected]
        assert rows[0].keys() == expected[0].keys()
        for row, other in zip(rows, expected):
            np.testing.assert_allclose(
                [float(row[name] or "nan") for name in row],
                [float(other[name] or "nan") for name in row],
                rtol=1e-4,
                atol=1e-5,
            )
        seen, wanted = group.events(number), single.events(number)
        assert [one[:2] for one in seen] == [one[:2] for one in wanted]


# Every architecture in jobs/

SMALL = {  # architecture → arguments that make it small, and whether it vectorises
    "hsm": ({"filters": 3, "hidden": 0.5, "l2": 0.1}, True),
    "what_where": ({"filters": 4, "size": 5, "layers": 2}, False),
    "ln": ({"reg_l": 0.1}, True),
    "lnln": ({"hidden": 0.5, "reg_h": 0.1, "reg_l": 0.1}, True),
    "dog_hidden": (
        {"dog_layers": 3, "hidden": 0.5, "hidden_layers": 2, "lin_scale": True, "reg_h": 0.1},
        True,
    ),
    "dog_penalised": ({"dog_layers": 3, "hidden": 0.5, "reg_type": "l1", "reg_lambda": 0.1}, True),
    "dog_l2": ({"dog_layers": 3, "hidden": 0.5, "l2": 0.1}, True),
    "dog_dropout": ({"hidden": 1.0, "dropout_h": 0.5}, None),
    "conv_hidden": ({"hidden": 0.5, "c_filters": 3, "conv_layers": 2, "c_size": 3}, False),
    "conv_penalised": ({"hidden": 0.5, "c_filters": 3, "c_size": 5}, False),
    "conv_dog": ({"hidden": 0.5, "c_filters": 3, "hidden_lt": "sep"}, False),
    "conv_factorised": ({"c_filters": 4}, False),
    "conv_factorised_max": ({"c_filters": 4}, False),
    "conv_factorised_norm2": ({"c_filters": 4}, False),
    "kindel_cnn": ({"conv1": 3, "conv2": 3, "hidden1": 8}, False),
    "kindel_lnln": ({"units": 8}, True),
    "shallow_cnn": ({"filters": [3], "hidden": 8, "dropout": 0.3, "batch_norm": True, "flip": True}, False),
    "pooled_cnn": ({"filters": [3], "sizes": [3], "hidden": 8, "dropout": 0.3}, False),
}
ELSEWHERE = {"co_trained_cnn", "fine_tuned"}  # tests of their own below
OTHER_TRAINING = {
    "kindel_cnn": {"optimizer": "sgd", "loss": "mean_squared", "learning_rate": 1e-4, "patience": 4},
    "kindel_lnln": {"optimizer": "sgd", "loss": "mean_squared", "learning_rate": 1e-4, "patience": 4},
    "shallow_cnn": {"loss": "mean_squared"},
    "pooled_cnn": {"loss": "mean_squared"},
}


def wide():
    return nf.datasets.simulate(n_images=90, n_neurons=6, size=32, n_test=20, n_trials=4)


def test_every_architecture_in_jobs_is_tested():
    used = set()
    for path in JOBS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith("models.architectures"):
                used.add(node.attr)
    assert used <= SMALL.keys() | ELSEWHERE and len(used) >= 18


@pytest.mark.parametrize("name", SMALL)
def test_every_repetition_has_the_weights_it_has_alone(name, small, tables):
    arguments, vectorises = SMALL[name]
    fit = fit_of(
        getattr(architectures, name), wide if name == "kindel_cnn" else small, **OTHER_TRAINING.get(name, {})
    )
    group, single = both(fit, tables, **arguments)
    must_agree(group, single)
    how = group.facts(0)["together"]
    assert how["repetitions"] == [0, 2]
    if vectorises is not None:
        assert how["how"] == ("vectorised" if vectorises else "in turn"), how
    assert not np.array_equal(group.arrays(0)["predictions"], group.arrays(1)["predictions"])


def test_the_form_is_printed_with_its_reason(small, tables, capfd):
    for architecture, said in (
        (architectures.hsm, "vectorised."),
        (architectures.what_where, f"in turn: {CONV}."),
    ):
        tables(said).run(fit_of(architecture, small, epochs=1), filters=2)
        assert f"Repetitions 0 to 2 were trained together, {said}" in (captured := capfd.readouterr()).out
        assert "pfor was converting" not in captured.err and "loop_body" not in captured.err


# What a model or a training may have


def with_layers(*inner, **readout):
    """An architecture with these layers, made anew for each model, before the readout."""

    def architecture(shapes):
        import keras

        layers = [keras.layers.Flatten(), *(make(keras) for make in inner)]
        return keras.Sequential(
            [
                keras.Input(shapes.image),
                *layers,
                keras.layers.Dense(shapes.neurons, activation="softplus", name="neurons", **readout),
            ]
        )

    return architecture


def penalised(keras):
    class Penalised(keras.layers.Layer):
        def call(self, inputs):
            self.add_loss(0.1 * keras.ops.mean(keras.ops.square(inputs)))
            return inputs

    return Penalised()


def core(keras):
    return keras.layers.Dense(5, activation="softplus", kernel_regularizer="l2", name="core")


@pytest.mark.parametrize(
    ("inner", "readout"),
    [
        ([core, lambda k: k.layers.Dropout(0.4)], {}),
        ([lambda k: k.layers.GaussianNoise(0.5), core], {}),
        ([core, lambda k: k.layers.BatchNormalization()], {}),
        ([core, lambda k: k.layers.LayerNormalization()], {}),
        ([core, penalised], {}),
        ([core], {"kernel_constraint": "non_neg"}),
        ([core], {"kernel_constraint": "max_norm"}),  # of each model, not of all of them
    ],
    ids=["dropout", "noise", "batch-norm", "layer-norm", "add-loss", "non-negative", "norm"],
)
def test_layers_act_in_each_repetition_as_they_do_alone(inner, readout, small, tables):
    must_agree(*both(fit_of(with_layers(*inner, **readout), small), tables))


def holes(small):
    def with_holes():
        data = small()
        responses = np.array(data.responses)
        responses[::7, 1] = np.nan
        mask = np.ones(responses.shape, bool)
        mask[:30, 2] = False
        return nf.datasets.Dataset("holes", data.inputs, responses, mask=mask, official=data.official)

    return with_holes


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "adamw", "weight_decay": 0.1},
        {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 1e-4},
        {"rate_factors": {"core": 0.1}},
        {"freeze": ["core"]},
        {"decay_every": 2},
        {"batch_size": 13, "validate_every": 3},
        {"loss": "mean_squared"},
        {"unit_rates": "train"},
        {"jit": True},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_settings_of_a_training_act_in_each_repetition_as_they_do_alone(settings, small, tables):
    group, single = both(fit_of(with_layers(core), holes(small), **settings), tables)
    must_agree(group, single)
    assert group.facts(0)["together"]["how"] == "vectorised"


def two_recordings(small):
    def data():
        one, responses = small(), np.array(small().responses)
        responses[:35, 2:], responses[35:70, :2] = np.nan, np.nan
        neurons = one.neurons.assign(recording=["a", "a", "b", "b", "b", "b"], number=[0, 1, 0, 1, 2, 3])
        return nf.datasets.Dataset("two", one.inputs, responses, neurons=neurons, official=one.official)

    return data


def two_readouts(shapes):
    import keras

    image = keras.Input(shapes.image, name="image")
    seen = keras.layers.Dense(5, "softplus", name="core")(keras.layers.Flatten()(image))
    return keras.Model(
        {"image": image},
        [keras.layers.Dense(count, "softplus", name=name)(seen) for name, count in shapes.outputs.items()],
    )


@pytest.mark.parametrize("turns", ["none", "recording"])
def test_several_recordings_may_take_turns(turns, small, tables):
    group, single = both(fit_of(two_readouts, two_recordings(small), turns=turns), tables)
    must_agree(group, single)
    assert group.facts(0)["together"]["how"] == "vectorised"


def test_l_bfgs_ends_for_each_repetition_where_it_ends_alone(small, tables):
    """In float64, and converged at different iterations."""
    training = {"optimizer": "lbfgs", "loss": "mean_squared", "validate_every": 10, "epochs": 400}
    fit = fit_of(with_layers(kernel_regularizer="l2"), small, **training, batch_size=16, learning_rate=1e-3)
    group, single = both(fit, tables)
    must_agree(group, single)
    assert "L-BFGS" in group.facts(0)["together"]["why"]
    ends = {(group.facts(number)["stop_reason"], group.facts(number)["epochs"]) for number in range(3)}
    assert len(ends) > 1


def test_a_label_is_trained_beside_each(tables):
    fit = fit_of(
        architectures.co_trained_cnn,
        with_gaps,
        split={"validation": 20, "test": 30},
        label="category",
        loss="mean_squared",
        label_weight=0.3,
    )
    group, single = both(fit, tables, **SMALL_LABELLED, dropout=0.2)
    must_agree(group, single)
    assert group.facts(1)["together"]["why"] == "a model with a label is trained alone"


def test_a_nested_network_is_fine_tuned_in_each(small, tables, monkeypatch, tmp_path):
    def nested(shapes):
        """As `fine_tuned` makes one, whose networks are for large images."""
        import keras

        network = keras.Sequential(
            [
                keras.Input(shapes.image),
                keras.layers.Conv2D(3, 3, 2, name="conv1"),
                keras.layers.BatchNormalization(name="bn1"),
            ],
            name="network",
        )
        return keras.Sequential(
            [
                keras.Input(shapes.image),
                network,
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(shapes.neurons, "softplus", name="neurons"),
            ]
        )

    must_agree(*both(fit_of(nested, small, rate_factors={"network/*": 0.1}, freeze=["network/bn1"]), tables))


def test_weights_are_set_and_taken_over_for_each_repetition(small, tables):
    def bias(model, train):
        kernel, _ = model.layers[-1].get_weights()
        noise = np.random.normal(0, 0.01, kernel.shape)  # from the generator that each repetition seeds
        model.layers[-1].set_weights([kernel + noise, np.log(np.expm1(train.responses.mean(axis=0)))])

    first = replace(fit_of(with_layers(core), small), initialise=bias)
    group, single = both(first, tables)
    must_agree(group, single)
    for number in range(3):
        (single.last[number].folder / "outcome.json").write_text("{}")
    start = str(single.root / "{repetition:03d}" / "attempt-01")
    fit = fit_of(with_layers(core), small, start=start)
    again, lone = Table(single.root / "more" / "together"), Table(single.root / "more" / "alone")
    assert not any(isinstance(one, Exception) for one in again.run(fit).values())
    lone.run_alone(alone(fit))
    must_agree(again, lone)


def test_a_repetition_without_weights_to_start_from_fails_alone(small, tables):
    source = tables("source")
    source.run(fit_of(with_layers(core), small, together=1), [0])
    source.run(fit_of(with_layers(core), small, together=1), [2])
    for number in (0, 2):
        (source.last[number].folder / "outcome.json").write_text("{}")
    fit = fit_of(
        with_layers(core), small, together=4, start=str(source.root / "{repetition:03d}" / "attempt-01")
    )
    group, single = tables("together"), tables("alone")
    found = group.run(fit)
    assert isinstance(found[1], StoreError) and "001" in str(found[1])
    single.run_alone(alone(fit), [0, 2])
    must_agree(group, single, [0, 2])
    assert isinstance(tables("one").run_alone(fit, [1])[1], StoreError)


@pytest.mark.parametrize("what", ["output", "penalty", "dropout"])
def test_models_that_differ_in_more_than_weights_are_found_and_trained_in_turn(what, small, tables):
    def drawn(shapes):
        import keras

        number = float(np.random.uniform(0.2, 0.8))  # seeded by the repetition
        layer = {
            "output": keras.layers.Rescaling(number),
            "penalty": keras.layers.Dense(5, kernel_regularizer=keras.regularizers.L2(number)),
            "dropout": keras.layers.Dropout(number),
        }[what]
        return keras.Sequential(
            [
                keras.Input(shapes.image), keras.layers.Flatten(), layer,
                keras.layers.Dense(shapes.neurons, "softplus", kernel_initializer="zeros"),
            ]
        )  # fmt: skip

    group, single = both(fit_of(drawn, small), tables)
    must_agree(group, single)
    assert (
        group.facts(0)["together"]["why"]
        == "its repetitions have models that differ in more than their weights"
    )


# Ends


def ending(epochs=40, **settings):
    return {"epochs": epochs, "patience": 3, "decays": 1, "learning_rate": 2e-2, **settings}


def test_repetitions_end_and_decay_each_at_its_own_epoch(small, tables):
    """Among them some that end while the group shrinks to half, and to a quarter."""
    group, single = both(fit_of(with_layers(core), small, together=6, **ending()), tables, range(6))
    must_agree(group, single, range(6))
    ends = [group.facts(number)["epochs"] for number in range(6)]
    assert len(set(ends)) > 2
    assert {group.facts(number)["stop_reason"] for number in range(6)} >= {"patience"}


def with_bomb(shapes):
    """A model whose predictions are no numbers after as many steps as a variable says."""
    import keras

    class Bomb(keras.layers.Layer):
        def build(self, _):
            self.left = self.add_weight(
                shape=(), initializer=lambda *_, **__: 1e6, trainable=False, name="left"
            )

        def call(self, inputs, training=False):
            if training:
                self.left.assign(self.left - 1)
            return inputs + keras.ops.where(self.left < 0, float("nan"), 0.0)

    return keras.Sequential(
        [
            keras.Input(shapes.image), keras.layers.Flatten(),
            keras.layers.Dense(5, "softplus"), Bomb(name="bomb"),
            keras.layers.Dense(shapes.neurons, "softplus"),
        ]
    )  # fmt: skip


def exploding(steps, of):
    """An `initialise` that gives the repetitions, one after the other, these numbers of steps."""
    calls = []

    def initialise(model, train):
        calls.append(model)
        number = (len(calls) - 1) % of
        if number in steps:
            model.get_layer("bomb").left.assign(steps[number])

    return initialise


def test_one_that_diverges_fails_with_its_message_and_the_others_finish(small, tables):
    group, single = tables("together"), tables("alone")
    fit = fit_of(with_bomb, small, epochs=6, validate_every=2)
    found = group.run(replace(fit, initialise=exploding({1: 9}, 3)))
    expected = single.run_alone(alone(replace(fit, initialise=exploding({1: 9}, 3))))
    assert isinstance(found[1], Diverged) and str(found[1]) == str(expected[1])
    assert "in epoch 3" in str(found[1])
    must_agree(group, single, [0, 2])
    assert group.text(1) == single.text(1) or group.history(1)[-1]["step"] == "2"


def test_when_a_group_shrinks_does_not_depend_on_the_clock(small, tables):
    """Most repetitions diverge in the middle of the epochs between two validations."""
    from neurofit.models.training_loop import loop

    bombs = {1: 7, 2: 9, 3: 14}
    fit = fit_of(with_bomb, small, together=4, epochs=12, validate_every=6)
    many, single = tables("many"), tables("single")
    many.run(replace(fit, initialise=exploding(bombs, 4)), range(3))
    before = loop.SECONDS_PER_CALL
    loop.SECONDS_PER_CALL = 1e-9  # one epoch per call
    try:
        single.run(replace(fit, initialise=exploding(bombs, 4)), range(3))
    finally:
        loop.SECONDS_PER_CALL = before
    must_equal(many, single, 0)


# Always whole


@pytest.mark.parametrize("architecture", ["vectorised", "in turn"])
def test_a_result_does_not_depend_on_what_else_a_job_has(architecture, small, tables):
    made = (
        with_layers(core, lambda k: k.layers.LayerNormalization())
        if architecture == "vectorised"
        else architectures.conv_hidden
    )
    how = {} if architecture == "vectorised" else {"c_filters": 2}
    fit = fit_of(made, small, together=10, **ending(8))
    whole, some, one, few = (tables(name) for name in ("whole", "some", "one", "few"))
    metrics = whole.run(fit, range(10), of=10, **how)
    assert one.run(fit, [3], of=10, **how) == {3: metrics[3]}
    assert some.run(fit, [5, 2], of=10, **how) == {5: metrics[5], 2: metrics[2]}
    found = few.run(fit, range(3), of=3, **how)  # an experiment with fewer repetitions than a group
    assert found == {number: metrics[number] for number in range(3)}
    for table, repetitions in ((some, [2, 5]), (one, [3]), (few, range(3))):
        for number in repetitions:
            must_equal(table, whole, number)
    assert one.facts(3)["together"]["how"] == architecture


def test_the_next_group_has_the_next_repetitions(small, tables):
    fit = fit_of(with_layers(core), small, together=2)
    group, single = both(fit, tables, [2, 3], of=5)
    must_agree(group, single, [2, 3])
    assert group.facts(2)["together"]["repetitions"] == [2, 3]


@pytest.mark.parametrize("split_by", ["repetition", "fold"])
def test_repetitions_with_data_of_their_own_are_trained_in_turn(split_by, small, tables):
    fit = fit_of(with_layers(core), small, together=2)
    group, single = both(fit, tables, [2], split_by=split_by)  # of 3: there is no fold 3
    must_agree(group, single, [2])
    how = group.facts(2)["together"]
    assert how["repetitions"] == ([2, 2] if split_by == "fold" else [2, 3])
    if split_by == "repetition":
        assert how["why"] == "each repetition has a split of its own"
    more = tables("more")
    more.run(fit, [0, 1], split_by=split_by)
    assert more.facts(0)["images"] and more.facts(0)["data_hash"] == more.facts(1)["data_hash"]


# Interrupted


class Killed(Exception):
    """The process is gone."""


def dying(table, fit, repetitions, epoch, **how):
    """Train until a row of this epoch is written, then die."""
    tasks = [table.task(number, **how) for number in repetitions]
    for task in tasks[-1:]:
        log = task.log

        def die(step, log=log, **numbers):
            if step == epoch:
                raise Killed
            log(step, **numbers)

        task.log = die
    with pytest.raises(Killed):
        fit.together(tasks)
    for task in tasks:
        task.close()


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [
        (noisy, {}),
        (noisy, ending()),
        (with_layers(core, lambda k: k.layers.LayerNormalization()), ending()),
        (with_layers(core), ending(jit=True)),
    ],
    ids=["in turn", "in turn, ending", "vectorised, ending", "jit"],
)
def test_a_resumed_group_ends_bit_by_bit_the_same(architecture, settings, small, tables):
    settings = {"epochs": 12, "checkpoint_minutes": 1e-9, **settings}
    fit = fit_of(architecture, small, together=5, **settings)
    whole, parted = tables("whole"), tables("parted")
    metrics = whole.run(fit, range(4))
    last = max(whole.facts(number)["epochs"] for number in range(4))
    shrunk = sorted(whole.facts(number)["epochs"] for number in range(4))[1] + 1
    assert parted.run(fit, range(4), stop_after=1) is None
    dying(parted, fit, range(4), 5)
    if shrunk < last - 1:
        assert parted.run(fit, range(4), stop_after=shrunk - 5) is None
    assert parted.run(fit, range(4)) == metrics
    for number in range(4):
        must_equal(parted, whole, number)
        assert [one[:2] for one in parted.events(number)] == [one[:2] for one in whole.events(number)]
        for name in ("stop_reason", "epochs", "best_epoch", "together"):
            assert parted.facts(number)[name] == whole.facts(number)[name]
    assert "resumed_from" in parted.facts(0)


def checkpoints(table, number):
    return sorted(folder for folder in table.files(number).checkpoints.iterdir() if folder.name.isdigit())


@pytest.mark.parametrize("how", ["damaged", "damaged everywhere", "lacking", "none", "newer"])
def test_checkpoints_that_members_lack_or_that_are_damaged_are_passed_over(how, small, tables):
    fit = fit_of(with_layers(core), small, epochs=8, checkpoint_minutes=1e-9)
    whole, parted = tables("whole"), tables("parted")
    metrics = whole.run(fit)
    assert parted.run(fit, stop_after=4) is None
    assert [folder.name for folder in checkpoints(parted, 0)] == ["000004", "000005"]
    import shutil

    newest = [checkpoints(parted, number)[-1] for number in range(3)]
    if how == "damaged":  # its files are those of the others too, unless they were copied
        for name in ("group.npz", "group.json"):
            (newest[0] / name).unlink()
            (newest[0] / name).write_bytes(b"no")
    if how == "damaged everywhere":
        for folder in newest:
            (folder / "group.npz").unlink()
            (folder / "group.npz").write_bytes(b"PK")
    if how == "lacking":
        shutil.rmtree(newest[1])
    if how == "none":
        shutil.rmtree(parted.files(2).checkpoints)
    if (
        how == "newer"
    ):  # killed twice while checkpoints were published: some members have others than the rest
        shutil.rmtree(newest[0])
        assert parted.run(fit, stop_after=1) is None
        assert [folder.name for folder in checkpoints(parted, 1)] == ["000005", "000006"]
    assert parted.run(fit) == metrics
    expected = {"damaged": "000005", "damaged everywhere": "000004", "lacking": "000004", "newer": "000006"}
    assert parted.facts(0).get("resumed_from") == expected.get(how)
    for number in range(3):
        must_equal(parted, whole, number)


def test_one_repetition_goes_on_from_the_checkpoint_of_its_group(small, tables):
    fit = fit_of(with_layers(core), small, epochs=8, checkpoint_minutes=1e-9)
    whole, parted = tables("whole"), tables("parted")
    metrics = whole.run(fit)
    assert parted.run(fit, stop_after=4) is None
    for number in (1, 0, 2):
        assert parted.run(fit, [number]) == {number: metrics[number]}
        assert parted.facts(number)["resumed_from"] == "000005"
        must_equal(parted, whole, number)


def test_one_that_diverged_stays_so_after_an_interruption(small, tables):
    fit = fit_of(with_bomb, small, epochs=8, checkpoint_minutes=1e-9)
    whole, parted = tables("whole"), tables("parted")
    found = whole.run(replace(fit, initialise=exploding({1: 9}, 3)))
    assert parted.run(replace(fit, initialise=exploding({1: 9}, 3)), stop_after=4) is None
    again = parted.run(replace(fit, initialise=exploding({1: 9}, 3)))
    assert type(again[1]) is type(found[1]) and str(again[1]) == str(found[1])
    for number in (0, 2):
        assert again[number] == found[number]
        must_equal(parted, whole, number)


def test_an_error_of_the_users_own_score_is_that_of_its_task(small, tables):
    class Scored(Fit):
        def scored(self, task, metrics):
            if task.repetition == 1:
                raise ValueError("no score")
            return {**metrics, "own": 1.0}

    fit = fit_of(with_layers(core), small)
    found = tables("a").run(Scored(fit.architecture, data=fit.data, split=fit.split, training=fit.training))
    assert found[0]["own"] == found[2]["own"] == 1.0 and isinstance(found[1], ValueError)


def test_a_fit_that_overrides_call_is_refused(small):
    class Own(Fit):
        def __call__(self, task):
            return super().__call__(task)

    with pytest.raises(GridError, match=r"together=3 with Own, which overrides __call__"):
        nf.Experiment(Own(with_layers(core), data=small, training=Training(together=3)))


def test_more_repetitions_than_a_step_takes_are_trained_in_several_steps(small, tables, monkeypatch):
    """Four per step: of six, the second step repeats its last one; then the group shrinks to one step."""
    from neurofit.models.training_loop import group as module

    whole = module.batches
    monkeypatch.setattr(module, "batches", lambda places, *_: whole(list(places), 4))
    assert module.batches(range(6)) == [(0, 1, 2), (3, 4, 5)]
    assert module.batches([0, 2, 3, 5, 6]) == [(0, 2, 3), (5, 6, 6)]
    fit = fit_of(with_layers(core), small, together=5, **ending(20), checkpoint_minutes=1e-9)
    group, single = both(fit, tables, range(5))
    must_agree(group, single, range(5))
    parted = tables("parted")
    assert parted.run(fit, range(5), stop_after=3) is None
    parted.run(fit, range(5))
    for number in range(5):
        must_equal(parted, group, number)


def test_as_many_are_trained_at_once_as_memory_holds(small, tables, monkeypatch):
    """A GPU says only when it is asked that it has no room; here a program says so for more than two."""
    import tensorflow as tf

    from neurofit.models.training_loop import vectorised

    tried, epochs = [], vectorised.VectorisedProgram.epochs

    def with_little_memory(self, state, orders, rates):
        tried.append(len(rates))
        if len(rates) > 2:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        return epochs(self, state, orders, rates)

    monkeypatch.setattr(vectorised.VectorisedProgram, "epochs", with_little_memory)
    fit = fit_of(nf.models.architectures.hsm, small, together=5, epochs=3)
    group, single = both(fit, tables, range(5))
    assert tried[:5] == [5, 3, 2, 2, 2]
    assert group.facts(0)["together"]["how"] == "vectorised"
    must_agree(group, single, range(5))
