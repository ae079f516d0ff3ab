"""Devices are claimed safely: one job each, given up with the last process of a job, and never where others
compute.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time

import pytest
from fakes import Fakes

from neurofit.backends import devices
from neurofit.exit_codes import NO_DEVICE

GPUS = "0, GPU-aaaa\n1, GPU-bbbb\n2, GPU-cccc\n"
SAY = "echo $CUDA_VISIBLE_DEVICES; read _"


@pytest.fixture
def machine(tmp_path, monkeypatch, processes):
    """A machine with three GPUs; `machine.busy` says which of them somebody computes on."""
    queue = Fakes(tmp_path / "fakes", monkeypatch, ["nvidia-smi"])
    program = tmp_path / "fakes" / "bin" / "nvidia-smi"
    program.unlink()
    program.write_text(
        f'#!/bin/sh\ncase $1 in --query-gpu*) printf "{GPUS}" ;; *) cat "$FAKES/busy" ;; esac\n'
    )
    program.chmod(0o755)
    busy = queue.state / "busy"
    busy.touch()
    monkeypatch.setenv("NEUROFIT_DEVICES", str(tmp_path / "devices"))
    monkeypatch.setattr(devices, "FOLDER", tmp_path / "devices")
    for name in [*os.environ]:
        if name == "CUDA_VISIBLE_DEVICES" or name.startswith("SGE_HGR"):
            monkeypatch.delenv(name)
    return busy


def job(wanted: int, command: str = SAY, **environment: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "neurofit.backends.devices", str(wanted), "--", "bash", "-c", command]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        words, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env={**os.environ, **environment}
    )


def seen(process: subprocess.Popen[str]) -> list[str]:
    return process.stdout.readline().strip().split(",")


def test_neighbours_get_different_devices(machine):
    jobs = [job(1) for _ in range(3)]
    assert sorted(device for process in jobs for device in seen(process)) == [
        "GPU-aaaa",
        "GPU-bbbb",
        "GPU-cccc",
    ]
    late = job(1)
    jobs[0].communicate("\n")
    assert seen(late)[0].startswith("GPU-")
    for process in (*jobs[1:], late):
        process.communicate("\n")


def test_several_devices_are_claimed_all_or_none(machine):
    jobs = [job(2), job(2)]
    time.sleep(2)
    first = next(process for process in jobs if select.select([process.stdout], [], [], 0)[0])
    second = next(process for process in jobs if process is not first)
    assert len(set(seen(first))) == 2
    first.communicate("\n")
    assert len(set(seen(second))) == 2
    second.communicate("\n")


def test_a_device_is_held_until_the_last_process_of_its_job_is_gone(machine):
    process = job(3, "echo $CUDA_VISIBLE_DEVICES; sleep 60 >/dev/null & echo $!")
    seen(process)
    left = int(process.stdout.readline())
    process.wait()
    assert devices.claim(1, timeout_seconds=0) == {}
    os.kill(left, 9)
    time.sleep(0.1)
    held = devices.claim(3, timeout_seconds=0)
    assert len(held) == 3
    for lock in held.values():
        os.close(lock)


def test_a_killed_job_gives_its_devices_up(machine):
    process = job(3, "echo $CUDA_VISIBLE_DEVICES; exec sleep 60")
    seen(process)
    process.kill()
    process.wait()
    held = devices.claim(3, timeout_seconds=5)
    assert len(held) == 3
    for lock in held.values():
        os.close(lock)


def test_a_device_that_is_used_without_the_queue_is_left_alone(machine):
    machine.write_text("GPU-aaaa, 4711\nGPU-bbbb, 4712\n")
    process = job(1)
    assert seen(process) == ["GPU-cccc"]
    process.communicate("\n")
    assert devices.claim(2, timeout_seconds=0) == {}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"CUDA_VISIBLE_DEVICES": "1"}, ["1"]),
        ({"SGE_HGR_gpu": "0 2"}, ["0", "2"]),
        ({"SGE_HGR_gpu": "gpu1"}, ["1"]),
    ],
)
def test_what_the_queue_has_reported_holds(machine, environment, expected):
    process = job(1, **environment)
    assert seen(process) == expected
    process.communicate("\n")


def test_a_job_without_devices_sees_none(machine):
    process = job(0)
    assert seen(process) == [""]
    process.communicate("\n")


def test_other_users_can_lock_the_same_files(machine):
    os.close(devices._open("GPU-aaaa"))
    folder, file = devices.FOLDER.stat(), (devices.FOLDER / "GPU-aaaa").stat()
    assert folder.st_mode & 0o7777 == 0o1777 and file.st_mode & 0o444 == 0o444


def test_where_none_is_free_the_job_says_so(machine, monkeypatch, capfd):
    monkeypatch.setattr(devices, "TIMEOUT_SECONDS", 0.0)
    machine.write_text("".join(f"GPU-{letter * 4}, 1\n" for letter in "abc"))
    assert devices.main(["1", "--", "true"]) == NO_DEVICE
    assert "of the 3 GPU(s) of" in capfd.readouterr().err
