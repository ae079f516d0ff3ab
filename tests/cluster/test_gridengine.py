"""A real Grid Engine on this host: the contract, and what becomes of experiments on it."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from contract import BackendContract
from held import Held
from queue_tests import Queue, QueueTests
from studies import QUICK, STEPS, WAITS, attempts, like_an_undisturbed_one, three_share_a_gpu, until

from neurofit.backends.qsub.gridengine import SgeBackend
from neurofit.store.hosts import read_hosts

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("gridengine")]

PROFILE = "backend: sge\nqueue: cpu.q\nresources: {cpus: 1, memory_gb: 0.25}\ngrace_seconds: 5\n"
SINGLE_LINE = {**os.environ, "SGE_SINGLE_LINE": "1"}


def gridengine_says(*words: str, check: bool = True) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=check, timeout=60, env=SINGLE_LINE)
    return done.stdout + done.stderr


def is_listed(job: str) -> bool:
    return f"<JB_job_number>{job}<" in gridengine_says("qstat", "-xml", "-u", "*")


class GridEngine(Queue):
    profile = PROFILE
    on_hold = "directives: [-h]"
    calls = ("qsub", "qstat", "qacct", "qdel", "qconf")
    question = "qstat"
    away = "unable to send message to qmaster"

    def is_listed(self, id):
        return is_listed(id)

    def has_left(self, id, element):
        listed = gridengine_says("qstat", "-xml", "-g", "d", "-u", "*")
        return f">{id}<" in listed and f"<tasks>{element + 1}</tasks>" not in listed

    def release(self, id):
        gridengine_says("qrls", id)

    def start_again(self, id):
        gridengine_says("qmod", "-rj", id)

    @contextlib.contextmanager
    def split_at_three(self, bench, tmp_path):
        before = gridengine_says("qconf", "-sconf")
        try:
            self._configure(tmp_path, re.sub(r"(max_aj_tasks +)\d+", r"\g<1>3", before))
            yield PROFILE
        finally:
            self._configure(tmp_path, before)

    def _configure(self, tmp_path, text):
        (tmp_path / "global").write_text(text)
        gridengine_says("qconf", "-Mconf", str(tmp_path / "global"))

    def running(self):
        return gridengine_says("qstat", "-xml", "-s", "r", "-u", "*").count("<job_list")

    def server(self):
        return int(Path("/var/run/gridengine/qmaster.pid").read_text())


class TestGridEngineKeepsTheContract(BackendContract):
    @pytest.fixture
    def backend(self, held):
        return held.backend

    @pytest.fixture
    def held(self, tmp_path, bench):
        held = Held(tmp_path, type(bench), SgeBackend(queue="cpu.q"), "sge")
        yield held
        held.release()
        held.wait()


class TestExperimentsOnGridEngine(QueueTests):
    @pytest.fixture
    def queue(self):
        return GridEngine()

    @pytest.fixture
    def start(self, gridengine):
        return gridengine


def test_the_cluster_says_what_it_is(gridengine):
    backend = SgeBackend(queue="cpu.q")
    assert backend.limits().array_size == 75000
    assert all(finding.ok for finding in backend.check()), backend.check()
    (refused,) = [finding for finding in SgeBackend(queue="nope.q").check() if not finding.ok]
    assert 'unknown queue "nope.q"' in refused.advice


def test_a_job_that_is_suspended_or_rescheduled_for_others_goes_on_where_it_was(bench):
    ids = {}
    for name in ("suspended", "moved"):
        bench.script(name, STEPS % "0.4")
        ids[name] = bench.submit(name, bench.runner("queue", PROFILE)).ids[0]
    for name in ids:
        bench.wait(name, until=lambda counts: counts["running"])
    time.sleep(2)
    gridengine_says("qmod", "-sj", ids["suspended"])
    gridengine_says("qmod", "-rj", ids["moved"])
    for name in ids:
        assert bench.wait(name) == {"done": 1}
        assert list(attempts(bench, name).values()) == [{"done": 1, "stopped": 1}]
        like_an_undisturbed_one(bench, name)


def test_jobs_on_gpus_see_one_each_and_never_the_same(bench, tmp_path, monkeypatch):
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "nvidia-smi").write_text(
        "#!/bin/sh\ncase $1 in --query-gpu*) printf '0, GPU-a\\n1, GPU-b\\n' ;; esac\n",
    )
    (programs / "nvidia-smi").chmod(0o755)
    bench.script(
        "gpu",
        f"""
        import os, time
        from pathlib import Path
        def fit(task, *, a=0):
            seen = os.environ["CUDA_VISIBLE_DEVICES"]
            mine = Path({str(tmp_path)!r}, seen)
            mine.touch(exist_ok=False)
            time.sleep(1)
            mine.unlink()
            return {{"gpu": ["GPU-a", "GPU-b"].index(seen)}}
        experiment = nf.Experiment(fit=fit, grid=nf.grid(a=[1, 2, 3, 4]))
    """,
    )
    setup = f"setup: ['export PATH={programs}:$PATH NEUROFIT_DEVICES={tmp_path}/devices']\n"
    text = f"backend: sge\nqueue: gpu.q\nresources: {{cpus: 1, gpus: 1}}\n{setup}"
    bench.submit("gpu", bench.runner("queue", text))
    assert bench.wait("gpu") == {"done": 4}
    assert {record["metrics"]["gpu"] for record in bench.outcomes("gpu")} == {0, 1}


def test_tasks_that_share_the_gpu_of_a_job_stop_and_go_on_together(bench, tmp_path):
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "nvidia-smi").write_text(
        "#!/bin/sh\ncase $1 in --query-gpu*) printf '0, GPU-a\\n1, GPU-b\\n' ;; esac\n",
    )
    (programs / "nvidia-smi").chmod(0o755)
    setup = f"setup: ['export PATH={programs}:$PATH NEUROFIT_DEVICES={tmp_path}/devices']\n"
    text = f"backend: sge\nqueue: gpu.q\nresources: {{cpus: 1, gpus: 1}}\n{setup}"
    three_share_a_gpu(bench, tmp_path, text, lambda id: gridengine_says("qmod", "-rj", id))


def test_a_job_deleted_by_hand_is_reported_and_not_started_again(bench, tmp_path):
    bench.script("waits", WAITS % str(tmp_path / "go"))
    submitted = bench.submit("waits", bench.runner("queue", PROFILE))
    bench.wait("waits", until=lambda counts: counts["running"] == 4)
    gridengine_says("qdel", submitted.ids[0])
    counts = bench.wait("waits", seconds=60)
    assert counts["stopped"] + counts["new"] + counts["failed"] == 8
    assert not is_listed(submitted.ids[0])


@pytest.mark.parametrize(
    ("setting", "cause", "log"),
    [
        ("setup: ['module load nowhere', 'exit 99']", "status 1", "module: command not found"),
        ("python: /nowhere/python", "a program was not found", "/nowhere/python"),
    ],
)
def test_what_goes_wrong_before_a_worker_is_there_is_shown(bench, setting, cause, log):
    bench.script("one", QUICK % 1)
    submitted = bench.submit("one", bench.runner("queue", f"{PROFILE}{setting}\n"))
    assert bench.wait("one") == {"failed": 1}
    (task,) = bench.status("one").tasks.values()
    assert cause in task.cause
    assert log in (submitted.files.logs / "000000.log").read_text()


def test_a_study_that_the_node_does_not_see_is_the_cause(bench):
    bench.script("one", QUICK % 1)
    submitted = bench.submit("one", bench.runner("queue", f"{PROFILE}directives: [-h]\n"))
    away = bench.root.with_name("away")
    bench.root.rename(away)
    gridengine_says("qrls", submitted.ids[0])
    until(lambda: not is_listed(submitted.ids[0]))
    away.rename(bench.root)
    assert bench.wait("one") == {"failed": 1}
    (task,) = bench.status("one").tasks.values()
    assert "cannot see the study's folder" in task.cause
    (host,) = read_hosts(bench.study)
    assert host.name in gridengine_says("qconf", "-sel") and len(host.deaths) == 1


def test_a_job_that_outlives_its_time_limit_is_failed_with_that_cause(bench):
    bench.script(
        "deaf",
        """
        import signal, time
        def fit(task):
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            time.sleep(60)
            return {"m": 1}
        experiment = nf.Experiment(fit=fit)
    """,
    )
    bench.submit("deaf", bench.runner("queue", f"{PROFILE}directives: ['-l h_rt=6']\n"))
    assert bench.wait("deaf", seconds=90) == {"failed": 1}
    (task,) = bench.status("deaf").tasks.values()
    assert "time limit exceeded" in task.cause


def test_a_disabled_queue_and_a_hold_and_an_error_are_reported_in_words(bench):
    for name in ("one", "held", "broken"):
        bench.script(name, QUICK % 1)
    gridengine_says("qmod", "-d", "cpu.q")
    try:
        bench.submit("one", bench.runner("queue", PROFILE))
        bench.submit("held", bench.runner("queue", f"{PROFILE}directives: [-h]\n"))
        causes = until(lambda: [task.cause for task in bench.status("one").tasks.values() if task.cause])
        assert "disabled" in causes[0]
        (task,) = bench.status("held").tasks.values()
        assert "held; `qrls" in task.cause
    finally:
        gridengine_says("qmod", "-e", "cpu.q")
    assert bench.wait("one") == {"done": 1}
    bench.command("cancel", "held", "--yes")
    broken = bench.submit("broken", bench.runner("queue", f"{PROFILE}directives: ['-o /nowhere/at/all']\n"))
    causes = until(lambda: [task.cause for task in bench.status("broken").tasks.values() if task.cause])
    until(lambda: "Eqw" in gridengine_says("qstat", "-xml", "-u", "*"))
    (task,) = bench.status("broken").tasks.values()
    assert "in error: can't open output file" in task.cause and f"qmod -cj {broken.ids[0]}" in task.cause
    assert bench.counts("broken") == {"queued": 1}
    assert bench.command("cancel", "broken", "--yes").returncode == 0
    assert bench.wait("broken") == {"cancelled": 1}


def test_other_jobs_with_difficult_names_hide_nothing(bench, gridengine):
    """What SGE 8.1.9 lets into a name; its own XML says `%lt;` for `<`."""
    held = ["qsub", "-terse", "-h", "-b", "y"]
    others = [
        subprocess.run([*held, "-N", name, "/bin/true"], capture_output=True, text=True, check=True)
        for name in ("a<&b", "c'\"d", "<JB_job_number>5<")
    ]
    try:
        bench.script("quick", QUICK % 3)
        submitted = bench.submit("quick", bench.runner("queue", f"{PROFILE}directives: ['-h']\n"))
        assert bench.counts("quick") == {"queued": 3}
        submitted.files.queue.unlink()  # as if the submit had been killed before it was noted
        assert bench.counts("quick") == {"queued": 3}
        assert bench.command("cancel", "quick", "--yes").returncode == 0
        assert bench.counts("quick") == {"cancelled": 3}
    finally:
        subprocess.run(["qdel", *(one.stdout.strip() for one in others)], capture_output=True)


def test_a_limit_on_a_users_jobs_takes_some_and_the_rest_is_new_at_once(bench, tmp_path, gridengine):
    bench.script("many", QUICK % 8)
    bench.runner("queue", f"{PROFILE.replace('grace_seconds: 5', 'grace_seconds: 300')}directives: ['-h']\n")
    queue, before = GridEngine(), gridengine_says("qconf", "-sconf")
    try:
        queue._configure(
            tmp_path,
            re.sub(r"(max_u_jobs +)\d+", r"\g<1>2", re.sub(r"(max_aj_tasks +)\d+", r"\g<1>3", before)),
        )
        said = bench.command("submit", "many", "--backend", "queue")
        assert said.returncode == 1 and "jobs are allowed per user" in said.stderr, said.stderr
        assert "6 of 8 jobs were queued as" in said.stderr and "the others are not queued" in said.stderr
        assert bench.counts("many") == {"queued": 6, "new": 2}
    finally:
        queue._configure(tmp_path, before)
    assert bench.command("submit", "many", "--backend", "queue").returncode == 0
    assert bench.counts("many") == {"queued": 8}
    assert bench.command("cancel", "many", "--yes").returncode == 0


def test_a_qmaster_that_refuses_connections_has_taken_nothing(bench, monkeypatch):
    bench.script("quick", QUICK % 3)
    bench.runner("queue", PROFILE)
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("SGE_QMASTER_PORT", "6999")
        said = bench.command("submit", "quick", "--backend", "queue")
    assert said.returncode == 1 and "Connection refused" in said.stderr
    assert "is not known" not in said.stderr
    assert not list((bench.study.training_data / "quick" / "submissions").iterdir())
