"""`neurofit predict`: from a finished task and other images to a file."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

import neurofit

SCRIPT = """
    import numpy as np
    import pandas as pd
    import neurofit as nf
    from neurofit.models.baselines import LinearFit, pixels

    def toy():
        rng = np.random.default_rng(0)
        images = rng.normal(size=(60, 5, 5, 1))
        responses = images.reshape(60, 25) @ rng.normal(size=(25, 3))
        neurons = pd.DataFrame({"recording": ["=a", "b", "b"], "number": [0, 1, 2]})
        return nf.datasets.Dataset("toy", {"image": images}, responses, neurons=neurons)

    experiment = nf.Experiment(LinearFit(pixels, data=toy), grid=nf.grid(power=[1]), repetitions=2)
"""


@pytest.fixture
def linear(study):
    import textwrap

    study.script("linear", textwrap.dedent(SCRIPT))
    study("run", "linear:0/0")
    np.save(study.root / "mine.npy", np.random.default_rng(1).normal(size=(7, 5, 5, 1)))
    return study


def test_the_same_predictions_are_written_in_every_format(linear):
    said = linear("predict", "linear:0/0", "--data", "mine.npy", "--out", "found.npy").stdout
    assert said == "Saved found.npy: 7 images, 3 neurons.\n"
    values = np.load(linear.root / "found.npy")
    assert values.shape == (7, 3)
    np.testing.assert_array_equal(
        values, neurofit.predict("linear:0/0", "mine.npy", study=linear.root).values
    )
    record = json.loads(linear("predict", "linear:0/0", "--data", "mine.npy", "-o", "a.npz", "--json").stdout)
    assert record == {"file": "a.npz", "images": 7, "neurons": 3}
    with np.load(linear.root / "a.npz") as found:
        np.testing.assert_array_equal(found["predictions"], values)
        assert found["neuron"].tolist() == ["=a/0", "b/1", "b/2"]
        assert found["image_id"].tolist() == [str(number) for number in range(7)]
    linear("predict", "linear:0/0", "--data", "mine.npy", "--out", "found.csv")
    with (linear.root / "found.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["image_id", "'=a/0", "b/1", "b/2"]  # a spreadsheet must not compute a name
    assert [row[0] for row in rows] == [str(number) for number in range(7)]
    np.testing.assert_allclose(np.array(rows, float)[:, 1:], values, rtol=1e-12)


def test_a_file_of_images_is_looked_for_in_the_current_folder(linear):
    inner = linear.root / "jobs"
    linear("predict", "linear:0/0", "--data", "../mine.npy", "--out", "here.npy", cwd=inner)
    assert (inner / "here.npy").exists()


@pytest.mark.parametrize(
    ("words", "code", "parts"),
    [
        (["linear:0/0", "--data", "mine.npy"], 2, ["Missing option", "--out"]),
        (["linear:0/0", "--out", "found.npy"], 2, ["Missing option", "--data"]),
        (["linear:0/0", "--data", "mine.npy", "--out", "found.txt"], 2, ["'found.txt'", ".npy, .npz, .csv"]),
        (["linear:0/0", "--data", "mine.npy", "--out", "no/found.npy"], 2, ["the folder", "does not exist"]),
        (
            ["linear:0/1", "--data", "mine.npy", "--out", "found.npy"],
            1,
            ["'linear:0/1' cannot be loaded", "new"],
        ),
        (["linear:0", "--data", "mine.npy", "--out", "found.npy"], 2, ["means 2 tasks", "linear:0/0"]),
        (
            ["linear:0/0", "--data", "macaque", "--out", "found.npy"],
            1,
            ["No data set 'macaque'", "macaque_v1"],
        ),
        (
            ["linear:0/0", "--data", "macaque_v1/02", "--out", "found.npy"],
            1,
            ["no file", "neurofit data add"],
        ),
        (
            ["linear:0/0", "--data", "none.npy", "--out", "found.npy"],
            1,
            ["none.npy", "cannot be read as images"],
        ),
    ],
)
def test_mistakes_are_explained_and_write_nothing(linear, words, code, parts):
    message = linear("predict", *words, code=code).stderr
    assert all(part in message for part in parts), message
    assert not list(linear.root.glob("found*"))


def test_a_fit_without_predict_is_named(quick):
    quick("run", "quick:0/0")
    np.save(quick.root / "mine.npy", np.zeros((2, 5, 5, 1)))
    message = quick("predict", "quick:0/0", "--data", "mine.npy", "--out", "found.npy", code=2).stderr
    assert "The fit of quick has no method predict(folder, data, study)" in message
