"""The thesis' architectures, as NDN3 itself had them; its data, and its study of synthetic noise."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import numpy as np
import pytest

import neurofit as nf
from neurofit.errors import UsageError

architectures, thesis = nf.models.architectures, nf.models.thesis

STACKS = {
    "A_stack_bl4": (architectures.dog_hidden, {"reg_l": 0.1}),
    "A_stack_bs4_exp1": (architectures.lnln, {"reg_h": 0.1, "reg_l": 0.1}),
    "A_stack_bs4_exp10_sep": (architectures.conv_dog, {"activation": "linear", "hidden_lt": "sep"}),
    "A_stack_bs4_exp8": (architectures.conv_factorised, {"c_filters": 12}),
    "D_grad_bl4": (architectures.dog_hidden, {"reg_l": 0.1}),
    "D_grad_bs4_exp10_sep": (architectures.conv_dog, {"activation": "linear", "hidden_lt": "sep"}),
    "D_grad_whatwhere": (
        architectures.conv_factorised,
        {"c_filters": 8, "conv_reg_str": 1.0, "last_str": 0.01},
    ),
}


def shapes(size=31, neurons=20):
    return SimpleNamespace(image=(size, size, 1), neurons=neurons)


def with_weights_of(case, model):
    """The model with NDN3's weights, layer by layer."""
    for index, layer in enumerate(layer for layer in model.layers if layer.weights):
        weights, biases = case.arrays[f"L{index}_weights"], case.arrays[f"L{index}_biases"]
        arrays = [weights.reshape(-1, weights.shape[-1])]
        if "Gaussians" in type(layer).__name__:
            arrays = [weights[:6]]
        elif "Readout" in type(layer).__name__:
            arrays = np.split(weights, [layer.what.shape[0]])
        shapes_now = [weight.shape for weight in layer.weights]
        layer.set_weights([array.reshape(shape) for array, shape in zip([*arrays, biases], shapes_now)])
    return model


def penalised(model):
    """Layer/weight of each penalty, and its name where a weight has several."""
    return sorted(name.partition("/")[2] for name in nf.models.penalties(model))


@pytest.mark.slow
@pytest.mark.parametrize("name", STACKS)
def test_an_architecture_predicts_and_is_penalised_as_in_ndn3(name, reference, close):
    case = reference(name)
    function, arguments = STACKS[name]
    model = with_weights_of(case, function(shapes(), **arguments))
    images, expected = (
        (case.in_X, case.out) if name.startswith("A") else (case.in_X_batch, case.arrays["out_pred_batch"])
    )
    close(model(images), expected)
    if "out_reg_pen" in case.arrays:
        close(sum(nf.models.penalties(model).values()), case.out_reg_pen)


@pytest.mark.slow
def test_the_penalties_of_a_convolution_and_its_hidden_layer():
    model = architectures.conv_penalised(shapes(), hidden_t="max", hidden_lt="normal")
    assert penalised(model) == ["features/kernel", "hidden/kernel", "neurons/kernel"]
    model = architectures.conv_penalised(shapes(), hidden_t="l1", hidden_lt="sep")
    assert penalised(model) == ["features/kernel", "hidden/what", "hidden/where", "neurons/kernel"]


@pytest.mark.slow
def test_an_l2_that_the_thesis_lost_is_left_out_and_reported(caplog):
    with caplog.at_level(logging.WARNING):
        model = architectures.conv_penalised(shapes(), hidden_t="l2", hidden_s=1.0)
    assert penalised(model) == ["features/kernel", "neurons/kernel"]
    assert "hidden_t=l2, hidden_s=1 has no effect" in caplog.text


@pytest.mark.slow
def test_norm2_filt_changes_no_model_and_is_reported(caplog):
    with caplog.at_level(logging.WARNING):
        model = architectures.conv_factorised_norm2(shapes(), norm2_filt=0.1)
    assert "norm2_filt=0.1 has no effect" in caplog.text
    assert penalised(model) == [
        "features_1/kernel",
        "features_2/kernel",
        "features_3/kernel",
        "neurons/what",
        "neurons/where",
    ]


@pytest.mark.slow
def test_competition_among_channels_is_on_convolutions_that_have_several():
    found = penalised(architectures.conv_factorised_max(shapes(), max_filt=0.1))
    assert [name for name in found if "MaxFilters" in name] == [
        "features_2/kernel/MaxFilters",
        "features_3/kernel/MaxFilters",
    ]
    colour = SimpleNamespace(image=(31, 31, 3), neurons=20)
    assert "features_1/kernel/MaxFilters" in penalised(
        architectures.conv_factorised_max(colour, max_filt=0.1)
    )


@pytest.mark.slow
def test_l2_on_a_readout_is_on_where_alone():
    found = penalised(architectures.conv_factorised(shapes(), last_type="l2"))
    assert [name for name in found if name.startswith("neurons")] == ["neurons/where"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "sides"),
    [
        ({"spacing": 2}, [16, 8, 4]),
        ({"spacing": 1}, [31] * 3),
        ({"spacing": 0}, [6] * 3),
        ({"spacing": 0, "secondary_conv_size": 8}, [6, 2, 1]),
    ],
)
def test_strides_of_three_convolutions(arguments, sides):
    model = architectures.conv_factorised(shapes(), c_filters=2, **arguments)
    assert [layer.output.shape[1] for layer in model.layers[:3]] == sides


@pytest.mark.slow
@pytest.mark.parametrize(("size", "side"), [(3, 16), (5, 11), (7, 8), (15, 4), (30, 3)])
def test_a_convolution_steps_by_half_its_size_rounded_up(size, side):
    model = architectures.conv_hidden(shapes(), c_size=size)
    assert model.layers[0].output.shape[1] == side


@pytest.mark.slow
def test_dropout_is_one_draw_for_a_whole_batch_and_off_when_predicting():
    model = architectures.dog_dropout(shapes(neurons=100), hidden=0.4, dropout_h=0.5)
    dropout = model.get_layer("dropout")
    dropped = np.asarray(dropout(np.ones((5, 40), np.float32), training=True))
    assert set(np.unique(dropped)) == {0.0, 2.0}
    assert (dropped == dropped[0]).all()
    assert (np.asarray(dropout(np.ones((5, 40), np.float32))) == 1).all()


@pytest.mark.slow
def test_dropout_that_keeps_nothing_predicts_one_rate_per_neuron():
    model = architectures.dog_dropout(shapes(), dropout_h=0)
    images = np.random.default_rng(0).normal(size=(6, 31, 31, 1)).astype(np.float32)
    assert np.ptp(np.asarray(model(images)), axis=0).max() == 0


@pytest.mark.slow
def test_a_share_beyond_one_is_refused():
    with pytest.raises(UsageError, match="the share of units to keep"):
        architectures.dog_dropout(shapes(), dropout_h=1.5)


@pytest.mark.slow
def test_a_hidden_layer_of_another_kind_is_refused():
    with pytest.raises(UsageError, match="expected 'normal' or 'sep'"):
        architectures.conv_dog(shapes(), hidden_lt="dense")


# ---- data


def test_regions_are_named_as_the_recordings_are():
    assert thesis.several_regions(regions=[1, 2, 3]) == "antolik_2016/region1+region2+region3"
    assert thesis.one_region(region=2) == "antolik_2016/region2"


def test_simulated_regions_are_stacked_with_a_mask():
    dataset = thesis.several_regions(regions=[1, 2], data="simulated")
    assert dataset.n_neurons == 103 + 55
    assert dataset.valid.sum() == 450 * (103 + 55)
    assert (dataset.official == "test").sum() == 100
    assert dataset.inputs["image"].max() <= 2.56e-4
    assert list(dataset.neurons["recording"].unique()) == ["simulated/region1", "simulated/region2"]


# ---- synthetic noise


def test_noise_is_as_strong_as_requested_and_no_response_is_negative(small):
    dataset = small()
    rates = np.full(dataset.responses.shape, 4.0)
    noised = thesis.synthetic(dataset, rates, noise_coef=2, eval_noised=True)
    train, test = noised.responses[dataset.official == "train"], noised.responses[dataset.official == "test"]
    assert train.min() == 0  # the lowest, -x, was made good by adding x to all
    assert train.std() == pytest.approx(2 * 2, rel=0.1)
    assert test.std() == pytest.approx(2 * 2 / np.sqrt(3), rel=0.2)  # the mean of three


def test_without_noise_on_evaluation_test_responses_are_the_rates(small):
    dataset = small()
    rates = dataset.truth["rates"]
    clean = thesis.synthetic(dataset, rates, noise_coef=1, eval_noised=False)
    noised = thesis.synthetic(dataset, rates, noise_coef=1, eval_noised=True)
    test = dataset.official == "test"
    assert (clean.responses[test] == rates[test]).all()
    assert (clean.responses[~test] == noised.responses[~test]).all()
    assert (clean.truth["noised"] == noised.responses).all()


@pytest.mark.slow
def test_a_synthetic_fit_has_six_scores_and_what_the_noise_left(desk, small):
    def truth(*, noise_coef, eval_noised):
        dataset = small()
        return thesis.synthetic(
            dataset, dataset.truth["rates"], noise_coef=noise_coef, eval_noised=eval_noised
        )

    fit = thesis.fit(architectures.ln, data=truth, epochs=30, jit=False, kind=thesis.SyntheticFit)
    metrics = desk.run(fit, noise_coef=0.5, eval_noised=False)
    names = {
        f"{part}/correlation_{target}"
        for part in ("train", "test")
        for target in ("noised", "generated", "true")
    }
    assert names <= metrics.keys()
    assert metrics["test/correlation_generated"] == pytest.approx(metrics["test/correlation"], abs=1e-5)
    assert metrics["train/correlation_noised"] == pytest.approx(metrics["train/correlation"], abs=1e-5)
    assert metrics["train/correlation_true"] < metrics["train/correlation_noised"]
    assert 0 < metrics["train/noise_correlation"] < metrics["test/noise_correlation"] < 1


@pytest.mark.slow
def test_generated_responses_are_a_models_predictions_of_each_part_by_its_own_statistics(keras, small):
    dataset = small()
    size = int(np.prod(dataset.image_shape))
    mean = keras.layers.Dense(dataset.n_neurons, use_bias=False, kernel_initializer="ones")
    model = keras.Sequential([keras.Input(dataset.image_shape), keras.layers.Flatten(), mean])
    rates = thesis.generated(model, dataset)
    images = dataset.inputs["image"].reshape(-1, size).astype(np.float64)
    for part in ("train", "test"):
        chosen = images[dataset.official == part]
        expected = ((chosen - chosen.mean()) / chosen.std()).sum(axis=1)
        assert rates[dataset.official == part, 0] == pytest.approx(expected, rel=1e-3, abs=1e-2)
