"""Regularisation paths: stronger and stronger, each from where the last one ended, chosen by validation
alone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from interrupted import Dying, Killed, noisy, weights

import neurofit as nf
from neurofit.errors import DataError, GridError, UsageError

Fit, Training = nf.models.Fit, nf.models.Training
SPLIT = {"validation": 10}
PATH = Training(epochs=5, learning_rate=1e-2, path="l2", strengths=(0.01, 0.3, 20.0))


def smooth(shapes, *, l2=0.01):
    import keras

    from neurofit.models.layers import Dense
    from neurofit.models.regularizers import L2

    return keras.Sequential(
        [
            keras.Input(shapes.image),
            Dense(shapes.neurons, activation="softplus", kernel_regularizer=L2(l2), name="neurons"),
        ]
    )


@pytest.mark.slow
def test_each_point_is_a_fit_that_starts_where_the_last_one_ended(small, desk, desks):
    strengths = (0.01, 20.0)
    desk.run(Fit(smooth, data=small, split=SPLIT, training=replace(PATH, strengths=strengths)))
    losses, start = [], None
    for index, strength in enumerate(strengths):
        alone = desks("alone")
        plain = replace(PATH, path=None, strengths=(), start=start)
        alone.run(Fit(smooth, data=small, split=SPLIT, training=plain), l2=strength)
        (alone.last.folder / "outcome.json").write_text("{}")
        start = str(alone.last.folder.relative_to(alone.root))
        rows = desk.history()[5 * index : 5 * index + 5]
        names = ("train/loss", "train/penalised_loss", "validation/loss", "validation/correlation")
        assert [[row[name] for name in names] for row in rows] == [
            [row[name] for name in names] for row in alone.history()
        ]
        assert [row["step"] for row in rows] == [str(5 * index + epoch) for epoch in range(1, 6)]
        assert {row["strength"] for row in rows} == {str(strength)}
        losses.append(float(alone.history()[-1]["validation/loss"]))
    assert [one["validation/loss"] for one in desk.facts["path"]] == pytest.approx(losses, rel=1e-6)
    assert [one["l2"] for one in desk.facts["path"]] == list(strengths)


@pytest.mark.slow
@pytest.mark.parametrize("strengths", [(0.01, 0.3, 300.0), (1e-5, 2e-5)])
def test_the_validation_loss_chooses_and_the_chosen_weights_are_kept(strengths, small, desk, capsys):
    fit = Fit(smooth, data=small, split=SPLIT, training=replace(PATH, strengths=strengths, epochs=30))
    metrics = desk.run(fit)
    points = desk.facts["path"]
    best = min(points, key=lambda point: point["validation/loss"])
    assert desk.facts["path_chose"] == best["l2"] < 300.0
    recipe = nf.models.saved.recipe(desk.last.folder)
    assert recipe["arguments"]["l2"] == best["l2"]
    data, validation = small(), desk.array("part") == "validation"
    rows = [list(data.image_ids).index(one) for one in desk.array("image_id")[validation]]
    scaled = nf.datasets.standardise_like(
        nf.models.saved.normalisation(desk.last.folder), {"image": data.inputs["image"][rows]}
    )
    predicted = np.asarray(nf.models.load_folder(desk.last.folder, fit)(scaled["image"]), np.float64)
    responses = data.responses[rows]
    loss = -(responses * np.log(predicted + 1e-6) - predicted).sum() / len(rows)
    assert loss == pytest.approx(best["validation/loss"], rel=1e-5)
    assert metrics["validation/correlation"] == pytest.approx(
        nf.scores.correlation(responses, predicted).mean(), abs=1e-5
    )
    assert f"lowest validation loss at {best['l2']}" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_resumed_path_ends_bit_by_bit_the_same(how, small, desks):
    training = replace(PATH, epochs=6, patience=2, learning_rate=3e-2, strengths=(0.01, 300.0))
    fit = Fit(noisy, data=small, split=SPLIT, training=training)
    whole, broken = desks("whole"), desks("broken")
    metrics = whole.run(fit)
    epochs = [one["epochs"] for one in whole.facts["path"]]
    if how == "stopped":
        assert epochs == [3, 3], "other looks would stop it"
        for looks in (1, 0):  # in each of the two; a look for every epoch but the one that ends a point
            assert broken.run(fit, stop_after=looks) is None
        again = broken.run(fit)
    else:
        often = Fit(noisy, data=small, split=SPLIT, training=replace(training, checkpoint_minutes=1e-9))
        for epoch in (2, sum(epochs)):
            with pytest.raises(Killed):
                broken.run(Dying(often, epoch))
        again = broken.run(often)
    assert int(broken.facts["resumed_from"]) > epochs[0]
    assert again == metrics
    assert broken.history() == whole.history()
    assert broken.facts["path"] == whole.facts["path"]
    for one, other in zip(weights(whole, fit), weights(broken, fit)):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_a_damaged_checkpoint_of_a_path_is_skipped(small, desks):
    fit = Fit(noisy, data=small, split=SPLIT, training=replace(PATH, epochs=4, strengths=(0.01, 20.0)))
    whole, broken = desks("whole"), desks("broken")
    metrics = whole.run(fit)
    assert broken.run(fit, stop_after=2) is None
    assert broken.run(fit, stop_after=2) is None
    newest, older = broken.last.checkpoints
    (newest / "path.npz").write_bytes(b"torn")
    assert broken.run(fit) == metrics
    assert broken.facts["resumed_from"] == older.name


@pytest.mark.slow
@pytest.mark.parametrize("split", [{"validation": 0}, {"monitor_test": True}])
def test_a_path_is_chosen_on_a_validation_set_or_not_at_all(split, small, desk):
    with pytest.raises(DataError, match="A regularisation path needs a validation set"):
        desk.run(Fit(smooth, data=small, split=split, training=PATH))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": "l3"}, r"no argument of architecture 'smooth'\. It has: l2"),
        ({"l2": 0.3}, "'l2' is given twice"),
        ({"strengths": [0.1]}, "has no effect without two strengths or more"),
        ({"strengths": [1, 0.1]}, "expected ascending numbers"),
        ({"path": None}, r"strengths=\(0.01, 0.3, 20.0\) has no effect without a path"),
    ],
)
def test_an_invalid_path_is_refused(settings, message):
    with pytest.raises(GridError, match=message):
        Fit(smooth, training=PATH).check(settings)


def test_an_argument_without_default_may_get_its_value_from_the_path():
    def bare(shapes, *, l2):
        """Not built here."""

    Fit(bare, training=PATH).check({})
    with pytest.raises(GridError, match="needs a value for l2"):
        Fit(bare).check({})


@pytest.mark.slow
def test_a_path_goes_along_no_argument_that_changes_shapes(small, desk):
    training = Training(epochs=2, path="units", strengths=(2, 3))
    with pytest.raises(
        UsageError, match="path='units': models with its first and last value differ in their weights'"
    ):
        desk.run(Fit(noisy, data=small, split=SPLIT, training=training))
