"""A real SLURM on this host: the contract, and what becomes of experiments on it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from contract import BackendContract
from held import Held
from queue_tests import Queue, QueueTests
from studies import (
    QUICK,
    STEPS,
    WAITS,
    attempts,
    kill_job,
    like_an_undisturbed_one,
    three_share_a_gpu,
    until,
)

from neurofit.backends.slurm.backend import SlurmBackend
from neurofit.store.hosts import read_hosts

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("slurm")]

RUN = Path("/var/tmp/neurofit-slurm/run")
SMALL = "resources: {cpus: 1, memory_gb: 0.25}\ngrace_seconds: 20\n"  # accounting may be seconds late
PROFILE = "backend: slurm\nqueue: cpu\n" + SMALL


SMALL_SITE = """
from dataclasses import dataclass
from neurofit.backends.slurm.backend import SlurmBackend
@dataclass(frozen=True)
class Small(SlurmBackend):
    def _config(self, cluster=None):
        return {**super()._config(cluster), "MaxArraySize": "3"}
"""


def slurm_says(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout


class Slurm(Queue):
    profile = PROFILE
    on_hold = "directives: [--hold]"
    calls = ("sbatch", "squeue", "sacct", "scancel", "scontrol", "sinfo", "srun")
    question = "squeue"
    away = "Unable to contact slurm controller"

    def is_listed(self, id):
        return id in slurm_says("squeue", "-h", "-o", "%F").split()

    def has_left(self, id, element):
        listed = slurm_says("squeue", "-h", "-r", "-o", "%i").split()
        return any(one.startswith(f"{id}_") for one in listed) and f"{id}_{element}" not in listed

    def release(self, id):
        slurm_says("scontrol", "release", id)

    def start_again(self, id):
        slurm_says("scontrol", "requeue", id)

    @contextlib.contextmanager
    def split_at_three(self, bench, tmp_path):
        (bench.study.runners / "mysite.py").write_text(SMALL_SITE)
        yield f"backend: mysite.py:Small\nqueue: cpu\n{SMALL}"

    def running(self):
        return len(slurm_says("squeue", "-h", "-r", "-t", "RUNNING", "-o", "%i").split())

    def server(self):
        return int((RUN / "slurmctld.pid").read_text())


class TestSlurmKeepsTheContract(BackendContract):
    @pytest.fixture
    def backend(self, held):
        return held.backend

    @pytest.fixture
    def held(self, tmp_path, bench):
        held = Held(tmp_path, type(bench), SlurmBackend(queue="cpu"), "slurm")
        yield held
        held.release()
        held.wait()


class TestExperimentsOnSlurm(QueueTests):
    @pytest.fixture
    def queue(self):
        return Slurm()

    @pytest.fixture
    def start(self, slurm):
        return slurm


def test_a_job_that_slurm_gives_notice_of_its_limit_is_started_again(bench):
    bench.script("steps", STEPS % "0.9")
    limit = (
        "resources: {cpus: 1}\ndirectives: ['--time=1', '--signal=B:USR2@55']\n"  # it looks every half minute
    )
    bench.submit("steps", bench.runner("queue", f"backend: slurm\ngrace_seconds: 2\n{limit}"))
    assert bench.wait("steps", seconds=150) == {"done": 1}
    (states,) = attempts(bench, "steps").values()
    assert states["done"] == 1 and states["stopped"] >= 1
    like_an_undisturbed_one(bench, "steps")


def test_a_job_on_a_gpu_sees_that_one(bench):
    bench.script(
        "gpu",
        """
        import os, time
        def fit(task, *, a=0):
            time.sleep(1)
            return {"gpu": int(os.environ["CUDA_VISIBLE_DEVICES"])}
        experiment = nf.Experiment(fit=fit, grid=nf.grid(a=[1, 2, 3]))
    """,
    )
    text = "backend: slurm\nqueue: gpu\nresources: {cpus: 1, gpus: 1, memory_gb: 0.5}\n"
    bench.submit("gpu", bench.runner("queue", text))
    assert bench.wait("gpu") == {"done": 3}
    assert {record["metrics"]["gpu"] for record in bench.outcomes("gpu")} == {0, 1}


def test_tasks_that_share_the_gpu_of_a_job_stop_and_go_on_together(bench, tmp_path):
    text = "backend: slurm\nqueue: gpu\ngrace_seconds: 20\nresources: {cpus: 3, gpus: 1, memory_gb: 1}\n"

    def give_notice(id: str) -> None:
        slurm_says("scancel", "--batch", "--signal=USR2", f"{id}_0")

    three_share_a_gpu(bench, tmp_path, text, give_notice)


def test_the_throttle_is_shared_out_among_the_parts(bench, tmp_path):
    bench.script("many", QUICK % 8)
    with Slurm().split_at_three(bench, tmp_path) as profile:
        submitted = bench.submit(
            "many", bench.runner("queue", f"{profile}max_running: 4\ndirectives: [--hold]\n")
        )
    scripts = [path.read_text() for path in sorted((submitted.files.folder / "slurm").glob("*.sh"))]
    assert [re.search("--array=(.*)", text)[1] for text in scripts] == ["0-2%2", "0-2%1", "0-1%1"]
    slurm_says("scancel", *submitted.ids)


def test_the_sites_own_limit_is_kept(bench):
    bench.script("many", QUICK % 20_003)
    submitted = bench.submit("many", bench.runner("queue", f"{PROFILE}directives: [--hold]\n"))
    assert len(submitted.ids) == 2
    status = bench.status("many")
    assert {str(state): number for state, number in status.counts().items()} == {"queued": 20_003}
    (view,) = status.queues.values()
    released = {f"held by its user; `scontrol release {id}` releases it" for id in submitted.ids}
    assert set(view.reasons.values()) == released
    slurm_says("scancel", *submitted.ids)


def test_programs_that_slurm_ends_before_their_tasks_are_asked_have_stopped(bench):
    """`scancel` signals every process of a job, and a program may be the first to end."""
    (bench.root / "quick.py").write_text(
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
        "print('step 1', flush=True)\ntime.sleep(600)\n"
    )
    bench.script(
        "ends",
        """
        command = nf.Command("python quick.py {x}", metrics="metrics.json", code=["quick.py"])
        experiment = nf.Experiment(command, nf.grid(x=[1, 2, 3, 4, 5, 6]))
        """,
    )
    submitted = bench.submit("ends", bench.runner("queue", PROFILE))
    logs = bench.study.training_data / "ends" / "runs"
    until(lambda: sum("step 1" in path.read_text() for path in logs.glob("*/*/*/stdout.log")) == 6)
    slurm_says("scancel", submitted.ids[0])
    assert bench.wait("ends", seconds=90) == {"stopped": 6}, bench.command("failures", "ends").stdout


def test_a_person_who_cancels_by_hand_is_named_and_the_job_not_started_again(bench, tmp_path):
    bench.script("waits", WAITS % str(tmp_path / "go"))
    submitted = bench.submit("waits", bench.runner("queue", f"{PROFILE}directives: [--hold]\n"))
    slurm_says("scancel", submitted.ids[0])
    assert bench.wait("waits") == {"failed": 8}
    assert {task.cause for task in bench.status("waits").tasks.values()} == {"cancelled by root"}


@pytest.mark.parametrize(
    ("setting", "cause", "log"),
    [
        ("setup: ['module load nowhere', 'exit 3']", "status 3", "module: command not found"),
        ("python: /nowhere/python", "a program was not found", "/nowhere/python"),
        ("directives: ['--output=/nowhere/at/all']", None, None),
    ],
)
def test_what_goes_wrong_before_a_worker_is_there_is_shown(bench, setting, cause, log):
    bench.script("one", QUICK % 1)
    submitted = bench.submit("one", bench.runner("queue", f"{PROFILE}{setting}\n"))
    if cause is None:
        assert bench.wait("one") == {"done": 1}  # the script writes its own log; our --output comes last
        return
    assert bench.wait("one") == {"failed": 1}
    (task,) = bench.status("one").tasks.values()
    assert cause in task.cause
    assert log in (submitted.files.logs / "000000.log").read_text()


def test_a_log_folder_that_is_gone_is_the_cause(bench):
    bench.script("one", QUICK % 1)
    submitted = bench.submit("one", bench.runner("queue", f"{PROFILE}directives: [--hold]\n"))
    submitted.files.logs.rmdir()
    slurm_says("scontrol", "release", submitted.ids[0])
    assert bench.wait("one") == {"failed": 1}
    (task,) = bench.status("one").tasks.values()
    assert "its output could not be opened" in task.cause


def test_a_drained_node_is_reported_in_words(bench):
    bench.script("one", QUICK % 1)
    node = slurm_says("sinfo", "-h", "-N", "-p", "cpu", "-o", "%N").split()[0]
    slurm_says("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=test")
    try:
        bench.submit("one", bench.runner("queue", PROFILE))
        reasons = until(lambda: [task.cause for task in bench.status("one").tasks.values() if task.cause])
        assert re.search("a node that is not available|nodes that are down, drained or reserved", reasons[0])
        assert bench.counts("one") == {"queued": 1}
    finally:
        slurm_says("scontrol", "update", f"NodeName={node}", "State=RESUME")
    assert bench.wait("one") == {"done": 1}


def test_a_node_that_fails_has_its_jobs_started_again_where_they_were(bench, slurm):
    bench.script("steps", STEPS % "0.2")
    bench.submit("steps", bench.runner("queue", PROFILE))
    bench.wait("steps", until=lambda counts: counts["running"])
    time.sleep(2)
    node = slurm_says("sinfo", "-h", "-N", "-p", "cpu", "-o", "%N").split()[0]
    slurm_says("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
    try:
        assert bench.wait("steps", until=lambda counts: not counts["running"], seconds=30)["failed"] == 0
    finally:
        subprocess.run([slurm, "start"], check=True, capture_output=True, timeout=120)  # brings it back
    assert bench.wait("steps", until=lambda counts: counts["running"], seconds=60)
    (host,) = until(lambda: bench.status("steps") and read_hosts(bench.study))
    assert (host.name, host.deaths[0].cause) == (node, f"its node failed ({node})")
    assert bench.wait("steps", seconds=120) == {"done": 1}
    assert len(read_hosts(bench.study)[0].deaths) == 1
    assert attempts(bench, "steps").popitem()[1]["done"] == 1
    like_an_undisturbed_one(bench, "steps")


def test_without_accounting_a_job_that_vanished_is_lost_after_the_grace_and_not_before(
    bench, tmp_path, slurm
):
    bench.script("waits", WAITS % str(tmp_path / "go"))
    profile = PROFILE.replace("grace_seconds: 20", "grace_seconds: 6")
    submitted = bench.submit("waits", bench.runner("queue", profile))
    bench.wait("waits", until=lambda counts: counts["running"] == 4)
    pid = int((RUN / "slurmdbd.pid").read_text())
    os.kill(pid, signal.SIGTERM)
    until(lambda: not Path(f"/proc/{pid}").exists())
    try:
        kill_job(submitted.files.folder)
        until(lambda: not Slurm().is_listed(submitted.ids[0]))
        said = bench.command("status", "waits")
        assert said.returncode == 5 and "the queue could not be asked why its jobs ended" in said.stderr
        assert bench.wait("waits", seconds=30) == {"lost": 4, "new": 4}
    finally:
        subprocess.run([slurm, "start"], check=True, capture_output=True, timeout=120)
    (tmp_path / "go").touch()
    bench.submit("waits", bench.runner("queue", profile))
    assert bench.wait("waits") == {"done": 8}
