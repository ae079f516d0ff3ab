"""What a canary saw, in findings: what is unlike here, and what is less than its runner asks for."""

from __future__ import annotations

import platform
import sys
from dataclasses import replace

import pytest

import neurofit
from neurofit.backends.base import Resources
from neurofit.backends.local.backend import LocalBackend
from neurofit.backends.runner import Runner
from neurofit.backends.slurm.backend import SlurmBackend
from neurofit.orchestrate.runner_check import Canary, findings
from neurofit.study import Study

SEEN = {
    "host": "node07",
    "python": sys.executable,
    "python_version": platform.python_version(),
    "neurofit": neurofit.__version__,
    "neurofit_folder": "/x/neurofit",
    "cpus": 4,
    "memory_gb": 8.0,
    "cuda_visible_devices": "1",
    "gpus": ["A100", "A100"],
    "study": "/s",
    "study_seen": True,
    "writable": True,
    "data": None,
    "clock_seconds": 0.1,
    "imports": {
        "numpy": {"version": "2"},
        "tensorflow": {"version": "3", "gpus": 1},
        "keras": {"version": "3"},
    },
}


def found(tmp_path, **changes) -> list:
    backend = replace(LocalBackend(), resources=Resources(cpus=4, gpus=1, memory_gb=8))
    canary = Canary("done", 3.0, facts={**SEEN, **changes}, here={"clock_seconds": -0.1})
    return findings(canary, Runner("mine", "local", backend, None), Study(tmp_path))


def test_all_is_well(tmp_path):
    seen = found(tmp_path)
    assert all(finding.ok and not finding.advice for finding in seen)
    assert [finding.what for finding in seen if "GPU" in finding.what] == [
        "1 GPU(s) given (CUDA_VISIBLE_DEVICES=1; on the node: A100, A100)",
        "TensorFlow sees 1 GPU(s)",
    ]


@pytest.mark.parametrize(
    ("changes", "what", "advice"),
    [
        ({"neurofit": "0.0.1"}, "neurofit 0.0.1 in /x/neurofit", "here it is"),
        ({"cpus": 2}, "2 core(s)", "asks for 4"),
        ({"memory_gb": 4.0}, "4 GB of memory", "asks for 8"),
        ({"cuda_visible_devices": "0,1"}, "2 GPU(s) given", "asks for 1"),
        (
            {"imports": {"tensorflow": {"version": "3", "gpus": 0}}},
            "TensorFlow sees 0 GPU(s)",
            "CUDA libraries",
        ),
        ({"imports": {"keras": {"error": "ImportError: no"}}}, "keras can be imported", "ImportError: no"),
        ({"study_seen": False}, "the study is seen", "jobs/"),
        ({"writable": False}, "training_data/ can be written", "who owns it"),
        ({"data": 3}, "data/ is as here", "3 entries there, it cannot be read here"),
        ({"clock_seconds": 900.0}, "its clock differs from this host's by +900.1 s", "times in logs"),
    ],
)
def test_what_is_wrong_is_reported(tmp_path, changes, what, advice):
    (wrong,) = [finding for finding in found(tmp_path, **changes) if not finding.ok]
    assert what in wrong.what and advice in wrong.advice


def test_a_notify_command_that_only_the_node_lacks_is_reported(tmp_path):
    def about(path: str | None, backend) -> list:
        canary = Canary("done", 3.0, facts={**SEEN, "notify": path}, here={"clock_seconds": -0.1})
        seen = findings(canary, Runner("mine", "slurm", backend, None), Study(tmp_path))
        return [(finding.ok, finding.what) for finding in seen if "notify" in finding.what]

    assert about(None, SlurmBackend()) == [(False, "its node has the notify command")]
    assert about("/usr/bin/mail", SlurmBackend()) == [
        (True, "its node has the notify command, /usr/bin/mail")
    ]
    assert about(None, LocalBackend()) == []  # that is this host, which was looked at already


@pytest.mark.parametrize(
    ("share", "ok", "what"),
    [(24.0, True, "a task gets 24 GB of GPU memory"), (None, False, "a task has no limit of GPU memory")],
)
def test_the_share_of_a_gpu_is_reported(tmp_path, share, ok, what):
    backend = SlurmBackend(resources=Resources(cpus=4, gpus=1), tasks_per_gpu=3)
    canary = Canary("done", 3.0, facts={**SEEN, "gpu_memory_gb": share}, here={"clock_seconds": -0.1})
    seen = findings(canary, Runner("mine", "slurm", backend, None), Study(tmp_path))
    assert [(one.ok, one.what) for one in seen if "GPU memory" in one.what] == [(ok, what)]


def test_what_was_not_tried_is_not_a_fault(tmp_path):
    (untried,) = [
        finding for finding in found(tmp_path, imports={"tensorflow": {}}) if "not tried" in finding.what
    ]
    assert untried.ok and "1.5 GB" in untried.advice


def test_another_interpreter_is_not_a_fault(tmp_path):
    (other,) = [finding for finding in found(tmp_path, python="/opt/python") if "/opt/python" in finding.what]
    assert other.ok and "here it is" in other.advice


@pytest.mark.parametrize(
    ("canary", "what", "advice"),
    [
        (Canary("refused", 0.0, "no such queue"), "the queue takes a job", "no such queue"),
        (Canary("queued", 9.0, None, "no answer"), "the queue can be asked", "no answer"),
        (Canary("queued", 9.0, "Priority"), "a job is done within 9 s", "it is queued: Priority"),
        (
            Canary("failed", 9.0, "no memory", log="Killed"),
            "a job is done",
            "it is failed: no memory\nKilled",
        ),
    ],
)
def test_a_job_that_is_not_done_is_explained(tmp_path, canary, what, advice):
    (only,) = findings(canary, Runner("mine", "local", LocalBackend(), None), Study(tmp_path))
    assert (only.ok, only.what, only.advice) == (False, what, advice)
