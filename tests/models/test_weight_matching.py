"""Weights of an earlier training are found by the names of layers, and by structure where layers have none."""

from __future__ import annotations

import numpy as np
import pytest

import neurofit as nf
from neurofit.errors import UsageError

pytestmark = pytest.mark.slow
Fit, Training = nf.models.Fit, nf.models.Training


def chain(*layers, inputs=(6,)):
    import keras

    return keras.Sequential([keras.Input(inputs), *layers])


def dense(units, name=None):
    import keras

    return keras.layers.Dense(
        units, name=name, kernel_initializer="random_normal", bias_initializer="random_normal"
    )


def matched(here, there):
    """Names here that found weights there, after checking that each pair has one shape."""
    from neurofit.models.fitting.weight_matching import match

    found = match(here, there)
    for _, one, other in found.taken:
        assert tuple(one.shape) == tuple(other.shape)
    return found


def taken_from(here, there) -> list[tuple[int, int]]:
    """Of each pair, the place of the weight in either model."""
    places = [{id(one): place for place, one in enumerate(model.weights)} for model in (here, there)]
    return [(places[0][id(one)], places[1][id(other)]) for _, one, other in matched(here, there).taken]


def test_layers_without_names_are_matched_by_their_place_however_many_were_made_before():
    import keras

    def made():
        return chain(dense(4), keras.layers.BatchNormalization(), dense(4), dense(3))

    here = made()
    dense(1)  # another layer of this process
    there = made()
    assert {one.name for one in here.layers}.isdisjoint(one.name for one in there.layers)
    assert taken_from(here, there) == [(place, place) for place in range(len(here.weights))]


def test_names_come_before_places():
    here = chain(dense(6, "first"), dense(6, "second"), dense(6), dense(2))
    there = chain(dense(6, "second"), dense(6), dense(6, "first"), dense(2))
    pairs = [(0, 4), (1, 5), (2, 0), (3, 1), (4, 2), (5, 3), (6, 6), (7, 7)]
    assert taken_from(here, there) == pairs


def test_names_that_look_automatic_but_are_the_same_in_both_are_names():
    here = chain(dense(6, "dense_71"), dense(6, "dense_72"))
    there = chain(dense(6, "dense_72"), dense(6, "dense_71"))
    assert taken_from(here, there) == [(0, 2), (1, 3), (2, 0), (3, 1)]


def test_layers_of_nested_models_are_matched_within_them():
    import keras

    def made():
        inner = chain(dense(5), keras.layers.LayerNormalization(), dense(5))
        return chain(dense(6), inner, chain(dense(5), inputs=(5,)), dense(2))

    here, there = made(), made()
    assert taken_from(here, there) == [(place, place) for place in range(len(here.weights))]
    names = [name for name, _, _ in matched(here, there).taken]
    assert len(set(names)) == len(names) and names[2].count("/") == 2  # model/layer/weight


def test_inner_layers_of_a_layer_are_matched_by_their_place():
    import keras

    def made():
        return chain(keras.layers.Bidirectional(keras.layers.LSTM(3)), dense(2), inputs=(4, 6))

    here, there = made(), made()
    assert len(taken_from(here, there)) == len(here.weights) == 8


def test_a_readout_of_other_neurons_keeps_its_own_weights():
    import keras

    here, there = chain(dense(4), dense(3)), chain(dense(4), dense(5))
    found = matched(here, there)
    assert taken_from(here, there) == [(0, 0), (1, 1)]
    assert [name.split("/")[1] for name in found.left] == ["kernel", "bias"]
    # also behind a layer without weights, and where there are several
    image = keras.Input((6,))
    core = dense(4)(image)
    several = keras.Model(image, [keras.layers.Activation("relu")(dense(n)(core)) for n in (3, 2)])
    assert taken_from(several, there) == [(0, 0), (1, 1)]
    # and within a nested model
    nested, other = (chain(dense(4), chain(dense(4), dense(n), inputs=(4,))) for n in (3, 5))
    assert taken_from(nested, other) == [(0, 0), (1, 1), (2, 2), (3, 3)]


def test_layers_of_new_kinds_keep_their_own_weights():
    import keras

    here = chain(dense(4), keras.layers.BatchNormalization(), dense(3))
    assert taken_from(here, chain(dense(4), dense(3))) == [(0, 0), (1, 1), (6, 2), (7, 3)]


@pytest.mark.parametrize(
    ("here", "there", "message"),
    [
        (
            lambda: chain(dense(4), dense(4), dense(3)),
            lambda: chain(dense(5), dense(4), dense(3)),
            r"the weight 'kernel' of the layer 'dense_?\d*' is \(6, 4\) here, and that of 'dense_\d+' is "
            r"\(6, 5\) there",
        ),
        (
            lambda: chain(dense(4), dense(4), dense(4), dense(3)),
            lambda: chain(dense(4), dense(4), dense(3)),
            r"here 'dense_?\d*' Dense \(6, 4\), 'dense_\d+' Dense \(4, 4\), 'dense_\d+' Dense \(4, 4\); "
            r"there 'dense_\d+' Dense \(6, 4\), 'dense_\d+' Dense \(4, 4\)\. Give .* name",
        ),
    ],
)
def test_what_does_not_match_is_an_error_that_names_both_sides(here, there, message):
    with pytest.raises(UsageError, match=message):
        matched(here(), there())


def test_an_order_of_kinds_that_differs_is_ambiguous():
    import keras

    norm = keras.layers.LayerNormalization
    here, there = chain(norm(), dense(6), dense(3)), chain(dense(6), norm(), dense(3))
    with pytest.raises(
        UsageError, match=r"here '.*' LayerNormalization \(6,\), '.*' Dense.*; there '.*' Dense"
    ):
        matched(here, there)


def unnamed(shapes, *, units=4):
    import keras

    return keras.Sequential(
        [
            keras.Input(shapes.image),
            keras.layers.Flatten(),
            keras.layers.Dense(units, activation="softplus"),
            keras.layers.Dense(shapes.neurons, activation="softplus"),
        ]
    )


def finished(desk) -> str:
    (desk.last.folder / "outcome.json").write_text("{}")
    return str(desk.last.folder.relative_to(desk.root))


def test_a_training_starts_from_layers_without_names(small, desk):
    split = {"validation": 10}
    fit = Fit(unnamed, data=small, split=split, training=Training(epochs=2, learning_rate=0.05))
    desk.run(fit)
    before, start = fit.load(desk.last.folder).get_weights(), finished(desk)
    others = Fit(
        unnamed,
        data=lambda: small().select_neurons([0, 2, 3]),
        split=split,
        training=Training(epochs=1, learning_rate=1e-12, start=start),
    )
    assert desk.run(others) is not None
    after = others.load(desk.last.folder).get_weights()
    np.testing.assert_allclose(after[0], before[0], atol=1e-6)
    assert len(desk.facts["start"]["taken"]) == len(desk.facts["start"]["left"]) == 2
    wrong = r"start='task/attempt-01': the weight 'kernel' of the layer .* is \(144, 5\) here, .* is \(144, 4\) there"
    with pytest.raises(UsageError, match=wrong):
        desk.run(others, units=5)


def named(shapes, *, units=4):
    import keras

    return keras.Sequential(
        [
            keras.Input(shapes.image),
            keras.layers.Flatten(),
            keras.layers.Dense(units, name="core"),
            keras.layers.Dense(4, name="middle"),
            keras.layers.Dense(shapes.neurons, activation="softplus", name="neurons"),
        ]
    )


def test_a_named_layer_of_another_shape_starts_anew_and_the_results_say_so(small, desk):
    fit = Fit(named, data=small, split={"validation": 10}, training=Training(epochs=1))
    desk.run(fit)
    assert desk.run(fit, units=5, start=finished(desk)) is not None
    assert desk.facts["start"]["taken"] == ["middle/bias", "neurons/kernel", "neurons/bias"]
    (warning,) = desk.facts["warnings"]
    assert (
        "core/kernel is (144, 5) here and (144, 4) there" in warning and "middle/kernel is (5, 4)" in warning
    )


def test_a_name_that_keras_made_is_recognised_for_classes_of_any_spelling():
    import keras

    from neurofit.models import layers
    from neurofit.models.fitting.weight_matching import _is_automatic

    own = [getattr(layers, name) for name in layers.__all__]
    kinds = [one for one in vars(keras.layers).values() if isinstance(one, type) and one.__module__]
    spelled = [
        type(name, (keras.layers.Layer,), {})
        for name in ("L2Pool2D", "MyLayer", "_Hidden", "ABCd", "x", "GRU2")
    ]
    for kind in [*spelled, *(one for one in [*own, *kinds] if issubclass(one, keras.layers.Layer))]:
        for _ in range(2):
            try:
                layer = kind(*((3,) if kind in own else ()))
            except Exception:  # it needs other arguments
                continue
            assert _is_automatic(layer), layer.name
    assert not _is_automatic(keras.layers.Dense(1, name="core"))
