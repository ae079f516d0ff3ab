"""Processes that a fit spawns find what its script defines."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import concurrent.futures, multiprocessing, pickle
import neurofit as nf
from _twice import twice

class Point:
    def __init__(self, x): self.x = x

def double(point):
    return Point(twice(point.x))

def fit(task, *, method="spawn"):
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        found = list(pool.map(double, [Point(1), Point(2)]))
    (task.folder / "point.pkl").write_bytes(pickle.dumps(found[1]))
    return {"sum": sum(point.x for point in found)}

experiment = nf.Experiment(fit, grid=nf.grid(method=["spawn", "forkserver"]))
"""
GUARDED = 'if __name__ == "__main__":\n    experiment.main()\n'


@pytest.fixture
def study(bench):
    (bench.study.jobs / "group").mkdir()
    (bench.study.jobs / "group" / "_twice.py").write_text("def twice(x):\n    return 2 * x\n")
    (bench.study.jobs / "group" / "sp.awn.py").write_text(SCRIPT + GUARDED)
    return bench


def test_spawned_processes_find_the_scripts_functions_in_the_submitted_code(study):
    study.submit("group/sp.awn")
    (study.study.jobs / "group" / "sp.awn.py").write_text(
        "raise SystemError\n"
    )  # not in what is being edited
    assert study.wait("group/sp.awn") == {"done": 2}
    assert [record["metrics"]["sum"] for record in study.outcomes("group/sp.awn")] == [6, 6]


def test_pickles_of_what_a_script_defines_can_be_read_in_the_study(study):
    assert study.command("run", "group/sp.awn").returncode == 0
    (file,) = study.study.training_data.glob("group/sp.awn/runs/*/*/*/point.pkl")
    assert b"neurofit.jobs" in file.read_bytes()
    program = f"import pickle; print(pickle.load(open({str(file)!r}, 'rb')).x)"
    answer = subprocess.run([sys.executable, "-c", program], cwd=study.root, capture_output=True, text=True)
    assert answer.stdout == "4\n", answer.stderr


@pytest.mark.parametrize("end", [GUARDED, "experiment.main()\n"])
def test_python_finds_them_too_also_where_main_is_not_guarded(study, end):
    script = study.study.jobs / "group" / "sp.awn.py"
    script.write_text(SCRIPT + end)
    command = [sys.executable, str(script), "--method", "spawn"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0 and "sum  6" in answer.stdout, answer.stdout + answer.stderr


def test_a_main_that_is_not_guarded_is_explained(study):
    script = study.study.jobs / "group" / "sp.awn.py"
    script.write_text(SCRIPT + "experiment.main()\n")
    answer = study.command("submit", "group/sp.awn")
    assert answer.returncode == 1
    assert f"{script}, line" in answer.stderr and 'if __name__ == "__main__":' in answer.stderr
    assert "Traceback" not in answer.stderr
