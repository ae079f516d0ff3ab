"""`neurofit init` and `neurofit runners check` with real queues."""

from __future__ import annotations

import json
import os

import pytest

pytestmark = pytest.mark.cluster

SLURM = "backend: slurm\nqueue: %s\nresources: {cpus: 1, memory_gb: %s}\n"
GRID_ENGINE = "backend: sge\nqueue: %s\nresources: {cpus: 1, memory_gb: %s}\n"


def check(bench, text: str, *words: str) -> tuple[int, dict]:
    bench.runner("queue", text)
    said = bench.command("runners", "check", "queue", "--json", *words)
    assert said.stdout, said.stderr
    return said.returncode, json.loads(said.stdout)


def assert_well(bench, code: int, answer: dict) -> None:
    assert answer["canary"]["state"] == "done", answer
    assert [one for one in answer["findings"] if not one["ok"]] == [] and code == 0
    assert (
        answer["canary"]["facts"]["study"] == str(bench.root) and os.listdir(bench.study.training_data) == []
    )


def test_slurm(slurm, bench):
    assert_well(bench, *check(bench, SLURM % ("cpu", "2")))


def test_a_job_of_slurm_that_has_to_wait_is_reported_why_and_taken_back(slurm, bench):
    code, answer = check(bench, SLURM % ("cpu", "0.5") + "directives: [--begin=now+1hour]\n", "--wait", "3")
    (wrong,) = [one for one in answer["findings"] if not one["ok"]]
    assert (
        code == 4
        and wrong["what"] == "a job is done within 3 s"
        and wrong["advice"].startswith("it is queued: ")
    )
    assert "no reason" not in wrong["advice"] and os.listdir(bench.study.training_data) == []


def test_a_job_on_slurms_gpus_tells_which_it_was_given(slurm, bench):
    _, answer = check(bench, SLURM % ("gpu", "0.5, gpus: 1"))
    assert answer["canary"]["facts"]["cuda_visible_devices"] in ("0", "1")
    assert any(one["ok"] and one["what"].startswith("1 GPU(s) given") for one in answer["findings"])


def test_grid_engine(gridengine, bench):
    assert_well(bench, *check(bench, GRID_ENGINE % ("cpu.q", "0.5")))


def test_init_finds_both(slurm, gridengine, bench):
    said = json.loads(bench.command("init", "new", "--json").stdout)
    profiles = sorted(path.stem for path in (bench.root / "new" / "runners").iterdir())
    assert profiles == ["local", "qsub-cpu", "qsub-gpu", "slurm-cpu", "slurm-gpu"] and len(said["made"]) == 13
    texts = {name: (bench.root / "new" / "runners" / f"{name}.yaml").read_text() for name in profiles}
    assert "\nqueue: cpu\n" in texts["slurm-cpu"] and "\nqueue: gpu\n" in texts["slurm-gpu"]
    assert "\nqueue: cpu.q " in texts["qsub-cpu"] and "\nqueue: gpu.q " in texts["qsub-gpu"]
