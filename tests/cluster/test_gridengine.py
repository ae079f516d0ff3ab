"""A real Grid Engine on this host: the contract, and what becomes of experiments on it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from contract import BackendContract
from held import Held
from studies import MIXED, QUICK, STEPS, WAITS, attempts, undisturbed, until

from neurofit.backends.sge import SgeBackend

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("gridengine")]

PROFILE = "backend: sge\nqueue: cpu.q\nresources: {cpus: 1, memory_gb: 0.25}\ngrace_seconds: 2\n"
SINGLE_LINE = {**os.environ, "SGE_SINGLE_LINE": "1"}


def gridengine_says(*words: str, check: bool = True) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=check, timeout=60, env=SINGLE_LINE)
    return done.stdout + done.stderr


def is_listed(job: str) -> bool:
    return f"<JB_job_number>{job}<" in gridengine_says("qstat", "-xml", "-u", "*")


@contextlib.contextmanager
def array_limit(tasks: int, tmp_path: Path):
    """The site's limit for a while."""
    before = gridengine_says("qconf", "-sconf")
    for text in (re.sub(r"(max_aj_tasks +)\d+", rf"\g<1>{tasks}", before), before):
        (tmp_path / "global").write_text(text)
        gridengine_says("qconf", "-Mconf", str(tmp_path / "global"))
        if text != before:
            try:
                yield
            except BaseException:
                (tmp_path / "global").write_text(before)
                gridengine_says("qconf", "-Mconf", str(tmp_path / "global"))
                raise


class TestGridEngine(BackendContract):
    @pytest.fixture
    def backend(self, held):
        return held.backend

    @pytest.fixture
    def held(self, tmp_path, bench):
        held = Held(tmp_path, type(bench), SgeBackend(queue="cpu.q"), "sge")
        yield held
        held.release()
        held.wait()


def test_the_cluster_says_what_it_is(gridengine):
    backend = SgeBackend(queue="cpu.q")
    assert backend.limits().array_size == 75000
    assert all(finding.ok for finding in backend.check()), backend.check()
    (refused,) = [finding for finding in SgeBackend(queue="nope.q").check() if not finding.ok]
    assert 'unknown queue "nope.q"' in refused.advice


def test_from_submit_to_results_on_the_command_line(bench):
    bench.script("mixed", MIXED)
    bench.runner("queue", PROFILE)
    said = bench.command("submit", "mixed", "--backend", "queue")
    assert said.returncode == 0, said.stderr
    bench.wait("mixed")
    assert bench.counts("mixed") == {"done": 4, "failed": 2}
    assert "x is 3" in bench.command("logs", "mixed:2/0").stdout
    assert "done" in bench.command("status", "mixed").stdout
    assert bench.command("submit", "mixed", "--backend", "queue", "--retry").returncode == 0
    assert bench.wait("mixed") == {"done": 6}
    assert len(json.loads(bench.command("results", "mixed", "--json").stdout)) >= 1


def test_a_job_near_its_time_limit_is_started_again_and_its_result_is_that_of_an_undisturbed_one(bench):
    bench.script("steps", STEPS % "0.5")
    text = "backend: sge\nqueue: cpu.q\ngrace_seconds: 2\nresources: {cpus: 1, walltime_minutes: 0.3}\n"
    submitted = bench.submit("steps", bench.runner("queue", text))
    assert bench.wait("steps", seconds=150) == {"done": 1}
    assert list(attempts(bench, "steps").values()) == [{"done": 1, "stopped": 2}]
    assert len(submitted.ids) == 1  # the same job, started again
    like_an_undisturbed_one(bench, "steps")


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


def like_an_undisturbed_one(bench, name: str) -> None:
    (record,) = bench.outcomes(name)
    assert record["metrics"]["value"] == undisturbed(bench)
    history = (bench.study.training_data / name / record["log"] / "history.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in history] == ["step", *map(str, range(40))]


def test_jobs_on_gpus_see_one_each_and_never_the_same(bench, tmp_path, monkeypatch):
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "nvidia-smi").write_text(
        "#!/bin/sh\ncase $1 in --query-gpu*) printf '0, GPU-a\\n1, GPU-b\\n' ;; esac\n",
    )
    (programs / "nvidia-smi").chmod(0o755)
    bench.script("gpu", f"""
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
    """)  # fmt: skip
    setup = f"setup: ['export PATH={programs}:$PATH NEUROFIT_DEVICES={tmp_path}/devices']\n"
    text = f"backend: sge\nqueue: gpu.q\nresources: {{cpus: 1, gpus: 1}}\n{setup}"
    bench.submit("gpu", bench.runner("queue", text))
    assert bench.wait("gpu") == {"done": 4}
    assert {record["metrics"]["gpu"] for record in bench.outcomes("gpu")} == {0, 1}


def test_a_submission_above_the_sites_limit_is_split_and_the_throttle_shared(bench, tmp_path):
    bench.script("many", QUICK % 8)
    with array_limit(3, tmp_path):
        submitted = bench.submit("many", bench.runner("queue", f"{PROFILE}max_running: 4\n"))
    assert len(submitted.ids) == 3
    assert bench.wait("many") == {"done": 8}
    assert all(states == {"done": 1} for states in attempts(bench, "many").values())


def test_cancelling_a_task_a_job_and_all_of_them(bench, tmp_path):
    bench.script("waits", WAITS % str(tmp_path / "go"))
    submitted = bench.submit("waits", bench.runner("queue", PROFILE))
    first = min(bench.standing("waits").registry.runs)
    bench.wait("waits", until=lambda counts: counts["running"] == 4)
    assert bench.command("cancel", f"waits:{first}/0", "--yes").returncode == 0  # a task inside a job
    bench.wait("waits", until=lambda counts: counts["cancelled"] == 1 and counts["running"] == 4, seconds=30)
    assert bench.command("cancel", f"waits:{first + 1}", "--yes").returncode == 0  # an element of the array
    bench.wait("waits", until=lambda counts: counts["cancelled"] == 3, seconds=30)
    until(lambda: "<tasks>2</tasks>" not in gridengine_says("qstat", "-xml", "-u", "*"))
    assert bench.command("cancel", "waits", "--yes").returncode == 0
    assert bench.wait("waits", seconds=30) == {"cancelled": 8}
    until(lambda: not is_listed(submitted.ids[0]))
    time.sleep(1)
    assert not is_listed(submitted.ids[0]), "a cancelled job was started again"
    (tmp_path / "go").touch()
    assert bench.submit("waits", bench.runner("queue", PROFILE), retry=True)
    assert bench.wait("waits") == {"done": 8}


def test_a_job_deleted_by_hand_is_told_and_not_started_again(bench, tmp_path):
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
        ("python: /nowhere/python", "status 127", "/nowhere/python"),
    ],
)
def test_what_goes_wrong_before_a_worker_is_there_is_shown(bench, setting, cause, log):
    bench.script("one", QUICK % 1)
    submitted = bench.submit("one", bench.runner("queue", f"{PROFILE}{setting}\n"))
    assert bench.wait("one") == {"failed": 1}
    (task,) = bench.standing("one").tasks.values()
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
    (task,) = bench.standing("one").tasks.values()
    assert "does not see the study's folder" in task.cause


def test_a_job_that_outlives_its_time_limit_is_failed_with_that_cause(bench):
    bench.script("deaf", """
        import signal, time
        def fit(task):
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            time.sleep(60)
            return {"m": 1}
        experiment = nf.Experiment(fit=fit)
    """)  # fmt: skip
    bench.submit("deaf", bench.runner("queue", f"{PROFILE}directives: ['-l h_rt=6']\n"))
    assert bench.wait("deaf", seconds=90) == {"failed": 1}
    (task,) = bench.standing("deaf").tasks.values()
    assert "time limit was reached" in task.cause


def test_a_disabled_queue_and_a_hold_and_an_error_are_told_in_words(bench):
    for name in ("one", "held", "broken"):
        bench.script(name, QUICK % 1)
    gridengine_says("qmod", "-d", "cpu.q")
    try:
        bench.submit("one", bench.runner("queue", PROFILE))
        bench.submit("held", bench.runner("queue", f"{PROFILE}directives: [-h]\n"))
        causes = until(lambda: [task.cause for task in bench.standing("one").tasks.values() if task.cause])
        assert "disabled" in causes[0]
        (task,) = bench.standing("held").tasks.values()
        assert "held; `qrls" in task.cause
    finally:
        gridengine_says("qmod", "-e", "cpu.q")
    assert bench.wait("one") == {"done": 1}
    bench.command("cancel", "held", "--yes")
    broken = bench.submit("broken", bench.runner("queue", f"{PROFILE}directives: ['-o /nowhere/at/all']\n"))
    causes = until(lambda: [task.cause for task in bench.standing("broken").tasks.values() if task.cause])
    until(lambda: "Eqw" in gridengine_says("qstat", "-xml", "-u", "*"))
    (task,) = bench.standing("broken").tasks.values()
    assert "in error: can't open output file" in task.cause and f"qmod -cj {broken.ids[0]}" in task.cause
    assert bench.counts("broken") == {"queued": 1}
    assert bench.command("cancel", "broken", "--yes").returncode == 0
    assert bench.wait("broken") == {"cancelled": 1}


def test_a_qmaster_that_is_away_changes_no_state(bench, tmp_path, gridengine):
    bench.script("waits", WAITS % str(tmp_path / "go"))
    bench.submit("waits", bench.runner("queue", PROFILE))
    before = bench.wait("waits", until=lambda counts: counts["running"] == 4)
    pid = int(Path("/var/run/gridengine/qmaster.pid").read_text())
    os.kill(pid, signal.SIGTERM)
    until(lambda: not Path(f"/proc/{pid}").exists())
    try:
        found = bench.standing("waits")
        assert Counter({str(state): number for state, number in found.counts().items()}) == before
        assert "could not be asked" in found.unanswered[0]
        assert "could not be asked" in bench.command("status", "waits").stderr
        bench.script("more", QUICK % 1)
        refused = bench.command("submit", "more", "--backend", "queue")
        assert refused.returncode not in (0, 1), refused
        (tmp_path / "go").touch()
        until(lambda: bench.counts("waits")["done"] == 8, 20)  # nodes go on without it
    finally:
        subprocess.run([gridengine, "start"], check=True, capture_output=True, timeout=120)
    assert bench.wait("waits") == {"done": 8}
    until(lambda: bench.command("submit", "more", "--backend", "queue") and bench.counts("more")["done"] == 1)


def test_a_submit_that_is_killed_anywhere_is_simply_repeated(bench, tmp_path):
    bench.script("many", QUICK % 8)
    bench.runner("queue", PROFILE.replace("grace_seconds: 2", "grace_seconds: 5"))
    generator = random.Random(3)
    with array_limit(3, tmp_path):
        for _ in range(8):
            submitting = subprocess.Popen(
                [sys.executable, "-m", "neurofit", "submit", "many", "--backend", "queue"],
                cwd=bench.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            time.sleep(generator.uniform(0.25, 0.9))
            submitting.kill()
            submitting.wait()
        until(lambda: bench.command("submit", "many", "--backend", "queue").returncode == 0, 30)
    deadline = time.monotonic() + 60
    while bench.wait("many", seconds=90) != {"done": 8}:
        assert time.monotonic() < deadline
        bench.command("submit", "many", "--backend", "queue")
    tasks = attempts(bench, "many")
    assert len(tasks) == 8 and all(states == {"done": 1} for states in tasks.values())


COUNTING = """#!/bin/bash
echo "$(basename "$0") $*" >>"$CALLS"
exec "/usr/bin/$(basename "$0")" "$@"
"""


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """Every question to the queue from now on, as lines."""
    folder, log = tmp_path / "counting", tmp_path / "calls"
    folder.mkdir()
    for name in ("qsub", "qstat", "qacct", "qdel", "qconf"):
        (folder / name).write_text(COUNTING)
        (folder / name).chmod(0o755)
    log.touch()
    monkeypatch.setenv("CALLS", str(log))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return lambda: log.read_text().splitlines()


def test_ten_thousand_tasks_cost_the_queue_a_few_questions(bench, calls, capsys):
    bench.script("large", (QUICK % 1000).replace("))))", "))), repetitions=10)"))
    profile = bench.runner("queue", f"{PROFILE}directives: [-h]\n")
    began = time.perf_counter()
    submitted = bench.submit("large", profile)
    seconds, to_submit = time.perf_counter() - began, calls()
    began = time.perf_counter()
    assert bench.counts("large") == {"queued": 10_000}
    status = time.perf_counter() - began
    asked = calls()[len(to_submit) :]
    assert len(to_submit) <= 20
    assert [line.split()[0] for line in asked] == ["qstat"]
    assert len(submitted.ids) == 1
    assert bench.command("cancel", "large", "--yes").returncode == 0
    assert bench.counts("large") == {"cancelled": 10_000}
    with capsys.disabled():
        names = dict(Counter(line.split()[0] for line in to_submit))
        print(f"\n10,000 tasks: submitted in {seconds:.2f} s with {names}; status in {status:.2f} s, one qstat")
