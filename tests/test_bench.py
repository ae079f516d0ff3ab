"""`scripts/bench training` and `studies`: their tables and JSON; other parts of `scripts/bench`."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import statistics
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
WAYS = {
    "hand-written loop",
    "hand-written loop, jit",
    "neurofit's loop",
    "neurofit's loop, jit",
    "its update, called alone",
    "Keras fit",
    "3 together",
    "3 together, jit",
    "3 together, jit, two processes",
}


def script(name: str):
    path = SCRIPTS / (name if name == "bench" else f"{name}.py")
    loader = importlib.machinery.SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def training():
    yield from script("bench_training")


@pytest.fixture(scope="module")
def bench():
    yield from script("bench")


@pytest.fixture(scope="module")
def studies():
    yield from script("bench_studies")


def test_a_folder_without_ndn3_is_refused_before_anything_is_measured(training, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        training.main(["--ndn3", str(tmp_path)])
    assert stopped.value.code == 2
    assert f"--ndn3 {tmp_path}: expected the folder that has NDN.py" in capsys.readouterr().err


def test_arithmetic_is_the_slower_of_products_and_bytes(training):
    machine = training.Machine(products=[1e9, 2e9, 9e9], copies=[1e9])
    assert training.Measured("", 0, flops=4_000_000, bytes=1_000_000).arithmetic(machine) == 2000
    assert training.Measured("", 0, flops=4_000, bytes=1_000_000).arithmetic(machine) == 1000


@pytest.mark.slow
def test_products_are_counted_from_the_layers(training):
    from neurofit.models import architectures

    model = architectures.what_where(SimpleNamespace(image=(31, 31, 1), neurons=48))
    convolution, readout = 11 * 11 * 81 * 16, (11 * 11 * 16 + 16) * 48
    flops, _ = training.flops_and_bytes(model, 48)
    assert flops == 16 * 2 * 3 * (convolution + readout)
    model = architectures.hsm(SimpleNamespace(image=(31, 31, 1), neurons=103))
    flops, _ = training.flops_and_bytes(model, 103)
    assert flops == 16 * 2 * 3 * (31 * 31 * 9 + 9 * 20 + 20 * 103)


def measured(tmp_path: Path, *words: str) -> tuple[str, dict]:
    """The table and the JSON of a short `scripts/bench WORDS`, which also draws a picture."""
    files = ["--json", str(tmp_path / "found.json"), "--plot", str(tmp_path / "found.png")]
    short = ["--repeats", "3", "--seconds", "0.01"]
    ran = subprocess.run(
        [sys.executable, SCRIPTS / "bench", *words, *short, *files],
        capture_output=True,
        text=True,
        check=True,
    )
    assert max(map(len, ran.stdout.splitlines())) <= 100
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")
    found = json.loads((tmp_path / "found.json").read_text())
    assert {"processor", "cores", "load"} <= set(found["machine"])
    return ran.stdout, found


@pytest.mark.slow
def test_a_table_and_json_have_every_way(tmp_path):
    table, found = measured(tmp_path, "training", "--models", "hsm", "--together", "3")
    assert {"TensorFlow", "Keras", "neurofit"} <= set(found["versions"])
    assert (found["threads"], found["repeats"]) == (1, 3)
    model = found["models"]["hsm"]
    assert set(model["medians"]) == WAYS and model["skipped"] == {"NDN3": "no --ndn3 PATH"}
    for way, medians in model["medians"].items():
        assert way in table and len(model["walls"][way]) == 3
        assert medians["cpu"] == statistics.median(model["cpus"][way]) > 0


@pytest.mark.slow
def test_the_table_of_architectures_says_which_are_trained_in_turn(tmp_path):
    table, found = measured(tmp_path, "architectures", "hsm", "ln", "kindel_lnln", "what_where")
    alone, both = {"plain", "jit"}, {"together", "together, jit"}
    hsm, what_where = found["architectures"]["hsm"], found["architectures"]["what_where"]
    assert set(hsm["times"]) == alone | both and set(what_where["times"]) == alone
    assert all(len(times) == 3 and min(times) > 0 for times in hsm["times"].values())
    assert "Conv" in what_where["why_in_turn"] and not hsm["why_in_turn"]
    assert found["architectures"]["ln"]["why_in_turn"] == "one step would train 4"
    line, starred, *others = table.splitlines()[-4:]
    for way, cell in zip(hsm["times"], line.split()[2:], strict=True):
        assert cell == f"{statistics.median(hsm['times'][way]):,.0f}"
    assert starred.count(" *") == 2 and [other.count("in turn") for other in others] == [2, 2]


@pytest.mark.process
def test_an_architecture_that_is_not_measured_is_refused_with_a_reason():
    for name, why in (("fine_tuned", "needs pretrained weights"), ("hms", "there is no such architecture")):
        words = [sys.executable, SCRIPTS / "bench", "architectures", name]
        ran = subprocess.run(words, capture_output=True, text=True)
        assert ran.returncode == 2 and f"{name}: {why}; expected some of" in ran.stderr, ran.stderr


@pytest.mark.slow
def test_whole_tasks_are_measured_from_their_outcomes(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "TRAININGS", {"alone": (False, 1), "two": (False, 2)})
    monkeypatch.setattr(bench, "LATER", 1)
    costs = bench.tasks(bench.Bench(SCRIPTS.parent, tmp_path / "bench"))
    assert list(costs) == ["alone: first task", "alone: later tasks", "two: first task", "two: later tasks"]
    assert all(cost.wall is None and cost.cpu > 0.1 for cost in costs.values())


@pytest.mark.process
def test_start_up_times_are_a_part_of_their_own(tmp_path):
    files = ["--json", str(tmp_path / "found.json"), "--plot", str(tmp_path / "found.png")]
    ran = subprocess.run(
        [sys.executable, SCRIPTS / "bench", "start", "--repeats", "1", *files],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "neurofit submit --help" in ran.stdout and "pool:" not in ran.stdout
    (found,) = json.loads((tmp_path / "found.json").read_text())["checkouts"].values()
    assert len(found["neurofit --help"]["wall"]) == 1 and found["neurofit --help"]["cpu"][0] > 0
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")
    ran = subprocess.run(
        [sys.executable, SCRIPTS / "bench", "pool", "--no-grid"], capture_output=True, text=True
    )
    assert ran.returncode == 2 and "pool --no-grid measures nothing" in ran.stderr


def form(value):
    """The names in a JSON value, in their order, and the types of what is there."""
    if isinstance(value, dict):
        return [(name, form(inner)) for name, inner in value.items()]
    return "number" if type(value) in (int, float) else type(value).__name__


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.process
def test_a_simulated_study_has_the_files_that_workers_write(studies, tmp_path):
    neurofit = [sys.executable, "-m", "neurofit"]
    for name, options in (("real", ()), ("simulated", ("--backend", "counts"))):
        studies.make_study(tmp_path / name, runs=3, repetitions=2)
        words = [*neurofit, "submit", studies.NAME, "--yes", *options]
        subprocess.run(words, cwd=tmp_path / name, capture_output=True, check=True)
    studies.simulate(tmp_path / "simulated")
    real, simulated = (tmp_path / name / "training_data" / studies.NAME for name in ("real", "simulated"))
    names = [
        sorted(path.relative_to(one).as_posix() for path in one.glob("runs/**/*"))
        for one in (real, simulated)
    ]
    assert names[0] == names[1] and len(names[0]) == 3 + 3 * 2 * 5
    assert (real / "runs.jsonl").read_bytes() == (simulated / "runs.jsonl").read_bytes()
    differ = (
        "started",
        "ended",
        "wall_seconds",
        "cpu_seconds",
        "peak_memory_gb",
        "host",
        "pid",
        "submission",
    )
    for path in real.glob("runs/*/*/*/*.json"):
        twin = simulated / path.relative_to(real)
        assert path.read_bytes().endswith(b"\n") == twin.read_bytes().endswith(b"\n")
        found, made = json.loads(path.read_text()), json.loads(twin.read_text())
        if path.name == "claim.json":
            assert form(found) == form(made)
            continue
        for one in (found, made):
            assert list(one.pop("environment")) == ["variables"]
        assert form(found) == form(made)
        assert {k: v for k, v in found.items() if k not in differ} == {
            k: v for k, v in made.items() if k not in differ
        }
    for path in real.glob("submissions/*/journal/*"):
        (twin,) = simulated.glob(f"submissions/*/journal/{path.name}")
        found, made = lines(path), lines(twin)
        assert [list(line) for line in found] == [list(line) for line in made]
    status = subprocess.run([*neurofit, "status"], cwd=tmp_path / "simulated", capture_output=True, text=True)
    assert status.stdout.split() == ["experiment", "done", "total", studies.NAME, "6", "6"]
    results = subprocess.run(
        [*neurofit, "results", studies.NAME, "--format", "csv"],
        cwd=tmp_path / "simulated",
        capture_output=True,
        text=True,
    )
    assert len(results.stdout.splitlines()) == 7 and "Warning" not in results.stderr


@pytest.mark.process
def test_large_studies_are_measured_beside_another_checkout(studies, tmp_path):
    words = [
        "studies",
        "--tasks",
        "20",
        "40",
        "--repetitions",
        "4",
        "--repeats",
        "1",
        "--beside",
        str(SCRIPTS.parent),
    ]
    files = ["--json", str(tmp_path / "found.json"), "--plot", str(tmp_path / "found.png")]
    ran = subprocess.run(
        [sys.executable, SCRIPTS / "bench", *words, *files], capture_output=True, text=True, check=True
    )
    found = json.loads((tmp_path / "found.json").read_text())
    assert [one["tasks"] for one in found["studies"]] == [20, 40] and found["repetitions"] == 4
    for one in found["studies"]:
        assert one["files"] > 3 * one["tasks"] and one["folders"] > 2 * one["tasks"]
        for medians in one["medians"]:
            assert {studies.PLAN, studies.SUBMIT, studies.FIRST, studies.WARM, *studies.READING} <= set(
                medians
            )
            assert all(
                cost["wall"] > 0 and cost["cpu"] > 0 and cost["memory"] > 1 for cost in medians.values()
            )
    assert studies.WARM in ran.stdout
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")


def test_a_study_has_at_least_the_tasks_of_a_run(studies, capsys):
    with pytest.raises(SystemExit) as stopped:
        studies.main(["--tasks", "5"], None)
    assert stopped.value.code == 2 and "--tasks 5: expected at least" in capsys.readouterr().err


@pytest.mark.process
def test_large_studies_are_kept_and_measured_as_often_as_asked(studies, tmp_path):
    kept, found = tmp_path / "kept", tmp_path / "found.json"
    sizes = ["--tasks", "6", "8", "--repetitions", "2", "--studies", str(kept)]
    bench = [sys.executable, SCRIPTS / "bench", "studies", *sizes, "--json", str(found)]
    subprocess.run([*bench, "--repeats", "2", "1"], capture_output=True, check=True)
    first = json.loads(found.read_text())["studies"]
    assert [one["repeats"] for one in first] == [2, 1]
    assert [len(one["rounds"][0][studies.WARM]) for one in first] == [2, 1]
    subprocess.run([*bench, "--repeats", "1"], capture_output=True, check=True)
    again = json.loads(found.read_text())["studies"]
    assert [one["repeats"] for one in again] == [1, 1]
    assert [one["simulated_in"] for one in again] == [one["simulated_in"] for one in first]  # not made again
    assert {path.name for path in kept.iterdir()} == {"3-runs-of-2", "4-runs-of-2"}


def test_repeats_that_are_not_as_many_as_sizes_are_refused(studies, capsys):
    with pytest.raises(SystemExit):
        studies.main(["--tasks", "10", "20", "--repeats", "1", "2", "3"], None)
    assert "--repeats: expected 1 number or 2, as many as --tasks" in capsys.readouterr().err
