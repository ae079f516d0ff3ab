import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from neurofit.datasets import Dataset
from neurofit.datasets.dataset import equal_rows, reliability
from neurofit.errors import DataError, ShapeError


def test_a_data_set_knows_its_sizes(make):
    dataset = make(n_images=12, n_neurons=3)
    assert (dataset.n_images, dataset.n_neurons, dataset.image_shape) == (12, 3, (4, 5, 1))
    assert dataset.inputs["image"].dtype == np.float32
    assert dataset.image_ids.tolist() == list(range(12))


def test_neurons_get_a_recording_and_a_number(make):
    assert make(n_neurons=2).neurons.to_dict("list") == {"recording": ["toy", "toy"], "number": [0, 1]}


def test_equal_images_share_a_group_and_others_do_not(make):
    images = np.random.default_rng(0).normal(size=(4, 3, 3, 1))
    images[2] = images[0]
    dataset = make(n_images=4, inputs={"image": images})
    assert dataset.groups.tolist() == [0, 1, 0, 2]


def test_images_are_equal_only_if_all_inputs_are():
    left, right = np.array([[1.0], [1.0], [1.0]]), np.array([[1.0], [2.0], [1.0]])
    assert equal_rows([left, right]).tolist() == [0, 1, 0]


def test_what_is_valid_is_there_and_counts(make):
    responses = np.array([[1.0, np.nan], [2.0, 3.0]])
    dataset = make(n_images=2, responses=responses, mask=np.array([[True, True], [False, True]]))
    assert dataset.valid.tolist() == [[True, False], [False, True]]


def test_nan_in_responses_means_missing_and_is_not_an_error(make):
    responses = np.array([[1.0, np.nan], [2.0, 3.0]])
    assert make(n_images=2, responses=responses).valid.sum() == 3


def test_arrays_cannot_be_changed_behind_a_data_sets_back(make):
    dataset = make()
    with pytest.raises(ValueError, match="read-only"):
        dataset.responses[0, 0] = 7
    with pytest.raises(ValueError, match="read-only"):
        dataset.inputs["image"][0] = 7


def test_making_a_data_set_leaves_the_callers_array_writable(make):
    responses = np.ones((12, 3))
    make(responses=responses)
    responses[0, 0] = 2


def test_taking_images_takes_all_that_belongs_to_them(make):
    trials = np.random.default_rng(1).poisson(2.0, (5, 2, 3)).astype(float)
    dataset = make(
        n_images=5,
        responses=trials.mean(axis=1),
        trials=trials,
        image_ids=list("abcde"),
        groups=[0, 0, 1, 2, 3],
        official=["train"] * 4 + ["test"],
        mask=np.ones((5, 3), bool),
        truth={"rates": np.arange(15.0).reshape(5, 3), "parameters": pd.DataFrame({"kind": ["x"] * 3})},
    )
    part = dataset.take([4, 1])
    assert part.image_ids.tolist() == ["e", "b"]
    assert part.groups.tolist() == [3, 0]
    assert part.official.tolist() == ["test", "train"]
    np.testing.assert_array_equal(part.inputs["image"], dataset.inputs["image"][[4, 1]])
    np.testing.assert_array_equal(part.trials, trials[[4, 1]])
    np.testing.assert_array_equal(part.truth["rates"], [[12, 13, 14], [3, 4, 5]])
    assert (part.mask.shape, part.n_images, part.n_neurons) == ((2, 3), 2, 3)


def test_a_data_set_is_shown_in_a_few_lines(make):
    assert repr(make(n_neurons=3)) == "Dataset 'toy': 12 images, 3 neurons\n  input 'image' (12, 4, 5, 1)"
    whole = make(n_neurons=3).derived(
        trials=np.full((12, 2, 3), 1.0),
        mask=np.arange(36).reshape(12, 3) != 5,
        groups=np.arange(12) // 2,
        official=np.where(np.arange(12) < 9, "train", "test"),
        neurons=pd.DataFrame({"recording": ["a", "b", "b"], "number": [0, 0, 1]}),
        truth={"rates": np.zeros((12, 3)), "parameters": pd.DataFrame({"kind": ["a", "b", "c"]})},
    )
    assert repr(whole).splitlines() == [
        "Dataset 'toy': 12 images in 6 groups, 3 neurons of 2 recordings",
        "  input 'image' (12, 4, 5, 1)",
        "  trials (image, trial, neuron) (12, 2, 3)",
        "  responses missing or masked: 2.8%",
        "  official split: 9 train, 3 test",
        "  simulated, with its truth",
    ]


def test_a_bool_per_image_takes_images_too(make):
    assert make().take(np.arange(12) % 4 == 0).image_ids.tolist() == [0, 4, 8]


def test_neurons_are_selected_by_index_or_by_a_condition_on_the_table(make):
    table = pd.DataFrame({"reliability": [0.5, 0.1, 0.9]})
    truth = {"rates": np.zeros((12, 3)), "parameters": pd.DataFrame({"kind": ["a", "b", "c"]})}
    dataset = make(n_neurons=3, truth=truth).derived(neurons=table.assign(recording="toy", number=range(3)))
    chosen = dataset.select_neurons("reliability > 0.15")
    assert chosen.neurons["number"].tolist() == [0, 2]
    assert chosen.neurons.index.tolist() == [0, 1]
    assert chosen.truth["parameters"]["kind"].tolist() == ["a", "c"]
    np.testing.assert_array_equal(chosen.responses, dataset.select_neurons([0, 2]).responses)


def test_a_condition_on_an_unknown_column_names_the_columns(make):
    with pytest.raises(
        DataError, match=r"condition 'depth > 3': there is no column 'depth'.*Columns: recording, number"
    ):
        make().select_neurons("depth > 3")


def test_an_index_beyond_the_end_is_reported_with_the_length(make):
    with pytest.raises(DataError, match=r"Index 12 along 'image', which has 12 elements"):
        make().take([3, 12])


def test_images_and_responses_of_different_lengths_are_named_with_both_shapes(make):
    message = (
        r"toy: 270 images but 269 rows of responses: inputs\['image'\] \(270, 4, 5, 1\) and resp.*\(269, 3\)"
    )
    with pytest.raises(ShapeError, match=message):
        make(n_images=269, inputs={"image": np.zeros((270, 4, 5, 1))})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("inputs", {}, "inputs is empty"),
        (
            "inputs",
            {"image": np.zeros((12, 4, 5))},
            r"inputs\['image'\] has 3 axes.*expected \(image, height, width",
        ),
        (
            "inputs",
            {"image": np.zeros((12, 4, 5, 1)), "at": np.zeros(11)},
            r"11 images but 12 rows.*inputs\['at'\]",
        ),
        ("responses", np.zeros(12), r"responses has 1 axes, \(12,\); expected \(image, neuron\)"),
        ("responses", np.zeros((12, 0)), "responses .* is empty"),
        ("trials", np.zeros((12, 3)), r"trials has 2 axes"),
        ("trials", np.zeros((12, 4, 2)), r"trials .*\(12, 4, 2\) do not fit responses .*\(12, 3\)"),
        ("mask", np.ones((12, 2), bool), r"mask .*\(12, 2\) does not fit responses .*\(12, 3\)"),
        ("image_ids", range(11), r"image_ids \(image,\) has shape \(11,\) but responses"),
        ("groups", range(11), r"groups \(image,\) has shape \(11,\)"),
        ("official", ["test"], r"official \(image,\) has shape \(1,\)"),
        ("neurons", pd.DataFrame({"x": [1.0]}), "neurons has 1 rows but responses"),
    ],
)
def test_what_does_not_fit_is_a_shape_error_that_names_it(make, field, value, message):
    with pytest.raises(ShapeError, match=message):
        make(**{field: value})


def test_nan_in_an_input_is_an_error_that_names_the_images(make):
    images = np.zeros((12, 4, 5, 1))
    images[[3, 7], 0, 0, 0] = np.nan
    with pytest.raises(
        DataError, match=r"inputs\['image'\] has NaN or infinite values in 2 of 12 images \(3, 7\)"
    ):
        make(inputs={"image": images})


def test_a_neuron_without_a_single_response_is_named(make):
    responses = np.ones((12, 3))
    responses[:, 1] = np.nan
    with pytest.raises(
        DataError, match=r"all responses are NaN or masked for neurons 1: leave these columns out"
    ):
        make(responses=responses)


def test_a_part_may_hold_a_neuron_without_responses(make):
    responses = np.ones((12, 3))
    responses[:6, 1] = np.nan
    assert not make(responses=responses).take(range(6)).valid[:, 1].any()


def test_infinite_responses_are_an_error(make):
    responses = np.ones((12, 3))
    responses[0, 2] = np.inf
    with pytest.raises(DataError, match="infinite responses of neurons 2"):
        make(responses=responses)


def test_double_image_ids_are_named(make):
    with pytest.raises(DataError, match="more than once: b"):
        make(n_images=3, image_ids=list("abb"))


def test_an_unknown_official_part_is_an_error(make):
    with pytest.raises(DataError, match="official holds dev, train, expected 'train' and 'test'"):
        make(n_images=2, official=["train", "dev"])


def test_a_mask_of_numbers_is_an_error(make):
    with pytest.raises(DataError, match="mask holds float64, expected bool"):
        make(mask=np.ones((12, 3)))


def test_the_hash_sees_every_content_and_not_the_name(make):
    dataset = make()
    changed = dataset.responses.copy()
    changed[0, 0] += 1
    others = [
        make(responses=changed),
        make(image_ids=range(1, 13)),
        make(groups=[0] * 12),
        make(mask=np.ones((12, 3), bool)),
        make(official=["train"] * 11 + ["test"]),
        make(neurons=pd.DataFrame({"x": [0.0, 1, 2]})),
        dataset.take(range(11)),
    ]
    assert len({other.hash() for other in [dataset, *others]}) == len(others) + 1
    assert make(name="toy").hash() == make(name="other", neurons=dataset.neurons).hash()
    assert len(dataset.hash()) == 12


@pytest.mark.process
def test_the_hash_is_the_same_in_another_process():
    toy = "Dataset('a', {'image': np.arange(8).reshape(2, 2, 2, 1)}, [[1, np.nan], [0, 2]], image_ids=['p', 'q'])"
    code = f"import numpy as np; from neurofit.datasets import Dataset; print({toy}.hash())"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    images = np.arange(8).reshape(2, 2, 2, 1)
    assert (
        Dataset("a", {"image": images}, [[1, np.nan], [0, 2]], image_ids=["p", "q"]).hash()
        == run.stdout.strip()
    )


def test_reliability_is_the_signals_share_of_a_single_trials_variance():
    rng = np.random.default_rng(0)
    signal = rng.normal(0, 2.0, (4000, 1, 1))  # variance 4, noise 12: a share of 1/4
    trials = signal + rng.normal(0, 12**0.5, (4000, 6, 1))
    np.testing.assert_allclose(reliability(trials), [0.25], atol=0.02)


def test_reliability_of_a_hand_worked_case():
    trials = np.array([[[1.0], [3.0]], [[5.0], [7.0]]])  # noise 2; total variance of 1, 3, 5, 7 is 20/3
    np.testing.assert_allclose(reliability(trials), [(20 / 3 - 2) / (20 / 3)])


def test_reliability_is_unknown_without_repeated_images():
    assert np.isnan(reliability(np.ones((4, 1, 2)))).all()


def test_labels_are_part_of_the_hash_only_where_there_are_some():
    images, responses = np.arange(8.0).reshape(4, 2), np.arange(4.0)[:, None]
    plain = Dataset("toy", {"image": images[..., None, None]}, responses)
    labelled = Dataset("toy", {"image": images[..., None, None]}, responses, labels={"object": list("aabc")})
    assert plain.hash() == Dataset("toy", plain.inputs, responses, labels={}).hash() != labelled.hash()
    assert plain.hash() == "4ec9fd759cd4"
    assert "labels 'object' (3 values)" in repr(labelled) and "labels" not in repr(plain)


def test_taken_images_keep_their_labels_and_a_wrong_name_gets_the_nearest():
    images, responses = np.arange(8.0).reshape(4, 2, 1, 1), np.arange(4.0)[:, None]
    data = Dataset("toy", {"image": images}, responses, labels={"object": list("abcd"), "size": [1, 2, 3, 4]})
    taken = data.take([2, 0]).select_neurons([0])
    assert taken.label("object").tolist() == ["c", "a"] and taken.label("size").tolist() == [3, 1]
    with pytest.raises(DataError, match=r"no label 'objekt'. Labels: object, size. Did you mean 'object'\?"):
        data.label("objekt")
    with pytest.raises(DataError, match="toy: no label"):
        Dataset("toy", {"image": images}, responses).label("object")


@pytest.mark.parametrize(
    "labels, error, message",
    [
        ({"object": ["a"]}, ShapeError, r"label 'object' \(image,\) has shape \(1,\)"),
        ({"object": [0.5, 1, 2, 3]}, DataError, "label 'object' holds float64, expected text or one int"),
    ],
)
def test_labels_are_one_text_or_int_per_image(labels, error, message):
    with pytest.raises(error, match=message):
        Dataset("toy", {"image": np.zeros((4, 2, 2, 1))}, np.arange(4.0)[:, None], labels=labels)
