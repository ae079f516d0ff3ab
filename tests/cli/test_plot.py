"""`neurofit plot`: from a study's files to a picture, without a display."""

from __future__ import annotations

import json
import textwrap

import pytest

pytest.importorskip("matplotlib")

LOGGING = '''
"""Two regions and a shared model."""
import numpy as np
import neurofit as nf

class Fit:
    views = ("filters",)

    def arguments(self):
        return {"x": 1, "region": "a"}

    def __call__(self, task):
        x, r = task.params["x"], task.repetition
        neurons = {"a": 3, "b": 1}[task.params["region"]]
        for step in range(1, 5):
            task.log(step, **{"train/loss": 5.0 - step, "validation/loss": 6.0 - step,
                              "validation/correlation": 0.1 * step + 0.01 * r + (neurons == 1)})
        (task.folder / "neurons.csv").write_text(
            "recording,number,test/correlation\\nq,0,0.5\\nq,1,\\nq,2,0.25\\n".replace("q", task.params["region"]))
        np.savez(task.folder / "predictions.npz", part=["validation", "test", "test"], mask=np.ones((3, 3), bool),
                 responses=[[9, 9, 9], [1, 2, 3], [4, 5, 6]], predictions=[[9.0] * 3, [1.5] * 3, [3.5] * 3])
        task.record(best_epoch=3, stop_reason="patience", neurons_scored=neurons)
        return {"test/correlation": x / 10}

    def view(self, folder, name, neurons):
        return [{"kind": "maps", "title": name, "maps": [[[1.0, -1.0]], [[0.5, 0.0]]], "labels": ["0", "1"],
                 "unit": "weight"},
                {"kind": "points", "title": "centres", "points": [[0.0, 1.0]], "limits": [-1, 1]}]

experiment = nf.Experiment(Fit(), grid=nf.grid(x=[1, 2], region=["a", "b"]), repetitions=3)
'''


def text(block: str) -> str:
    return textwrap.dedent(block).strip("\n")


@pytest.fixture(scope="module")
def logged(tmp_path_factory, make_study):
    study = make_study(tmp_path_factory.mktemp("plots") / "study")
    study.script("logged", LOGGING)
    study("submit", "logged")
    return study


def test_curves_are_drawn_and_their_last_steps_printed(logged):
    answer = logged("plot", "logged:0-1")
    assert (
        answer.stdout
        == text("""
        curve     repetitions  last step  p50    p90    p10
        region=a            3        4.0  0.410  0.418  0.402
        region=b            3        4.0  1.410  1.418  1.402
        Saved logged-0to1-curves.png.
    """)
        + "\n"
    )
    assert answer.stderr == (
        "Neuron counts differ between tasks: 3 and 1 scored.\n"
        "The metric shown is validation/correlation. Choose another with --metric.\n"
        "Next: neurofit plot logged:0 --what progress  ·  neurofit results logged:0-1 --by run\n"
    )
    assert (logged.root / "logged-0to1-curves.png").read_bytes().startswith(b"\x89PNG")


def test_runs_can_be_pooled_and_populations_joined(logged):
    pooled = json.loads(logged("plot", "logged", "--by", "x", "--json").stdout)
    assert [(one["label"], one["repetitions"]) for one in pooled["curves"]] == [("x=1", 6), ("x=2", 6)]
    joined = json.loads(logged("plot", "logged", "--ensemble", "region", "--json").stdout)
    assert [(one["label"], one["repetitions"]) for one in joined["curves"]] == [
        ("x=1, ensemble of region", 3),
        ("x=2, ensemble of region", 3),
    ]
    for curve in joined["curves"]:  # 3 neurons at .4 and 1 at 1.4, plus .01 per repetition
        assert curve["last"] == pytest.approx([0.65, 0.66, 0.67])
        assert curve["at_last_step"] == pytest.approx({"middle": 0.66, "top": 0.668, "bottom": 0.652})


def test_the_thesis_percentiles_steps_and_references(logged):
    words = [
        "--upper-quartile",
        "--limit",
        "2",
        "3",
        "--normalise-steps",
        "--reference",
        "hsm-runs/region1",
        "--json",
    ]
    record = json.loads(logged("plot", "logged:0", *words).stdout)
    assert record["percentiles"] == {"middle": 75, "top": 95, "bottom": 5, "second": 25}
    assert record["curves"][0]["steps"] == pytest.approx([2 / 3, 1])
    assert record["references"][0]["top"] == 0.501 and record["file"] is None
    assert not (logged.root / "logged-curves.svg").exists()


def test_a_picture_is_an_svg_with_its_words(logged):
    logged("plot", "logged:0", "--metric", "train/loss", "--reference", "ours=2", "--bands", "-o", "a.svg")
    drawn = (logged.root / "a.svg").read_text()
    assert "train loss" in drawn and ">ours<" in drawn and "epoch" in drawn


def test_progress_names_the_step_whose_weights_were_kept(logged):
    answer = logged("plot", "logged:0/0", "--what", "progress", "-o", "p.pdf")
    assert (
        answer.stdout
        == text("""
        run       repetition  last step  weights kept  stopped by
        logged:0           0        4.0             3  patience
        Saved p.pdf.
    """)
        + "\n"
    )
    assert (logged.root / "p.pdf").read_bytes().startswith(b"%PDF")


def test_scores_of_neurons(logged):
    answer = logged("plot", "logged:0", "--what", "neurons")
    assert answer.stdout.splitlines()[1].split() == ["logged:0", "3", "3", "0.375", "0.250", "0.500"]
    record = json.loads(logged("plot", "logged:0", "--what", "neurons", "--json").stdout)
    assert record["runs"] == [{"run": 0, "neurons": ["0", "1", "2"], "median": [0.5, None, 0.25]}]


def test_predictions_of_the_best_and_the_worst_neuron(logged):
    answer = logged("plot", "logged:0/0", "--what", "predictions", "-o", "r.svg")
    assert [line.split() for line in answer.stdout.splitlines()[1:4]] == [
        ["best", "0", "0.500"],
        ["median", "0", "0.500"],
        ["worst", "2", "0.250"],
    ]
    assert "best: neuron 0, r = 0.500" in (logged.root / "r.svg").read_text()
    record = json.loads(logged("plot", "logged:0/0", "--what", "predictions", "--json").stdout)
    assert record["neurons"][2] == {
        "which": "worst",
        "neuron": "2",
        "test/correlation": 0.25,
        "responses": [3, 6],
        "predictions": [1.5, 3.5],
    }
    assert (
        "a single task, but 3 are selected. Select one, such as logged:0/0"
        in logged("plot", "logged:0", "--what", "predictions", code=2).stderr
    )


def test_views_are_what_the_fit_shows(logged):
    answer = logged("plot", "logged:0/0", "--what", "filters", "-o", "v.svg")
    assert answer.stdout.splitlines()[1:] == [
        "filters  maps    2 × 1 × 2",
        "centres  points  1 × 2",
        "Saved v.svg.",
    ]
    assert "filters" in (logged.root / "v.svg").read_text()
    absent = logged("plot", "logged:0,9/0", "--what", "filters", "-o", "v.svg")
    assert "logged has no run 9.\n" in absent.stderr and absent.stdout == answer.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["logged", "--metric", "validation/corelation"], "Did you mean 'validation/correlation'?"),
        (["logged", "--by", "regoin"], "Did you mean 'region'?"),
        (["logged", "--by", "x", "--ensemble", "region"], "give only one of them"),
        (["logged:0/0", "--what", "filter"], "Did you mean 'filters'?"),
        (["logged:0", "--what", "filters"], "means 3 tasks"),
        (["logged", "logged", "--what", "filters"], "shows the model of one task"),
        (["logged", "--neurons", "0-8"], "--neurons goes with --what filters"),
        (["logged:0/0", "--what", "filters", "--neurons", "a"], "Write neurons like 0-8,17."),
        (["logged", "-o", "a.gif"], "must end in .png, .pdf, .svg"),
        (["logged", "--state", "failed"], "No task of logged is in the state failed."),
        (["logged", "--limit", "90", "95"], "no repetition has a value between steps 90 and 95"),
        (
            ["logged:0", "--what", "neurons", "--metric", "test/corelation"],
            "Did you mean 'test/correlation'?",
        ),
        ([], "Give an experiment to plot"),
    ],
)
def test_what_cannot_be_drawn_is_an_error(logged, words, said):
    answer = logged("plot", *words, code=2)
    assert said in answer.stderr and answer.stdout == ""


def test_too_many_runs_for_panels(study):
    study.script(
        "many", LOGGING.replace("x=[1, 2]", "x=list(range(1, 16))").replace("repetitions=3", "repetitions=1")
    )
    study("submit", "many:0-29")
    assert "30 curves cannot be distinguished" in study("plot", "many", code=2).stderr
    assert (
        "30 runs do not fit, with one panel each" in study("plot", "many", "--what", "neurons", code=2).stderr
    )


def test_event_files_without_a_study(tmp_path, study):
    protocol = pytest.importorskip("tensorboard.compat.proto.event_pb2")
    for repetition in range(2):
        folder = tmp_path / f"logs/01-02_03-04-05_exp1x12__{repetition}/summaries/test"
        folder.mkdir(parents=True)
        event = protocol.Event(step=7)
        event.summary.value.add(tag="loss/correlation/correlation", simple_value=0.25 + 0.5 * repetition)
        record = event.SerializeToString()
        framed = len(record).to_bytes(8, "little") + bytes(4) + record + bytes(4)
        (folder / "events.out.tfevents.1.host").write_bytes(framed)
    answer = study("plot", "--events", str(tmp_path / "logs"), cwd=tmp_path)
    assert answer.stdout.splitlines()[1].split() == ["exp1x12", "2", "7.0", "0.500", "0.700", "0.300"]
    assert (tmp_path / "logs-curves.png").exists()
