"""`neurofit plot`: scores over an argument, of two runs, and histograms, from a study's files to a picture."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("matplotlib")

SWEEP = '''
"""Layers whose names are not in the order of the alphabet."""
import neurofit as nf

LAYERS = ["stem", "middle", "avgpool", "a_head"]

def fit(task, *, layer="stem", weights="imagenet", width=1):
    depth = LAYERS.index(layer) + 10 * (weights == "imagenet")
    rows = [f"q,{n},{depth / 100 + n / 10 + task.repetition / 1000},{n if n else ''}" for n in (0, 1, 5)]
    if weights == "none":
        return {"value": 1.0}
    (task.folder / "neurons.csv").write_text(
        "\\n".join(["recording,number,test/correlation,test/explained_variance", *rows]) + "\\n")
    return {"value": 1.0}

experiment = nf.Experiment(
    fit,
    grid=nf.grid(layer=LAYERS) * nf.grid(weights=["imagenet", "random"]) + nf.grid(layer=["stem"], width=[2, 10]),
    repetitions=3,
)
'''


@pytest.fixture(scope="module")
def study(tmp_path_factory, make_study):
    made = make_study(tmp_path_factory.mktemp("scores") / "study")
    made.script("sweep", SWEEP)
    made("submit", "sweep")
    return made


def record(study, *words):
    return json.loads(study("plot", *words, "--json").stdout)


def test_layers_are_in_the_order_of_the_grid_with_a_line_per_weights(study):
    made = record(study, "sweep:0-7", "--what", "over-axis", "--over", "layer", "--by", "weights")
    lines = {(one["metric"], one["label"]): one["points"] for one in made["lines"]}
    assert list(lines) == [
        ("test/correlation", "weights=imagenet"),
        ("test/correlation", "weights=random"),
        ("test/explained_variance", "weights=imagenet"),
        ("test/explained_variance", "weights=random"),
    ]
    points = lines["test/correlation", "weights=random"]
    assert [one["value"] for one in points] == ["stem", "middle", "avgpool", "a_head"]
    assert points[2]["scores"] == pytest.approx([0.22, 0.221, 0.222])
    assert (points[2]["middle"], points[2]["top"]) == pytest.approx((0.221, 0.2218))
    unscored = lines["test/explained_variance", "weights=random"][0]
    assert unscored["neurons"] == [2, 2, 2] and unscored["middle"] == 3  # the empty cell does not count


def test_the_median_over_neurons_can_be_shown_instead(study):
    words = "sweep:0-7", "--what", "over-axis", "--over", "layer", "--metric", "test/correlation"
    made = record(study, *words, "--average", "median")
    assert made["average"] == "median"
    assert made["lines"][1]["points"][0]["scores"] == pytest.approx([0.1, 0.101, 0.102])


def test_numbers_ascend_and_pooled_runs_are_noted(study):
    made = record(study, "sweep", "--what", "over-axis", "--over", "width", "--metric", "test/correlation")
    assert made["lines"][0]["label"].startswith("layer=stem")
    pooled = record(study, "sweep", "--what", "over-axis", "--over", "width", "--by", "architecture")
    points = pooled["lines"][0]["points"]
    assert [one["value"] for one in points] == ["1", "2", "10"]
    assert len(points[0]["scores"]) == 24
    assert any("several runs have the same width and are pooled" in note for note in pooled["notes"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--what", "over-axis"], "needs the argument on the x axis"),
        (["--what", "over-axis", "--over", "laier"], "Did you mean 'layer'?"),
        (["--what", "over-axis", "--over", "layer", "--by", "layer"], "are the same argument"),
        (["--what", "over-axis", "--over", "layer", "--metric", "test/corelation"], "Did you mean"),
        (["--over", "layer"], "--over goes with --what over-axis, not with --what curves"),
        (["--what", "scatter"], "compares two runs, but 10 are selected"),
        (["--what", "histogram"], "10 runs cannot be distinguished in one histogram"),
    ],
)
def test_what_cannot_be_drawn_is_explained(study, words, said):
    assert said in study("plot", "sweep", *words, code=2).stderr.replace("\n", " ")


def test_a_scatter_pairs_neurons_of_two_runs(study):
    made = record(study, "sweep:0", "sweep:1", "--what", "scatter")
    assert made["x"].startswith("sweep:0 (") and made["above"] == 0
    assert [one["number"] for one in made["neurons"]] == ["0", "1", "5"]
    assert made["neurons"][2]["x"] == pytest.approx(0.601)
    assert made["neurons"][2]["y"] == pytest.approx(0.501)
    same = record(study, "sweep:0/0", "sweep:0/2", "--what", "scatter", "--metric", "test/explained_variance")
    assert (same["x"], same["y"], len(same["neurons"])) == ("sweep:0/0", "sweep:0/2", 2)
    assert "1 neuron without a score in both runs is left out." in same["notes"]


def test_a_histogram_has_the_median_over_repetitions_of_every_neuron(study):
    made = record(study, "sweep:0-1", "--what", "histogram")
    assert [one["label"] for one in made["runs"]] == ["weights=imagenet", "weights=random"]
    assert made["runs"][1]["scores"] == pytest.approx([0.001, 0.101, 0.501])


@pytest.mark.parametrize(
    "words",
    [
        ("sweep:0-7", "--what", "over-axis", "--over", "layer"),
        ("sweep", "--what", "over-axis", "--over", "weights"),
        ("sweep:0-1", "--what", "scatter"),
        ("sweep:0-1", "--what", "histogram"),
    ],
)
def test_the_pictures_are_written(study, words):
    study("plot", *words, "-o", "picture.svg")
    drawn = (study.root / "picture.svg").read_text()
    assert "test correlation" in drawn
