"""What a worker does on a host that has lost its GPUs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from neurofit.exit_codes import NO_DEVICE
from neurofit.orchestrate.plan import SubmitOptions, load, make
from neurofit.orchestrate.submit import submission_record
from neurofit.store.layout import ExperimentFiles, SubmissionFiles
from neurofit.store.records import ResourcesRecord
from neurofit.store.registry import register
from neurofit.store.submissions import write_submission
from neurofit.worker import gpus


@pytest.fixture
def driver(tmp_path, monkeypatch, processes):
    """Installs an nvidia-smi that answers so."""

    def install(answer: str, status: int = 0) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        program = folder / "nvidia-smi"
        program.write_text(f"#!/bin/sh\necho '{answer}'\nexit {status}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        return program

    return install


@pytest.mark.parametrize(
    ("answer", "status", "lost"),
    [
        ("GPU 0: NVIDIA A100 (UUID: GPU-aaaa)", 0, False),
        ("", 0, False),  # it does not say
        ("No devices were found", 0, True),
        ("No devices were found", 6, True),
        ("NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver", 9, True),
    ],
)
def test_a_driver_that_fails_or_finds_nothing_has_lost_its_gpus(driver, answer, status, lost):
    driver(answer, status)
    assert gpus.are_lost() is lost


def test_a_driver_that_fails_is_asked_a_second_time(driver):
    program = driver("GPU-aaaa, 0, 81920")
    answers = program.read_text().partition("\n")[2]
    program.write_text(
        f'#!/bin/sh\necho asked >>"$0.asked"\n[ "$(wc -l <"$0.asked")" = 2 ] || exit 9\n{answers}'
    )
    assert gpus.device("0") == gpus.Device("GPU-aaaa", 80.0)
    assert gpus.device("0") is None, "twice, and no more"
    assert program.with_name("nvidia-smi.asked").read_text().count("asked") == 4


def test_a_host_without_the_program_proves_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus.are_lost() is False


@pytest.mark.process
def test_a_job_that_asked_for_a_gpu_starts_no_task_where_none_is_left(bench, driver):
    driver("No devices were found", 6)
    bench.script("one", "def fit(task): return {'m': 1}\nexperiment = nf.Experiment(fit)\n")
    for asked, status in ((1, NO_DEVICE), (None, 0)):
        submission = _queued(bench, ResourcesRecord(gpus=asked))
        words = [sys.executable, "-m", "neurofit.worker", str(submission.folder), "0"]
        done = subprocess.run(words, capture_output=True, text=True, cwd=bench.root, timeout=120)
        assert done.returncode == status
        assert ("nvidia-smi finds none" in done.stderr) == bool(asked)
        assert bool(list(submission.journals.iterdir())) == (not asked)


def _queued(bench, resources: ResourcesRecord) -> SubmissionFiles:
    """A submission as a queue has it."""
    plan = make(bench.study, load(bench.study, "one"), SubmitOptions())
    files = ExperimentFiles(bench.study, "one")
    files.folder.mkdir(parents=True, exist_ok=True)
    register(files.registry, plan.status.registry, plan.registered())
    record = replace(submission_record(plan, bench.runner(), []), resources=resources)
    return write_submission(files, f"20260101-00000{resources.gpus or 0}-queue-abcd", record, plan.jobs(None))
