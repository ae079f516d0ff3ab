"""`scripts/bench training`: its table and JSON; other parts of `scripts/bench`."""

from __future__ import annotations

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


@pytest.fixture(scope="module")
def training():
    spec = importlib.util.spec_from_file_location("bench_training", SCRIPTS / "bench_training.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


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


@pytest.mark.slow
def test_a_table_and_json_have_every_way(tmp_path):
    words = ["training", "--models", "hsm", "--repeats", "3", "--seconds", "0.01", "--together", "3"]
    files = ["--json", str(tmp_path / "found.json"), "--plot", str(tmp_path / "found.png")]
    ran = subprocess.run(
        [sys.executable, SCRIPTS / "bench", *words, *files], capture_output=True, text=True, check=True
    )
    assert max(map(len, ran.stdout.splitlines())) <= 100
    found = json.loads((tmp_path / "found.json").read_text())
    assert {"processor", "cores", "load"} <= set(found["machine"])
    assert {"TensorFlow", "Keras", "neurofit"} <= set(found["versions"])
    assert (found["threads"], found["repeats"]) == (1, 3)
    model = found["models"]["hsm"]
    assert set(model["medians"]) == WAYS and model["skipped"] == {"NDN3": "no --ndn3 PATH"}
    for way, medians in model["medians"].items():
        assert way in ran.stdout and len(model["walls"][way]) == 3
        assert medians["cpu"] == statistics.median(model["cpus"][way]) > 0
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.process
def test_start_up_times_are_a_part_of_their_own():
    ran = subprocess.run(
        [sys.executable, SCRIPTS / "bench", "start", "--repeats", "1"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "neurofit submit --help" in ran.stdout and "pool:" not in ran.stdout
    ran = subprocess.run(
        [sys.executable, SCRIPTS / "bench", "pool", "--no-grid"], capture_output=True, text=True
    )
    assert ran.returncode == 2 and "pool --no-grid measures nothing" in ran.stderr
