"""Recordings of one's own: arrays, HDF5 files, folders of images."""

from __future__ import annotations

import csv

import h5py
import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image

from neurofit import datasets
from neurofit.datasets import from_arrays, from_folder, from_hdf5
from neurofit.errors import DataError, ShapeError

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 255, (6, 5, 4), np.uint8)
RESPONSES = RANDOM.normal(size=(6, 3))
TRIALS = RANDOM.normal(size=(6, 4, 3))


def test_arrays_become_a_data_set_that_can_be_split():
    cells = from_arrays(
        images=IMAGES,
        responses=RESPONSES,
        neurons={"area": ["V1", "V1", "IT"]},
        groups=["a", "a", "b", "b", "c", "c"],
        labels={"category": ["x", "y"] * 3},
        image_ids=[f"{n}.png" for n in range(6)],
        name="mine",
    )
    assert cells.image_shape == (5, 4, 1) and cells.inputs["image"].dtype == np.float32
    np.testing.assert_array_equal(cells.inputs["image"][..., 0], IMAGES)
    assert cells.groups.tolist() == [0, 0, 1, 1, 2, 2]
    assert cells.select_neurons("area == 'IT'").n_neurons == 1
    parts = datasets.split(cells, datasets.Split(validation=1 / 3, test=1 / 3, rule="exact"), seed=0)
    assert [part.n_images for part in (parts.train, parts.validation, parts.test)] == [2, 2, 2]


@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 2**31))
def test_responses_are_the_means_of_the_trials_that_there_are(repeats, neurons, seed):
    random = np.random.default_rng(seed)
    trials = random.normal(size=(6, repeats, neurons))
    trials[random.random(trials.shape) < 0.3] = np.nan
    trials[0] = 1.0  # every neuron has a response
    cells = from_arrays(images=IMAGES, trials=trials)
    for image in range(6):
        for neuron in range(neurons):
            given_ = trials[image, :, neuron][~np.isnan(trials[image, :, neuron])]
            expected = given_.mean() if len(given_) else np.nan
            np.testing.assert_allclose(cells.responses[image, neuron], expected)
    np.testing.assert_array_equal(cells.trials, trials)


def test_responses_may_be_rounded_means_of_their_trials():
    means = TRIALS.mean(axis=1).astype(np.float32)
    assert from_arrays(images=IMAGES, trials=TRIALS, responses=means).trials is not None


@pytest.mark.parametrize(
    ("given_", "error", "message"),
    [
        ({}, DataError, "neither responses"),
        ({"responses": RESPONSES.T}, ShapeError, r"6 images and responses \(3, 6\).*Use responses\.T"),
        ({"responses": RESPONSES[:5]}, ShapeError, "6 images but 5 rows"),
        ({"responses": [["a"] * 3] * 6}, DataError, "responses holds <U1, expected numbers"),
        ({"trials": RESPONSES}, ShapeError, "trials has 2 axes"),
        ({"trials": TRIALS.transpose(1, 0, 2)}, ShapeError, "image, which seems to be axis 1"),
        ({"trials": TRIALS[:5]}, ShapeError, r"6 images and trials \(5, 4, 3\)"),
        ({"trials": TRIALS, "responses": RESPONSES[:, :2]}, ShapeError, r"responses \(6, 2\) and trials"),
        (
            {"trials": TRIALS, "responses": RESPONSES},
            DataError,
            r"responses\[0, 0\] is .* mean of its trials is",
        ),
        ({"responses": RESPONSES, "neurons": {"area": ["V1"]}}, ShapeError, "'area' of neurons has 1 values"),
        ({"responses": RESPONSES, "images": IMAGES[0]}, ShapeError, "images has 2 axes"),
        ({"responses": RESPONSES, "images": np.zeros((6, 3, 20, 20))}, ShapeError, "channels first"),
        ({"responses": RESPONSES, "groups": [1, 2]}, ShapeError, "groups"),
        ({"responses": RESPONSES, "official": ["train"] * 5 + ["val"]}, DataError, "official holds"),
        ({"responses": RESPONSES, "image_ids": [0] * 6}, DataError, "must be unique"),
        ({"responses": RESPONSES, "labels": {"a": [1]}}, ShapeError, "label 'a'"),
    ],
)
def test_contradictions_name_both_sides(given_, error, message):
    with pytest.raises(error, match=message):
        from_arrays(**{"images": IMAGES, **given_})


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.h5"
    with h5py.File(path, "w") as opened:
        opened["session1/stimuli"] = IMAGES
        opened["session1/spikes"] = TRIALS
        opened["category"] = ["face", "car"] * 3
        opened["area"] = np.array([b"V1", b"V4", b"IT"])
        opened["bad"] = np.array([b"\xff"] * 6)
        opened["responses"] = RESPONSES
    return path


def test_arrays_of_an_hdf5_file_are_read_by_their_keys(file):
    cells = from_hdf5(
        file,
        images="session1/stimuli",
        trials="session1/spikes",
        labels={"category": "category"},
        neurons={"area": "area"},
    )
    assert cells.name == "mine" and cells.label("category").tolist() == ["face", "car"] * 3
    assert cells.neurons["area"].tolist() == ["V1", "V4", "IT"]
    np.testing.assert_allclose(cells.responses, TRIALS.mean(axis=1))
    assert from_hdf5(file, images="session1/stimuli").trials is None


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "no array 'images'"),
        ({"images": "session1/stimuli", "responses": "responces"}, "Did you mean 'responses'"),
        ({"images": "session1/stimuli", "labels": {"a": "bad"}}, "not text in UTF-8"),
        ({"images": "session1"}, "no array 'session1'"),
    ],
)
def test_a_key_that_is_missing_or_unreadable_is_named(file, keys, message):
    with pytest.raises(DataError, match=message):
        from_hdf5(file, **keys)


def test_a_file_that_is_not_hdf5_is_refused(tmp_path):
    (tmp_path / "a.h5").write_text("text")
    with pytest.raises(DataError, match="cannot be read as an HDF5 file"):
        from_hdf5(tmp_path / "a.h5")


@pytest.fixture
def folder(tmp_path):
    for number in range(6):
        Image.fromarray(IMAGES[number]).save(tmp_path / f"{number}.png")
    rows = [
        {
            "image": f"{number}.png",
            "category": "xy"[number % 2],
            "a": RESPONSES[number, 0],
            "b": RESPONSES[number, 1],
        }
        for number in range(6)
    ]
    rows[2]["b"] = ""

    def write(*more: dict, drop: str = "") -> None:
        kept = [{key: value for key, value in row.items() if key != drop} for row in [*rows, *more]]
        with open(tmp_path / "responses.csv", "w", newline="") as opened:
            writer = csv.DictWriter(opened, kept[0])
            writer.writeheader()
            writer.writerows(kept)

    write()
    return tmp_path, write


def test_a_folder_of_images_and_a_table_become_a_data_set(folder):
    path, _ = folder
    cells = from_folder(path, labels=["category"])
    np.testing.assert_array_equal(cells.inputs["image"][..., 0], IMAGES)
    assert cells.neurons["label"].tolist() == ["a", "b"] and np.isnan(cells.responses[2, 1])
    assert cells.image_ids.tolist() == [f"{number}.png" for number in range(6)]
    assert cells.label("category").tolist() == ["x", "y"] * 3 and cells.trials is None


def test_rows_with_one_image_are_its_trials(folder):
    path, write = folder
    write({"image": "0.png", "category": "x", "a": 7.0, "b": 8.0})
    cells = from_folder(path, labels=["category"])
    assert cells.trials.shape == (6, 2, 2) and np.isnan(cells.trials[1:, 1]).all()
    np.testing.assert_allclose(cells.responses[0], (RESPONSES[0, :2] + [7.0, 8.0]) / 2)


def test_colour_images_have_three_channels(tmp_path):
    for number in range(2):
        Image.fromarray(RANDOM.integers(0, 255, (5, 4, 3), np.uint8)).save(tmp_path / f"{number}.png")
    (tmp_path / "responses.csv").write_text("image,a\n0.png,1\n1.png,2\n")
    assert from_folder(tmp_path).image_shape == (5, 4, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: (path / "responses.csv").unlink(), "no such file"),
        (lambda path: (path / "responses.csv").write_text(""), "no rows"),
        (lambda path: (path / "responses.csv").write_text("file,a\n0.png,1\n"), "no column 'image'"),
        (
            lambda path: (path / "responses.csv").write_text("image,a,a\n0.png,1,2\n"),
            "two columns are called 'a'",
        ),
        (lambda path: (path / "responses.csv").write_text("image\n0.png\n"), "no column with the responses"),
        (
            lambda path: (path / "responses.csv").write_text("image,a\n0.png,1,2\n"),
            "row 2 has another number",
        ),
        (lambda path: (path / "responses.csv").write_text("image,a\n0.png\n"), "row 2 has another number"),
        (
            lambda path: (path / "responses.csv").write_text("image,a\n0.png,x\n"),
            "'x' in column 'a' is no number",
        ),
        (lambda path: (path / "responses.csv").write_bytes(b"image,a\n\xff,1\n"), "cannot be read as CSV"),
        (lambda path: (path / "1.png").unlink(), "no such image; the table names it"),
        (lambda path: (path / "1.png").write_text("text"), "cannot be read as an image"),
        (
            lambda path: Image.fromarray(IMAGES[0][:3]).save(path / "1.png"),
            "All images of a data set have one size",
        ),
        (lambda path: Image.fromarray(IMAGES[0]).convert("P").save(path / "1.png"), "mode P"),
        (
            lambda path: Image.fromarray(IMAGES[0]).convert("RGBA").save(path / "1.png"),
            "without transparency",
        ),
    ],
)
def test_a_folder_that_does_not_fit_together_is_refused(folder, change, message):
    path, write = folder
    write(drop="category")
    change(path)
    with pytest.raises((DataError, ShapeError), match=message):
        from_folder(path)


def test_a_label_that_differs_between_trials_is_refused(folder):
    path, write = folder
    write({"image": "0.png", "category": "other", "a": 7.0, "b": 8.0})
    with pytest.raises(DataError, match=r"0\.png has both 'other' and 'x' in column 'category'"):
        from_folder(path, labels=["category"])
