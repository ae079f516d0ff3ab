"""A file of a submission that is damaged: its jobs end with the reason, once, and go on when it is restored."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from neurofit import transient
from neurofit.errors import StoreError
from neurofit.exit_codes import DAMAGED
from neurofit.files import explain_os_errors
from neurofit.process import Process
from neurofit.store.layout import SubmissionFiles
from neurofit.store.submissions import Planned, read_job
from neurofit.worker.job import is_damage

NAP = """
    import time
    def fit(task, *, a=1):
        while not (task.study / "go").exists():
            time.sleep(0.02)
        return {"x": a}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(a=[1, 2, 3, 4]))
"""
DAMAGE = {"empty": b"", "other": b"{}\n", "binary": b"garbage\xff\x00", "blank": b"\n\n\n\n", "gone": None}


def damage(path: Path, kind: str) -> bytes:
    """Damage a file; what was in it."""
    whole, content = path.read_bytes(), DAMAGE[kind]
    path.unlink() if content is None else path.write_bytes(content)
    return whole


def wait_for_end(submitted, seconds: float = 45.0) -> None:
    process, deadline = Process.of(int(submitted.ids[0])), time.monotonic() + seconds
    while process.is_alive():
        assert time.monotonic() < deadline, (submitted.files.logs / "pool.log").read_text()[-3000:]
        time.sleep(0.05)


def causes(submitted) -> dict[int, str | None]:
    lines = map(json.loads, (submitted.files.folder / "pool.jsonl").read_text().splitlines())
    return {line["ended"]: line.get("cause") for line in lines if "ended" in line}


def starts(submitted, job: int) -> list[list[dict]]:
    paths = sorted(submitted.files.journals.glob(f"{job:06d}.*.jsonl"))
    return [[json.loads(line) for line in path.read_text().splitlines()] for path in paths]


@pytest.mark.parametrize("kind", DAMAGE)
def test_jobs_that_cannot_be_read_are_damage_and_name_the_file(tmp_path, kind):
    files = SubmissionFiles(tmp_path)
    files.jobs.write_bytes(b"1/0:0 1/1:0\n2/0:0\n")
    assert read_job(files, 1) == [Planned(2, 0, 0)]
    damage(files.jobs, kind)
    with transient.patience(transient.at_once(tmp_path)), pytest.raises(StoreError) as caught:
        read_job(files, 1)
    assert is_damage(caught.value) and str(files.jobs) in str(caught.value)
    files.jobs.unlink(missing_ok=True)
    files.jobs.mkdir()
    with transient.patience(transient.at_once(tmp_path)), pytest.raises(StoreError) as caught:
        read_job(files, 1)
    assert is_damage(caught.value)


def test_a_storage_that_is_away_is_not_damage(tmp_path):
    files = SubmissionFiles(tmp_path / "away")
    with transient.patience(transient.at_once(files.folder)), pytest.raises(OSError) as caught:
        read_job(files, 0)
    assert not is_damage(caught.value)
    with pytest.raises(StoreError) as refused, explain_os_errors(files.jobs, "write it"):
        files.jobs.write_text("")
    assert not is_damage(refused.value)


@pytest.mark.parametrize("kind", ["blank", "gone"])
def test_a_pool_whose_jobs_are_damaged_ends_and_goes_on_when_they_are_restored(bench, kind):
    bench.script("nap", NAP)
    submitted = bench.submit("nap")
    bench.wait("nap", until=lambda counts: counts["running"] == 2)
    path = submitted.files.jobs
    whole = damage(path, kind)
    (bench.root / "go").touch()
    wait_for_end(submitted)
    assert any(str(path) in problem for problem in bench.status("nap").problems)
    assert all(str(path) in (causes(submitted)[job] or "") for job in (2, 3))
    assert (causes(submitted)[0], causes(submitted)[1]) == (None, None)
    (lines,) = starts(submitted, 3)
    assert lines[-1]["end"] == "damaged" and str(path) in lines[-1]["why"]
    path.write_bytes(whole)
    status = bench.status("nap")
    assert bench.counts("nap") == {"done": 2, "failed": 2} and status.problems == []
    assert str(path) in (status.of((2, 0)).cause or "")
    bench.submit("nap", retry=True)
    assert bench.wait("nap") == {"done": 4}
    assert {record["attempt"] for record in bench.outcomes("nap")} == {1}


def test_a_pool_whose_jobs_are_damaged_is_replaced_by_the_next_submit(bench):
    bench.script("nap", NAP)
    submitted = bench.submit("nap")
    bench.wait("nap", until=lambda counts: counts["running"] == 2)
    damage(submitted.files.jobs, "empty")
    (bench.root / "go").touch()
    wait_for_end(submitted)
    bench.submit("nap")
    assert bench.wait("nap")["done"] == 4
    assert {record["attempt"] for record in bench.outcomes("nap")} == {1}


@pytest.mark.parametrize("kind", ["binary", "gone"])
def test_a_pool_that_starts_with_a_damaged_record_ends_and_goes_on_when_it_is_restored(bench, kind):
    bench.script("nap", NAP)
    (bench.root / "go").touch()
    waiting = f"while ! test -e {bench.root / 'begin'}; do sleep 0.05; done"
    submitted = bench.submit("nap", bench.runner(text=f"backend: local\nsetup: ['{waiting}']\n"))
    path = submitted.files.record
    whole = damage(path, kind)
    (bench.root / "begin").touch()
    wait_for_end(submitted)
    log = (submitted.files.logs / "pool.log").read_text()
    assert log.count(str(path)) == 1 and log.count(f"ended with status {DAMAGED}") == 1
    assert any(str(path) in problem for problem in bench.status("nap").problems)
    path.write_bytes(whole)
    assert bench.counts("nap") == {"failed": 4}
    assert "damaged" in (bench.status("nap").of((0, 0)).cause or "")
    bench.submit("nap", retry=True)
    assert bench.wait("nap") == {"done": 4}


def test_only_the_job_of_a_run_that_is_missing_in_the_registry_ends(bench):
    bench.script("nap", NAP)
    (bench.root / "go").touch()
    waiting = f"while ! test -e {bench.root / 'begin'}; do sleep 0.05; done"
    submitted = bench.submit("nap", bench.runner(text=f"backend: local\nsetup: ['{waiting}']\n"))
    registry = bench.study.training_data / "nap" / "runs.jsonl"
    whole = registry.read_bytes()
    lines = whole.splitlines(keepends=True)
    registry.write_bytes(b"".join([*lines[:1], b"garbage\n", *lines[2:]]))
    (bench.root / "begin").touch()
    wait_for_end(submitted)
    assert [bool(causes(submitted)[job]) for job in range(4)] == [False, True, False, False]
    assert len(starts(submitted, 1)) == 1
    registry.write_bytes(whole)
    assert bench.counts("nap") == {"done": 3, "failed": 1}
    bench.submit("nap", retry=True)
    assert bench.wait("nap") == {"done": 4}


def test_a_job_of_any_queue_with_a_damaged_file_ends_with_a_status_of_its_own(bench):
    bench.script("nap", NAP)
    submitted = bench.submit("nap")
    bench.wait("nap", until=lambda counts: counts["running"] == 2)
    damage(submitted.files.jobs, "other")
    worker = [sys.executable, "-m", "neurofit.worker", str(submitted.files.folder), "3"]
    done = subprocess.run(worker, capture_output=True, text=True, timeout=60)
    (bench.root / "go").touch()
    assert done.returncode == DAMAGED and str(submitted.files.jobs) in done.stderr
    assert starts(submitted, 3)[0][-1]["end"] == "damaged"
    wait_for_end(submitted)


def test_a_damaged_outcome_costs_its_own_task_alone(bench):
    bench.script(
        "spoil",
        """
        def fit(task, *, a=1):
            if task.repetition == 1:
                (task.folder / "outcome.json").write_text("{}")
            return {"x": a}
        experiment = nf.Experiment(fit=fit, repetitions=4)
        """,
    )
    submitted = bench.submit("spoil")
    wait_for_end(submitted)
    assert bench.counts("spoil") == {"done": 3, "failed": 1}
    assert all(len(starts(submitted, number)) == 1 for number in range(4))
    assert causes(submitted) == dict.fromkeys(range(4))


SHORT = "import neurofit.transient\nneurofit.transient.WORKER_SECONDS = 1.0\n"


def test_a_pool_whose_folder_was_deleted_ends_when_its_first_worker_gives_up(bench, tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SHORT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    bench.script("nap", NAP)
    submitted = bench.submit("nap")
    bench.wait("nap", until=lambda counts: counts["running"] == 2)
    submitted.files.folder.rename(tmp_path / "deleted")
    (bench.root / "go").touch()
    wait_for_end(submitted)
