"""How many tasks fit on a GPU, from what nvidia-smi says of the first one; and what a task gets of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from neurofit.worker import gpus
from neurofit.worker.gpu_probe import Found, Probe

pytestmark = pytest.mark.process
DEVICE = gpus.Device("GPU-aaaa", 80.0)


@pytest.fixture
def answers(tmp_path, monkeypatch, processes):
    """Installs an nvidia-smi that answers with the content of files; one that is missing is an error."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "nvidia-smi"
    program.write_text(
        f'#!/bin/sh\ncd {tmp_path}\ncase "$1" in --query-compute-apps*) exec cat apps ;; *) exec cat gpus ;; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def install(apps: str | None, of_gpus: str = "") -> None:
        (tmp_path / "gpus").write_text(of_gpus)
        if apps is None:
            (tmp_path / "apps").unlink(missing_ok=True)
        else:
            (tmp_path / "apps").write_text(apps)

    return install


def found(probe: Probe, pids: list[int]) -> str:
    """What a probe finds while these processes run."""
    until = time.monotonic() + 60
    while probe.found is None:
        assert time.monotonic() < until
        probe.look(pids)
        time.sleep(0.02)
    return f"{probe.found.tasks}: {probe.found.why}"


@pytest.mark.parametrize(
    ("apps", "cpus", "expected"),
    [
        ("{own}, 8192", 16, "7: the first task used 8 of the GPU's 80 GB"),
        ("{own}, 8192\n1, 70000", 16, "7: the first task used 8 of the GPU's 80 GB"),  # another's
        ("{own}, 1024", 16, "8: the first task used 1 of the GPU's 80 GB; at most 8 share a GPU"),
        ("{own}, 1024", 2, "2: the first task used 1 of the GPU's 80 GB; its cores allow 2"),
        ("{own}, 81000", 16, "1: the first task used 79.1 of the GPU's 80 GB"),
        (
            "{own}, [N/A]",
            16,
            "1: how many tasks fit on the GPU was not measured, because the first task used no",
        ),
        ("1, 1024", 16, "1: how many tasks fit on the GPU was not measured, because the first task used no"),
        (None, 16, "1: how many tasks fit on the GPU was not measured, because nvidia-smi did not say"),
    ],
)
def test_as_many_as_fit_with_a_margin(answers, apps, cpus, expected):
    answers(apps and apps.format(own=os.getpid()))
    probe = Probe(DEVICE, cpus, watched_seconds=0.0, patience_seconds=1.0)
    assert found(probe, [os.getpid()]).startswith(expected)


def test_programs_that_a_task_has_started_count(answers):
    with subprocess.Popen(["sleep", "60"]) as program:
        answers(f"{program.pid}, 4096\n{os.getpid()}, 4096", "GPU-aaaa, 40\nGPU-bbbb, 100")
        probe = Probe(DEVICE, 16, watched_seconds=0.0)
        assert found(probe, [os.getpid()]) == (
            "7: the first task used 8 of the GPU's 80 GB, and kept it busy for 40 % of the time"
        )
        program.kill()


def test_a_task_that_ends_early_has_been_measured(answers):
    answers(f"{os.getpid()}, 8192")
    probe = Probe(DEVICE, 16)
    until = time.monotonic() + 60
    while not probe.peak_gb:
        assert time.monotonic() < until
        probe.look([os.getpid()])
        time.sleep(0.02)
    assert probe.found is None
    probe.look([])
    assert probe.found.tasks == 7


@pytest.mark.parametrize(
    ("device", "cpus", "why"),
    [
        (None, 4, "nvidia-smi does not say how much memory this job's GPU has"),
        (gpus.Device("GPU-aaaa", None), 4, "nvidia-smi does not say how much memory this job's GPU has"),
        (DEVICE, 1, "resources.cpus is 1, and auto starts at most one task per core"),
    ],
)
def test_what_cannot_be_measured_is_one_task_and_said(device, cpus, why):
    probe = Probe(device, cpus)
    assert (probe.found.tasks, probe.found.why.endswith(why)) == (1, True)


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("0", gpus.Device("GPU-aaaa", 80.0)),
        ("1", gpus.Device("GPU-bbbb", None)),
        ("GPU-aa", gpus.Device("GPU-aaaa", 80.0)),
        ("1,0", gpus.Device("GPU-bbbb", None)),
        (None, gpus.Device("GPU-aaaa", 80.0)),
        ("", None),
        ("7", None),
        ("MIG-aaaa", None),
    ],
)
def test_the_gpu_of_a_job_is_found_by_its_number_or_name(answers, visible, expected):
    answers("", "GPU-aaaa, 0, 81920\nGPU-bbbb, 1, [N/A]")
    assert gpus.device(visible) == expected


TENSORFLOW = """\
class config:
    class LogicalDeviceConfiguration:
        def __init__(self, memory_limit): self.memory_limit = memory_limit
    @staticmethod
    def list_physical_devices(kind): return ["gpu"] if kind == "GPU" else []
    @staticmethod
    def set_logical_device_configuration(device, limits): print(device, [one.memory_limit for one in limits])
"""


@pytest.mark.parametrize("before", ["import tensorflow; ", ""])
def test_tensorflow_is_limited_before_its_first_use(tmp_path, before):
    (tmp_path / "tensorflow.py").write_text(TENSORFLOW)
    code = f"{before}from neurofit.worker.gpu_sharing import *; limit_tensorflow(); import json, tensorflow"
    paths = f"{tmp_path}:{Path(__file__).resolve().parents[2]}"
    for share, said in (({"NEUROFIT_GPU_MEMORY_GB": "12.5"}, "gpu [12800]\n"), ({}, "")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": paths, **share},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (done.stdout, done.stderr) == (said, "")


def limited(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code after a task has limited TensorFlow, whose module lies in a folder."""
    return subprocess.run(
        [sys.executable, "-c", f"from neurofit.worker.gpu_sharing import *; limit_tensorflow()\n{code}"],
        env={
            **os.environ,
            "PYTHONPATH": f"{folder}:{Path(__file__).resolve().parents[2]}",
            "NEUROFIT_GPU_MEMORY_GB": "12.5",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )


FAILS_ONCE = """\
import os
if not os.path.exists("once"):
    open("once", "w").close()
    raise ImportError("no libcuda")
"""


@pytest.mark.parametrize("failure", [FAILS_ONCE, None])  # None: it is not there at first
def test_tensorflow_is_limited_after_an_import_that_failed(tmp_path, monkeypatch, failure):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "later").mkdir()
    folder = tmp_path if failure else tmp_path / "later"
    (folder / "tensorflow.py").write_text((failure or "") + TENSORFLOW)
    code = (
        "import sys; sys.path[:] = [one for one in sys.path if 'site-packages' not in one]\n"  # the real one
        "try:\n    import tensorflow\nexcept ImportError as error:\n    print(type(error).__name__)\n"
        f"sys.path.append({str(folder)!r})\nimport tensorflow\n"
        "del sys.modules['tensorflow']; import tensorflow"
    )
    done = limited(tmp_path, code)
    first = "ImportError" if failure else "ModuleNotFoundError"
    assert (done.stdout, done.stderr) == (f"{first}\ngpu [12800]\n", "")


def test_tensorflow_is_limited_after_a_program_has_asked_whether_it_is_installed(tmp_path):
    (tmp_path / "tensorflow.py").write_text(TENSORFLOW)
    ask = "import importlib.util; assert importlib.util.find_spec('tensorflow')\n"
    done = limited(tmp_path, f"{ask}{ask}limit_tensorflow()\nimport tensorflow")
    assert (done.stdout, done.stderr) == ("gpu [12800]\n" * 2, "")


def test_a_tensorflow_that_cannot_be_limited_is_imported_all_the_same(tmp_path):
    (tmp_path / "tensorflow.py").write_text("__version__ = '1.15'\n")
    done = limited(tmp_path, "import tensorflow; print(tensorflow.__version__)")
    why = "TensorFlow's memory could not be limited: this version has no such setting"
    assert (done.stdout, done.stderr) == ("1.15\n", f"neurofit: {why}\n")


@pytest.mark.slow
def test_the_real_tensorflow_goes_on_without_a_gpu(bench):
    code = (
        "from neurofit.worker.gpu_sharing import limit_tensorflow; limit_tensorflow(); import tensorflow as tf; "
        "print(float(tf.reduce_sum(tf.ones(3))), len(tf.config.list_logical_devices('CPU')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "NEUROFIT_GPU_MEMORY_GB": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout == "3.0 1\n" and "could not be limited" not in done.stderr


def test_what_a_task_may_use_needs_no_measurement():
    probe = Probe(DEVICE, 16, task_gb=12.0)
    assert probe.found == Found(6, "a task may use 12 of the GPU's 80 GB")


def test_a_worker_and_the_settings_of_runners_agree():
    """The worker does not import the backends."""
    from neurofit.backends import sharing
    from neurofit.backends.job_script import thread_environment
    from neurofit.worker import gpu_probe
    from neurofit.worker.gpu_sharing import THREADS

    assert gpu_probe.MOST == sharing.MOST
    assert {name for name, value in thread_environment(17).items() if value == "17"} == set(THREADS)
