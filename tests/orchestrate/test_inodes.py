"""How many files and folders a plan says that its tasks will make."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from neurofit.orchestrate import inodes
from neurofit.orchestrate.plan import SubmitOptions, load, make

QUICK = """
def fit(task, *, x=1):
    (task.folder / "saved").mkdir()
    (task.folder / "saved/a.txt").write_text("a")
    return {"x": x}
experiment = nf.Experiment(fit, grid=nf.grid(x=list(range(%d))), repetitions=%d)
"""


def made(bench):
    folder = bench.study.training_data / "quick"
    return sum(len(folders) + len(files) for _, folders, files in os.walk(folder))


def planned(bench, **options):
    plan = make(bench.study, load(bench.study, "quick"), SubmitOptions(**options))
    return plan.summary(len(plan.jobs(None)))["files"]


@pytest.mark.process
def test_the_estimate_is_about_what_is_made_also_of_files_that_the_fit_saves(bench):
    bench.script("quick", QUICK % (3, 4))
    assert planned(bench) == 10 + 3 + 3 + 12 + 12 * 4
    bench.run("quick")
    before = made(bench)
    assert planned(bench) == 0
    bench.script("quick", QUICK % (6, 4))
    found = planned(bench)
    bench.run("quick")
    assert abs(made(bench) - before - found) <= 10
    before, found = made(bench), planned(bench, rerun=True)
    bench.run("quick", rerun=True)
    assert abs(made(bench) - before - found) <= 10


def test_a_small_plan_says_nothing_of_files_and_a_large_one_does(bench):
    bench.script("quick", QUICK % (3, 4))
    small = bench.command("submit", "quick", "--dry-run")
    assert "files" not in small.stdout + small.stderr
    bench.script("quick", QUICK % (400, 10))
    assert "About 21,000 files and folders." in bench.command("submit", "quick", "--dry-run").stdout
    record = json.loads(bench.command("submit", "quick", "--dry-run", "--json").stdout)
    assert record["files"] == 10 + 400 + 400 + 4000 + 4 * 4000


def test_a_warning_names_the_file_system_and_what_to_do(tmp_path):
    assert inodes.warning("exp3", tmp_path, 100, None) is None
    assert inodes.warning("exp3", tmp_path, 100, 200) is None
    found = inodes.warning("exp3", tmp_path, 520_123, 300_000)
    assert "about 520,000 files" in found and "has room for 300,000" in found
    assert str(tmp_path) in found and "`neurofit pack exp3`" in found


def test_room_is_asked_of_the_nearest_folder_that_exists(tmp_path):
    assert inodes.free(tmp_path / "not/there") == inodes.free(tmp_path)


@pytest.mark.process
def test_a_file_system_with_few_inodes_is_warned_of(bench):
    if os.getuid() != 0 or not shutil.which("unshare"):
        pytest.skip("only root can mount a file system with few inodes")
    bench.script("quick", QUICK % (30, 4))
    folder = bench.study.training_data
    script = (
        f"mount -t tmpfs -o nr_inodes=300 few {folder} || exit 77; exec {sys.executable} -m neurofit "
        "submit quick --dry-run"
    )
    ran = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], cwd=bench.root, capture_output=True, text=True
    )
    if ran.returncode == 77 or "unshare" in ran.stderr:
        pytest.skip(f"this host does not let one mount a file system: {ran.stderr.strip()}")
    assert "will make about 670 files and folders" in ran.stderr and "has room for 299" in ran.stderr
