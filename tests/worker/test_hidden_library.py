"""A helper that is named like a module of the standard library is the same in a job as in `python
jobs/x.py`.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import statistics
import neurofit as nf
from _other import total
def fit(task):
    import queue
    from colorsys import number
    return {"mean": statistics.mean([1, 2]), "late": queue.late(), "of": number + total([1])}
experiment = nf.Experiment(fit)
if __name__ == "__main__":
    experiment.main()
"""
HELPERS = {
    "statistics": "def mean(values):\n    return 17\n",
    "queue": "def late():\n    return 18\n",
    "_other": "import statistics\ndef total(values):\n    return statistics.mean(values)\n",
    "colorsys": "number = 1\n",
    "json": "raise SystemError('nobody imports this one')",
    "sys": "raise SystemError",
    "os": "raise SystemError",
}
WAYS = {
    "python": [sys.executable, "jobs/group/x.py"],
    "run": [sys.executable, "-m", "neurofit", "run", "group/x"],
    "submit": [sys.executable, "-m", "neurofit", "submit", "group/x", "--yes"],
}


@pytest.mark.parametrize("way", ["run", "submit"])
def test_a_helper_named_like_the_standard_library_means_itself(bench, way):
    folder = bench.study.jobs / "group"
    folder.mkdir()
    bench.runner()
    for name, text in ({"x": SCRIPT} | HELPERS).items():
        (folder / f"{name}.py").write_text(text)
    answer = subprocess.run(WAYS[way], cwd=bench.root, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert bench.outcomes("group/x")[0]["metrics"] == {"mean": 17, "late": 18, "of": 18}
    copied = {path.name for path in bench.study.training_data.glob(".code/*/jobs/group/*.py")}
    assert copied == {"x.py", "statistics.py", "queue.py", "_other.py", "colorsys.py"}


def test_python_means_the_same(bench):
    folder = bench.study.jobs / "group"
    folder.mkdir()
    for name in ("statistics", "colorsys", "_other"):  # queue would be what Python's own modules import
        (folder / f"{name}.py").write_text(HELPERS[name])
    (folder / "x.py").write_text(SCRIPT.replace("import queue", "").replace("queue.late()", "18"))
    answer = subprocess.run(WAYS["python"], cwd=bench.root, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert bench.outcomes("group/x")[0]["metrics"] == {"mean": 17, "late": 18, "of": 18}


def test_other_scripts_and_neurofit_itself_keep_the_standard_library(bench):
    bench.script("queue", "def fit(task): return {'x': 1}\nexperiment = nf.Experiment(fit)\n")
    (bench.study.jobs / "json.py").write_text("value = 5\n")
    bench.script(
        "y", "import json\ndef fit(task): return {'x': json.value}\nexperiment = nf.Experiment(fit)\n"
    )
    done = bench.command("show", "y", "--json")
    assert done.stdout.startswith("{"), done.stderr
    assert bench.run("y") == {"done": 1} and bench.run("queue") == {"done": 1}
