"""All that can be wrong with what we are given: a clear error, an exit code, nothing lost, nothing
half-written.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

HEAD = """\
import neurofit as nf

def fit(task, *, x=1, note="a"):
    return {"m": float(len(str(note)))}

"""
GOOD = HEAD + "experiment = nf.Experiment(fit, grid=nf.grid(x=[1, 2]))\n"
NOT_ROOT = os.geteuid() != 0


def untouched(study) -> bool:
    return not any((study.root / "training_data").glob("*/runs.jsonl"))


# names and selectors


@pytest.mark.parametrize(
    "words",
    [["show"], ["submit"], ["submit", "--dry-run"], ["run"], ["status"], ["logs"], ["results"], ["cancel"]],
)
def test_unknown_and_ambiguous_experiments(study, words):
    for name in ("exp3", "a/same", "b/same"):
        study.script(name, GOOD)
    answer = study(*words, "exp4", code=1)
    assert answer.stderr.startswith("Error: No experiment 'exp4' in ")
    assert "Did you mean 'exp3'?" in answer.stderr and answer.stdout == ""
    if words[0] in ("show", "submit", "run"):
        answer = study(*words, "same", code=1)
        assert answer.stderr == "Error: 'same' could be any of: a/same, b/same. Give the whole name.\n"
    assert untouched(study)


def test_ambiguous_names_of_what_was_submitted(study):
    for name in ("a/same", "b/same"):
        study.script(name, GOOD)
        study("submit", name)
    assert "'same' could be any of: a/same, b/same." in study("results", "same", code=1).stderr
    assert study("status", "b/same").stdout.split()[-3:] == ["b/same", "2", "2"]


@pytest.mark.parametrize(
    "words", [["show"], ["submit"], ["run"], ["status"], ["logs"], ["results"], ["cancel"]]
)
def test_selectors_that_match_nothing(study, words):
    study.script("exp3", GOOD)
    study("submit", "exp3")
    answer = study(*words, "exp3:7", code=2)
    assert "`neurofit show exp3` lists" in answer.stderr and answer.stdout == ""


@pytest.mark.parametrize("selector", ["exp3:", "exp3:x", "exp3:3-1", "exp3:1/last", ":3", "exp3:1/"])
def test_selectors_of_another_grammar(study, selector):
    study.script("exp3", GOOD)
    assert "A selector is exp3, exp3:17" in study("submit", selector, code=2).stderr


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("y > 1", "there is no argument 'y'"),
        ("x >", "is not a valid condition"),
        ("__import__('os')", "is not allowed"),
        ("x > 5", "match"),
    ],
)
def test_conditions(study, condition, said):
    study.script("exp3", GOOD)
    assert said in study("submit", "exp3", "--where", condition, code=2).stderr
    assert untouched(study)


def test_no_study_here(study, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    answer = study("status", cwd=tmp_path / "elsewhere", code=1)
    assert answer.stderr.startswith("Error: No study here") and "neurofit init FOLDER" in answer.stderr


def test_commands_and_options_that_do_not_exist(study):
    assert "There is no command 'sumbit'. Did you mean 'submit'?" in study("sumbit", code=2).stderr
    assert "--workers" in study("submit", "exp3", "--wrokers", "3", code=2).stderr
    assert (
        "There is no state 'faild'. Did you mean 'failed'?"
        in study("status", "--state", "faild", code=2).stderr
    )


# scripts and grids


def with_grid(grid: str) -> str:
    return HEAD + f"experiment = nf.Experiment(fit, grid={grid})\n"


RAISES = "import neurofit as nf\ndef helper():\n    return 1 / 0\nhelper()\n"
SEVERAL = GOOD + "other = nf.Experiment(fit)\nthird, experiment = experiment, 3\n"
SCRIPTS = {
    "raises": (RAISES, ["ZeroDivisionError", "line 3, in helper"]),
    "exits": ("raise SystemExit(3)\n", ["SystemExit: 3"]),
    "syntax": ("def f(:\n", ["line 1: SyntaxError"]),
    "nothing": ("x = 1\n", ["has no experiment", "experiment = nf.Experiment("]),
    "several": (SEVERAL, ["several experiments: other, third"]),
    "unknown_argument": (
        with_grid("nf.grid(not_e=[1])"),
        ["no argument 'not_e'", "Did you mean 'note'?", "line 6"],
    ),
    "empty_axis": (with_grid("nf.grid(x=[])"), ["axis 'x' is empty"]),
    "no_json": (with_grid("nf.grid(x=[object()])"), ["axis 'x'", "Allowed values: text"]),
    "nan": (with_grid("nf.grid(x=[float('nan')])"), ["axis 'x'", "nan"]),
    "two_axes": (with_grid("nf.grid(x=[1]) * nf.grid(x=[2])"), ["Two axes are called 'x'"]),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_that_cannot_be_loaded(study, name):
    text, said = SCRIPTS[name]
    path = study.script(name, text)
    for words in (["show"], ["submit"], ["run"]):
        answer = study(*words, name, code=1)
        assert answer.stderr.startswith(f"Error: {path}") and answer.stdout == ""
        assert not [fragment for fragment in said if fragment not in answer.stderr]
        assert "neurofit/cli" not in answer.stderr  # no traceback of ours
    assert untouched(study)


def test_a_broken_script_hides_no_other(study):
    study.script("broken", "1 / 0\n")
    study.script("good", GOOD)
    listed = {one["name"]: one for one in json.loads(study("list", "--json").stdout)["experiments"]}
    assert "ZeroDivisionError" in listed["broken"]["error"]
    assert (listed["good"]["runs"], listed["good"]["error"]) == (2, None)


ODD = """\
import neurofit as nf

TEXTS = []

def fit(task, *, note, number):
    print(note)
    assert note == TEXTS[number]
    return {"m": len(note)}

experiment = nf.Experiment(fit, grid=nf.grid(note=TEXTS).zip(nf.grid(number=list(range(len(TEXTS))))))
"""


def test_arguments_of_any_text_arrive_as_they_are(study):
    texts = [
        'it\'s "quoted"',
        "two words",
        "two\nlines\r\tand",
        "žluťoučký ☃ 神経",
        "$(touch pwned) `touch pwned` ; rm -rf x",
        "x" * 100_000,
        "",
        "--help",
        "\\",
        "\x00\x1b[31m",
    ]
    study.script("odd", ODD.replace("TEXTS = []", f"TEXTS = {texts!r}"))
    study("submit", "odd")
    rows = json.loads(study("results", "odd", "--json").stdout)
    assert [row["note"] for row in rows] == texts and [row["m"] for row in rows] == list(map(len, texts))
    assert not list(study.root.rglob("pwned"))
    for words in (
        ["show", "odd"],
        ["results", "odd"],
        ["status", "odd:all"],
        ["results", "odd", "--by", "run"],
    ):
        shown = study(*words).stdout
        assert "\x1b" not in shown and max(map(len, shown.splitlines())) < 1000
    assert "m  100000" in study("run", "odd:5").stdout


# runners


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "backend: local\nworkerz: 3\n",
            ["has no setting 'workerz'", "Did you mean 'workers'?", "Settings: "],
        ),
        ("backend: local\nresources: {cpu: 3}\n", ["'cpu'", "Did you mean 'cpus'?"]),
        ("backend: local\nworkers: many\n", ["'workers' is 'many'"]),
        ("backend: lokal\n", ["there is no backend 'lokal'", "Did you mean 'local'?"]),
        ("workers: 3\n", ["'backend' is missing"]),
        ("backend: [1\n", ["cannot be read as YAML"]),
        ("backend: gone.py:Queue\n", ["cannot be loaded"]),
    ],
)
def test_profiles(study, text, said):
    study.script("exp3", GOOD)
    path = study.root / "runners" / "mine.yaml"
    path.write_text(text)
    for words in (["submit", "exp3", "--backend", "mine"], ["runners", "check", "mine"]):
        answer = study(*words, code=1)
        assert answer.stderr.startswith(f"Error: {path}: ")
        assert not [fragment for fragment in said if fragment not in answer.stderr]
    listed = study("runners")
    assert "local" in listed.stdout and said[0] in listed.stderr
    assert untouched(study)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--minutes", "1:30"], "'1:30': expected minutes, H:MM:SS or D-H:MM:SS"),
        (["--minutes", "inf"], "'inf': expected minutes"),
        (["--minutes", "0"], "'0': expected minutes"),
        (["--memory", "nan"], "'nan': expected a number from"),
        (["--memory", "1e308"], "'1e308': expected a number from"),
        (["--cpus", "1000000000"], "1000000000 is not in the range"),
        (["--workers", "1000000000"], "1000000000 is not in the range"),
        (["--wait", "nan"], "'nan': expected a number of seconds"),
        (["--repetitions", "1000000000"], "2 runs × 1000000000 repetitions are more than 1,000,000 tasks"),
        (["--repetitions", "9" * 5000], "is not a valid integer range"),
    ],
)
def test_amounts_that_no_job_can_have(study, options, said):
    study.script("exp3", GOOD)
    answer = study("submit", "exp3", "--dry-run", *options, code=None)
    assert (
        said in " ".join(answer.stderr.split())
        and answer.returncode in (1, 2)
        and "Traceback" not in answer.stderr
    )
    assert untouched(study)


def test_a_time_limit_on_the_command_line_may_be_a_clock(study):
    study.script("exp3", GOOD)
    assert "with 1440 min" in study("submit", "exp3", "--dry-run", "--minutes", "24:00:00").stdout


def test_an_experiment_of_more_tasks_than_anybody_runs_is_refused_at_once(study):
    study.script("exp3", GOOD.replace("x=[1, 2])", "x=[1, 2]), repetitions=10**9"))
    assert "are more than 1,000,000 tasks" in study("show", "exp3", code=1).stderr


def test_a_runner_that_does_not_exist(study):
    study.script("exp3", GOOD)
    answer = study("submit", "exp3", "--backend", "locl", code=1)
    assert "no runner 'locl'" in answer.stderr and "Did you mean 'local'?" in answer.stderr


# data

DATA = """\
import numpy as np
import neurofit as nf

def fit(task, *, kind):
    images, responses = np.zeros((5, 3, 3, 1)), np.ones((5, 2))
    if kind == "lengths":
        responses = responses[:4]
    if kind == "nan":
        responses[:, 1] = np.nan
    if kind == "nan_image":
        images[2] = np.nan
    if kind == "missing":
        return {"m": nf.datasets.load("macaque_v1/01", task.study / "data").n_images}
    return {"m": nf.datasets.Dataset("made", {"image": images}, responses).n_images}

experiment = nf.Experiment(fit, grid=nf.grid(kind=["lengths", "nan", "nan_image", "missing"]))
"""


@pytest.fixture(scope="module")
def bad_data(tmp_path_factory, make_study):
    """What `submit` said of tasks whose data are bad, and of each its line."""
    study = make_study(tmp_path_factory.mktemp("bad") / "study")
    study.script("bad", DATA)
    (study.root / "data" / "macaque_v1").mkdir(parents=True)
    study("submit", "bad", code=3)
    return {
        task["run"]: task["cause"]
        for task in json.loads(study("status", "bad:all", "--json", code=3).stdout)["tasks"]
    }


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (0, ["responses", "5", "4"]),
        (1, ["all responses are NaN or masked", "neurons 1"]),
        (2, ["image", "NaN"]),
        (3, ["no file", "neurofit data add macaque_v1 PATH"]),
    ],
)
def test_data_that_do_not_fit(bad_data, run, said):
    assert not [fragment for fragment in said if fragment.lower() not in bad_data[run].lower()], bad_data[run]


def test_damaged_recordings(study, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "01mean50ms_smallim_d2_crop.mat").write_bytes(b"MATLAB 5.0 MAT-file" + b"\x00" * 300)
    answer = study("data", "add", "macaque_v1", str(source), code=1)
    assert "01mean50ms_smallim_d2_crop.mat is not added" in answer.stderr
    (source / "data.tar.gz").write_bytes(b"\x1f\x8b\x08 cut short")
    assert (
        "cannot be read as an archive"
        in study("data", "add", "macaque_v1", str(source / "data.tar.gz"), code=1).stderr
    )
    assert "No kind of recording 'macaque'" in study("data", "add", "macaque", str(source), code=1).stderr
    assert "no such file" in study("data", "add", "macaque_v1", str(tmp_path / "gone"), code=1).stderr
    assert not list((study.root / "data").rglob("*")) if (study.root / "data").exists() else True


# what a fit returns


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("None", "The fit returned None"),
        ("{}", "The fit returned an empty dict"),
        ("3", "The fit returned int '3'"),
        ("{'m': float('nan')}", "Metric 'm' is nan, expected a finite number"),
        ("{'m': float('inf')}", "Metric 'm' is inf"),
        ("{'m': 'good'}", "Metric 'm' is str 'good', expected one number"),
        ("{'m': [1, 2]}", "Metric 'm' is list"),
        ("{3: 1}", "The fit returned a metric named int '3'"),
    ],
)
def test_metrics(study, returned, said):
    study.script(
        "odd", f"import neurofit as nf\ndef fit(task): return {returned}\nexperiment = nf.Experiment(fit)\n"
    )
    answer = study("submit", "odd", code=3)
    assert (
        f"odd:0/0 failed: {said}" in answer.stdout and "    log: training_data/odd/runs/000-" in answer.stdout
    )
    assert study("results", "odd", "--format", "csv").stdout.count("failed") == 1


TWINS = """\
import neurofit as nf

def two_layers(shapes):
    import keras
    start = keras.initializers.GlorotNormal(seed=1)
    inputs = keras.Input(shapes.image)
    hidden = keras.layers.Flatten()(inputs)
    for _ in range(2):
        hidden = keras.layers.Dense(7, kernel_initializer=start, use_bias=False)(hidden)
    parts = [keras.layers.Dense(shapes.neurons, "softplus", kernel_initializer=start)(hidden) for _ in range(2)]
    return keras.Model(inputs, keras.layers.Add()(parts))

experiment = nf.Experiment(nf.models.Fit(two_layers, training=nf.models.Training(epochs=1)))
"""


@pytest.mark.slow
def test_one_initializer_for_two_weights(study):
    study.script("twins", TWINS)
    assert "have equal initial values: give each its own initializer" in study("run", "twins").stderr
    assert "equal initial values" in study("results", "twins").stderr


# the disk


@contextlib.contextmanager
def mounted(*words: str):
    """A mount for as long as the block lasts; skips the test where mounting is not allowed."""
    answer = subprocess.run(["mount", *words], capture_output=True, text=True)
    if NOT_ROOT or answer.returncode:
        pytest.skip(f"cannot mount here: {answer.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", words[-1]], check=True)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_full_disk(study, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    with mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)):
        shutil.copytree(study.root, small, dirs_exist_ok=True)
        study.root = small
        study.script("exp3", GOOD)
        study("submit", "exp3:0")
        before = everything(small / "training_data")
        fill = os.open(small / "fill", os.O_WRONLY | os.O_CREAT)
        with contextlib.suppress(OSError):
            while True:
                os.write(fill, b"x" * 4096)
        os.close(fill)
        for words in (["submit", "exp3"], ["run", "exp3:1"]):
            answer = study(*words, code=1)
            assert "No space left on device" in answer.stderr and "free some space" in answer.stderr
            assert answer.stderr.count("Error: ") == 1 and "Traceback" not in answer.stderr
        assert everything(small / "training_data") == before
        assert study("status", "exp3").stdout.split()[-4:] == ["exp3", "1", "1", "2"]
        assert study("results", "exp3").stdout.count("done") == 1
        (small / "fill").unlink()
        study("submit", "exp3")


def test_read_only_training_data(study):
    study.script("exp3", GOOD)
    study("submit", "exp3:0")
    training_data = study.root / "training_data"
    with mounted("--bind", str(training_data), str(training_data)):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(training_data)], check=True)
        for words in (["submit", "exp3"], ["run", "exp3:1"]):
            answer = study(*words, code=1)
            assert (
                f"Error: {training_data}" in answer.stderr
                and "check its owner and permissions" in answer.stderr
            )
        assert study("status", "exp3").stdout.split()[-4:] == ["exp3", "1", "1", "2"]
        assert study("results", "exp3").stdout.count("done") == 1
        study("list")
        study("submit", "exp3", "--dry-run")
    study("submit", "exp3")


# damaged files


@pytest.fixture
def done(study, own_home):
    """A study with two done runs, and what this user knows of them forgotten."""
    study.script("exp3", GOOD)
    study("submit", "exp3")
    shutil.rmtree(own_home / "cache", ignore_errors=True)
    return study


def the(study, pattern: str) -> Path:
    (path,) = study.root.glob(f"training_data/exp3/{pattern}")
    return path


@pytest.mark.parametrize("damage", [b"", b'{"half": ', b"\xff\xfe\x00", b"[1, 2]"])
def test_a_damaged_outcome(done, damage):
    path = the(done, "runs/000-*/rep-00/attempt-01/outcome.json")
    path.write_bytes(damage)
    answer = done("results", "exp3")
    assert str(path) in answer.stderr and "damaged" in answer.stderr
    assert len([line for line in answer.stdout.splitlines() if " done " in line or " failed " in line]) == 2
    done("status", "exp3", code=None)
    done("submit", "exp3", code=None)
    assert path.read_bytes() == damage  # left for its owner to look at


def test_an_outcome_whose_metrics_are_none_is_named_and_the_journal_has_its_row(done):
    path = next((done.root / "training_data").glob("*/runs/*/rep-00/attempt-01/outcome.json"))
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "metrics": False}))
    answer = done("results", record["experiment"], "--json")
    row = next(
        one for one in json.loads(answer.stdout) if (one["run"], one["repetition"]) == (record["run"], 0)
    )
    assert {name: row[name] for name in record["metrics"]} == record["metrics"]
    assert f"{path}: damaged; its row is the copy in the journal" in answer.stderr


@pytest.mark.parametrize("damage", [b'{"run": 0, "i\n', b"\x00\x00\x00\n", b'{"run": 7}\n'])
def test_damaged_runs(done, damage):
    path = the(done, "runs.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(damage + lines[1])
    for words in (["status", "exp3"], ["results", "exp3"]):
        answer = done(*words)
        assert f"{path}: skipped 1 damaged line(s)" in answer.stderr
    assert "  1  " in done("results", "exp3:1").stdout
    answer = done("submit", "exp3", "--rerun", "--yes", code=1)
    assert "Restore the file from a backup" in answer.stderr
    assert path.read_bytes() == damage + lines[1]


@pytest.mark.parametrize("damage", [b"garbage\n", b'{"outcome": {}}\n', b"\xff\xff\n", b'{"claim": 3}\n'])
def test_a_damaged_journal(done, damage):
    path = the(done, "submissions/*/journal/000000.1.jsonl")
    path.write_bytes(path.read_bytes() + damage)
    answer = done("status", "exp3")
    assert str(path) in answer.stderr and "damaged" in answer.stderr
    assert answer.stdout.split()[-3:] == ["exp3", "2", "2"]
    assert done("results", "exp3").stdout.count(" done ") == 2


@pytest.mark.parametrize("name", ["submission.json", "jobs.tasks", "queue.jsonl"])
def test_a_damaged_submission(done, name):
    path = the(done, f"submissions/*/{name}")
    path.write_bytes(b"{ not any more")
    for words in (
        ["status"],
        ["status", "exp3"],
        ["submit", "exp3", "--dry-run"],
        ["results", "exp3"],
        ["clean"],
    ):
        done(*words)
    if name != "queue.jsonl":
        assert str(path) in done("status", "exp3").stderr
