"""What `clean` may delete: nothing that something it cannot read may need."""

from __future__ import annotations

import os
import shutil
import time
from itertools import chain
from pathlib import Path

import pytest

from neurofit.experiments.selector import parse
from neurofit.files import to_json
from neurofit.orchestrate import clean
from neurofit.overlap import MANY, overlapped
from neurofit.store.layout import ExperimentFiles, code_store, discover_experiments
from neurofit.store.records import CheckpointRecord

QUICK = """
def fit(task, *, x=1):
    return {"x": x}
experiment = nf.Experiment(fit, grid=nf.grid(x=[1]))
"""


@pytest.fixture
def used(bench):
    """An old study: one submission, whose copy of the code nothing but its own record names."""
    bench.script("deep/quick", QUICK)
    bench.run("deep/quick")
    for copy in code_store(bench.study).iterdir():
        old = time.time() - 7 * 86400
        os.utime(copy, (old, old))
    assert len(_codes(bench)) == 1
    return bench


def _codes(bench) -> list[Path]:
    return list(code_store(bench.study).iterdir())


def _clean(bench) -> clean.Survey:
    found = clean.survey(bench.study, attempts=True)
    clean.remove(bench.study, found.waste)
    return found


def _in_a_loop(path: Path) -> None:
    """What nobody can read, not even root."""
    path.rename(path.with_name("aside"))
    path.symlink_to(path.name)


def test_code_that_a_submission_names_stays_and_other_code_goes(used):
    (code_store(used.study) / "0123456789ab").mkdir()
    old = time.time() - 7200
    os.utime(code_store(used.study) / "0123456789ab", (old, old))
    kept = [path for path in _codes(used) if path.name != "0123456789ab"]
    assert _clean(used).left_alone == [] and _codes(used) == kept


@pytest.mark.parametrize("what", ["deep", "deep/quick", "deep/quick/submissions"])
def test_a_folder_that_cannot_be_read_forbids_to_delete_code(used, what):
    _in_a_loop(used.study.training_data / what)
    aside = (used.study.training_data / what).with_name("aside")
    aside.rename(used.root / "aside")
    found = _clean(used)
    assert len(_codes(used)) == 1
    assert any(str(used.study.training_data / what) in line for line in found.left_alone)


@pytest.mark.parametrize("what", ["deep", "deep/quick", "deep/quick/submissions"])
def test_a_link_to_a_disk_that_is_not_mounted_forbids_to_delete_code(used, what):
    path = used.study.training_data / what
    path.rename(used.root / "disk")
    path.symlink_to(used.root / "disk")
    assert len(_codes(used)) == 1 and _clean(used).left_alone == []
    (used.root / "disk").rename(used.root / "unmounted")
    found = _clean(used)
    assert len(_codes(used)) == 1
    assert any(str(path) in line for line in found.left_alone)


def test_a_folder_that_another_user_may_not_read_forbids_to_delete_code(used):
    locked = used.study.training_data / "deep"
    locked.chmod(0o000)
    try:
        if os.access(locked, os.R_OK):
            pytest.skip("root reads everything")
        found = _clean(used)
        assert any("deep: Permission denied" in line for line in found.left_alone) and len(_codes(used)) == 1
    finally:
        locked.chmod(0o755)


@pytest.mark.parametrize("group", ["runs", "submissions"])
def test_code_of_an_experiment_in_a_group_named_as_one_of_our_folders_stays(used, group):
    used.script("quick", QUICK)
    used.run("quick")
    used.script(f"quick/{group}/inner", QUICK.replace("[1]", "[2]"))
    used.run(f"quick/{group}/inner")
    for copy in _codes(used):
        os.utime(copy, (0, 0))
    before = _codes(used)
    assert f"quick/{group}/inner" in discover_experiments(used.study).names
    assert _clean(used).left_alone == [] and _codes(used) == before and len(before) == 3


def test_an_experiment_without_its_registry_forbids_to_delete_code(used):
    (used.study.training_data / "deep/quick/runs.jsonl").unlink()
    found = _clean(used)
    assert len(_codes(used)) == 1 and any("runs.jsonl" in line for line in found.left_alone)


def test_code_of_a_renamed_submission_stays(used):
    (submission,) = ExperimentFiles(used.study, "deep/quick").submissions()
    submission.folder.rename(submission.folder.with_name("old-one"))
    _clean(used)
    assert len(_codes(used)) == 1


def test_code_that_a_submit_is_about_to_name_is_young_again(used):
    from neurofit.experiments import snapshot

    (copy,) = _codes(used)
    (submission,) = ExperimentFiles(used.study, "deep/quick").submissions()
    shutil.rmtree(submission.folder)
    snapshot.take(snapshot.collect(used.study, used.study.jobs / "deep" / "quick.py"), code_store(used.study))
    _clean(used)
    assert _codes(used) == [copy]


def test_attempts_of_a_task_whose_checkpoint_cannot_be_read_stay(used):
    used.run("deep/quick", rerun=True)
    run = next((used.study.training_data / "deep/quick/runs").iterdir())
    (run / "rep-00/checkpoint/000003").mkdir(parents=True)
    (run / "rep-00/checkpoint/000003/checkpoint.json").symlink_to("checkpoint.json")
    found = clean.survey(used.study, attempts=True)
    assert not [one for one in found.waste if one.kind == clean.ATTEMPTS]


def test_the_folder_of_an_earlier_series_goes_with_its_attempts(used):
    run = next((used.study.training_data / "deep/quick/runs").iterdir())
    (run / "rep-00" / "persistent-01").mkdir()
    used.run("deep/quick", rerun=True)
    (run / "rep-00" / "persistent-02").mkdir()
    bin = {path for one in clean.survey(used.study, attempts=True).waste for path in one.paths}
    assert {path.name for path in bin if path.parent.name == "rep-00"} >= {"attempt-01", "persistent-01"}
    assert run / "rep-00" / "persistent-02" not in bin
    assert used.command("choose", "deep/quick:0/0", "--attempt", "1").returncode == 0
    bin = {path for one in clean.survey(used.study, attempts=True).waste for path in one.paths}
    assert run / "rep-00" / "persistent-01" not in bin


def test_an_unreadable_task_leaves_its_experiment_alone(used):
    used.run("deep/quick", rerun=True)
    run = next((used.study.training_data / "deep/quick/runs").iterdir())
    _in_a_loop(run / "rep-00")
    found = _clean(used)
    assert any("deep/quick was skipped" in line and "rep-00" in line for line in found.left_alone)


MANY_RUNS = """
def fit(task, *, x=1):
    return {"x": x}
experiment = nf.Experiment(fit, grid=nf.grid(x=list(range(40))))
"""


def _wasteful(bench) -> Path:
    """The folder of an experiment whose tasks have up to three attempts, checkpoints and leftovers."""
    bench.script("exp", MANY_RUNS)
    assert bench.run("exp") == {"done": 40}
    for part in ("exp:0-29", "exp:10-19"):
        assert bench.run("exp", selection=parse(part), rerun=True) == {"done": 40}
    folder = bench.study.training_data / "exp"
    for number, run in enumerate(sorted((folder / "runs").iterdir())):
        task = run / "rep-00"
        if number % 3 == 0:
            checkpoint = task / "checkpoint/000003"
            checkpoint.mkdir(parents=True)
            record = CheckpointRecord(step=3, attempt=1)
            (checkpoint / "checkpoint.json").write_text(to_json(record.as_object()))
            (checkpoint / "weights").write_text("w" * number)
        if number % 5 == 0:
            for first in (1, len(list(task.glob("attempt-*")))):
                (task / f"persistent-{first:02d}").mkdir(exist_ok=True)
        (task / f".{number}.json.1-ab.partial").write_text("x" * number)
        (run / ".folder.2-cd.partial/inside").mkdir(parents=True)
    (folder / "runs/link").symlink_to(run)
    long_ago = time.time() - 1e6
    for path in bench.study.training_data.rglob("*"):
        os.utime(path, (long_ago, long_ago), follow_symlinks=False)
    return folder


def test_what_is_found_does_not_depend_on_how_quick_the_file_system_is(bench, monkeypatch):
    folder = _wasteful(bench)
    surveys = []
    for slow in (1e9, 0.0):  # one by one, and many at a time

        def asked(ask, about, most=MANY, *, slow_now=slow, **_):
            return overlapped(ask, about, most, slow=slow_now)

        monkeypatch.setattr(clean, "overlapped", asked)
        found = clean.survey(bench.study, attempts=True)
        surveys.append(found)
        assert not found.left_alone
        waste = {one.kind: one for one in found.waste}
        in_order = [Path(above, name) for above, *names in os.walk(folder) for name in chain(*names)]
        leftovers = [path for path in in_order if path.name.endswith(".partial")]
        assert waste[clean.LEFTOVERS].paths == leftovers and len(leftovers) == 80
        assert len(waste[clean.CHECKPOINTS].paths) == 14
        old = {path.relative_to(folder / "runs").as_posix()[:3] for path in waste[clean.ATTEMPTS].paths}
        assert old == {f"{number:03d}" for number in range(30) if number % 3 or 10 <= number < 20}
        assert all(one.size_bytes for one in found.waste)
    assert surveys[0] == surveys[1]
