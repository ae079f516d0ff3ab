"""A real SLURM on this host: the contract, and what becomes of experiments on it."""

from __future__ import annotations

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
from unittest.mock import ANY

import pytest
from contract import BackendContract
from held import Held

from neurofit.backends.slurm import SlurmBackend
from neurofit.files import read_json
from neurofit.orchestrate.failures import failures

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("slurm")]

SMALL = "resources: {cpus: 1, memory_gb: 0.5}\ngrace_seconds: 20\n"  # accounting may be seconds late
PROFILE = "backend: slurm\nqueue: cpu\n" + SMALL


def slurm_says(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout


def until(question, seconds: float = 60.0):
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < deadline, f"not after {seconds} s"
        time.sleep(0.2)
    return answer


def states_of_attempts(bench, name: str) -> dict[str, Counter[str]]:
    """Task's folder → its attempts by how they ended."""
    found: dict[str, Counter[str]] = {}
    for path in sorted((bench.study.training_data / name / "runs").glob("*/*/attempt-*/outcome.json")):
        found.setdefault(str(path.parents[1]), Counter())[read_json(path)["state"]] += 1
    return found


class TestSlurm(BackendContract):
    @pytest.fixture
    def backend(self, held):
        return held.backend

    @pytest.fixture
    def held(self, tmp_path, bench):
        held = Held(tmp_path, type(bench), SlurmBackend(queue="cpu"), "slurm")
        yield held
        held.release()
        held.wait()


MIXED = """
    import time
    def fit(task, *, x=1):
        print("x is", x)
        if x == 2 and task.attempt.number == 1:
            raise ValueError("x=2 is too much")
        return {"m": x + task.repetition}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(x=[1, 2, 3]), repetitions=2)
"""


def test_from_submit_to_results_on_the_command_line(bench):
    bench.script("mixed", MIXED)
    bench.runner("queue", PROFILE)
    said = bench.command("submit", "mixed", "--backend", "queue")
    assert said.returncode == 0, said.stderr
    bench.wait("mixed")
    assert bench.counts("mixed") == {"done": 4, "failed": 2}
    assert "x is 3" in bench.command("logs", "mixed:2/0").stdout
    found = bench.standing("mixed")
    (failure,) = failures(found, found.all_keys())
    assert failure.message == "ValueError: x=2 is too much" and len(failure.tasks) == 2
    assert bench.command("submit", "mixed", "--backend", "queue", "--retry").returncode == 0
    assert bench.wait("mixed") == {"done": 6}
    rows = json.loads(bench.command("results", "mixed", "--json").stdout)
    assert "mixed" in json.dumps(rows) or rows


STEPS = """
    import json, random, time
    def fit(task, *, seconds=0.0, steps=40):
        generator, value, first = random.Random(task.seeds.init), 0.0, 0
        for folder in task.checkpoints[:1]:
            state = json.loads((folder / "state.json").read_text())
            generator.setstate((state["state"][0], tuple(state["state"][1]), state["state"][2]))
            value, first = state["value"], state["step"]
            task.resume(folder)
        for step in range(first, steps):
            value = 0.9 * value + generator.random()
            task.log(step, value=value)
            time.sleep(seconds)
            if task.should_stop():
                with task.save_checkpoint(step + 1) as folder:
                    (folder / "state.json").write_text(json.dumps(
                        {"state": generator.getstate(), "value": value, "step": step + 1}))
                task.stop(step + 1)
        return {"value": value}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(seconds=[%s]))
"""


def undisturbed(bench) -> float:
    bench.script("calm", STEPS % "0.0")
    assert bench.run("calm") == {"done": 1}
    return bench.outcomes("calm")[0]["metrics"]["value"]


@pytest.mark.parametrize(
    ("limit", "seconds"),
    [
        ("resources: {cpus: 1, walltime_minutes: 0.4}\n", "0.4"),  # neurofit's own clock: half of that
        # SLURM's notice; it looks at its clock every half minute
        ("resources: {cpus: 1}\ndirectives: ['--time=1', '--signal=B:USR2@55']\n", "0.9"),
    ],
    ids=["clock", "notice"],
)
def test_a_job_near_its_limit_is_started_again_and_its_result_is_that_of_an_undisturbed_one(bench, limit, seconds):
    bench.script("steps", STEPS % seconds)
    bench.submit("steps", bench.runner("queue", f"backend: slurm\ngrace_seconds: 2\n{limit}"))
    assert bench.wait("steps", seconds=150) == {"done": 1}
    (states,) = states_of_attempts(bench, "steps").values()
    assert states["done"] == 1 and states["stopped"] >= 1
    (record,) = bench.outcomes("steps")
    assert record["metrics"]["value"] == undisturbed(bench)
    history = (bench.study.training_data / "steps" / record["log"] / "history.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in history] == ["step", *map(str, range(40))]


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


QUICK = """
    def fit(task, *, x=0):
        return {"m": x}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(x=list(range(%d))))
"""
SMALL_SITE = """
from dataclasses import dataclass
from neurofit.backends.slurm import SlurmBackend
@dataclass(frozen=True)
class Small(SlurmBackend):
    def _config(self):
        return {**super()._config(), "MaxArraySize": "3"}
"""


def test_a_submission_above_the_sites_limit_is_split_and_the_throttle_shared(bench):
    bench.script("many", QUICK % 8)
    (bench.study.runners / "mysite.py").write_text(SMALL_SITE)
    text = f"backend: mysite.py:Small\nmax_running: 4\nqueue: cpu\n{SMALL}"
    submitted = bench.submit("many", bench.runner("queue", text))
    assert len(submitted.ids) == 3
    scripts = [path.read_text() for path in sorted((submitted.files.folder / "slurm").glob("*.sh"))]
    assert [re.search("--array=(.*)", text)[1] for text in scripts] == ["0-2%2", "0-2%1", "0-1%1"]
    assert bench.wait("many") == {"done": 8}
    assert all(states == {"done": 1} for states in states_of_attempts(bench, "many").values())


def test_the_sites_own_limit_is_kept(bench):
    bench.script("many", QUICK % 20_003)
    submitted = bench.submit("many", bench.runner("queue", f"{PROFILE}directives: [--hold]\n"))
    assert len(submitted.ids) == 2
    found = bench.standing("many")
    assert {str(state): number for state, number in found.counts().items()} == {"queued": 20_003}
    (view,) = found.queues.values()
    assert set(view.reasons.values()) == {"held by its user: `scontrol release` lets it go on"}
    slurm_says("scancel", *submitted.ids)


WAITS = """
    import time
    from pathlib import Path
    def fit(task, *, x=0):
        deadline = time.monotonic() + 60
        while not Path(%r).exists() and time.monotonic() < deadline:
            if task.should_stop():
                task.stop()
            time.sleep(0.05)
        return {"m": x}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(x=[0, 1, 2, 3]), repetitions=2)
"""


def test_cancelling_a_task_a_job_and_all_of_them(bench, tmp_path):
    bench.script("waits", WAITS % str(tmp_path / "go"))
    submitted = bench.submit("waits", bench.runner("queue", PROFILE))
    first = min(bench.standing("waits").registry.runs)
    bench.wait("waits", until=lambda counts: counts["running"] == 4)
    assert bench.command("cancel", f"waits:{first}/0", "--yes").returncode == 0  # a task inside a job
    bench.wait("waits", until=lambda counts: counts["cancelled"] == 1 and counts["running"] == 4, seconds=30)
    assert bench.command("cancel", f"waits:{first + 1}", "--yes").returncode == 0  # an element of the array
    bench.wait("waits", until=lambda counts: counts["cancelled"] == 3, seconds=30)
    until(lambda: f"{submitted.ids[0]}_1|" not in slurm_says("squeue", "-h", "-r", "-o", "%i|"))
    assert bench.command("cancel", "waits", "--yes").returncode == 0
    assert bench.wait("waits", seconds=30) == {"cancelled": 8}
    until(lambda: not slurm_says("squeue", "-h", "-j", submitted.ids[0], "-t", "all", "-o", "%T").strip("CANELD\n"), 30)
    (tmp_path / "go").touch()
    assert bench.submit("waits", bench.runner("queue", PROFILE), retry=True)
    assert bench.wait("waits") == {"done": 8}


def test_a_person_who_cancels_by_hand_is_named_and_the_job_not_started_again(bench, tmp_path):
    bench.script("waits", WAITS % str(tmp_path / "go"))
    submitted = bench.submit("waits", bench.runner("queue", f"{PROFILE}directives: [--hold]\n"))
    slurm_says("scancel", submitted.ids[0])
    assert bench.wait("waits") == {"failed": 8}
    assert {task.cause for task in bench.standing("waits").tasks.values()} == {"cancelled by root"}


@pytest.mark.parametrize(
    ("setting", "cause", "log"),
    [
        ("setup: ['module load nowhere', 'exit 3']", "exit code 3", "module: command not found"),
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
    (task,) = bench.standing("one").tasks.values()
    assert cause in task.cause
    assert log in (submitted.files.logs / "000000.log").read_text()


def test_a_log_folder_that_is_gone_is_the_cause(bench):
    bench.script("one", QUICK % 1)
    submitted = bench.submit("one", bench.runner("queue", f"{PROFILE}directives: [--hold]\n"))
    submitted.files.logs.rmdir()
    slurm_says("scontrol", "release", submitted.ids[0])
    assert bench.wait("one") == {"failed": 1}
    (task,) = bench.standing("one").tasks.values()
    assert "its output could not be opened" in task.cause


def test_a_drained_node_is_told_in_words(bench):
    bench.script("one", QUICK % 1)
    node = slurm_says("sinfo", "-h", "-N", "-p", "cpu", "-o", "%N").split()[0]
    slurm_says("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=test")
    try:
        bench.submit("one", bench.runner("queue", PROFILE))
        reasons = until(lambda: [task.cause for task in bench.standing("one").tasks.values() if task.cause])
        assert re.search("a node that is not available|nodes that are down, drained or reserved", reasons[0])
        assert bench.counts("one") == {"queued": 1}
    finally:
        slurm_says("scontrol", "update", f"NodeName={node}", "State=RESUME")
    assert bench.wait("one") == {"done": 1}


def test_a_controller_that_is_away_changes_no_state(bench, tmp_path, slurm):
    bench.script("waits", WAITS % str(tmp_path / "go"))
    bench.submit("waits", bench.runner("queue", PROFILE))
    before = bench.wait("waits", until=lambda counts: counts["running"] == 4)
    pid = int(Path("/var/tmp/neurofit-slurm/run/slurmctld.pid").read_text())
    os.kill(pid, signal.SIGTERM)
    until(lambda: not Path(f"/proc/{pid}").exists())
    try:
        found = bench.standing("waits")
        assert Counter({str(state): number for state, number in found.counts().items()}) == before
        assert (
            "could not be asked" in found.unanswered[0] and "Unable to contact slurm controller" in found.unanswered[0]
        )
        assert "could not be asked" in bench.command("status", "waits").stderr
        bench.script("more", QUICK % 1)
        refused = bench.command("submit", "more", "--backend", "queue")
        assert refused.returncode and "Unable to contact slurm controller" in refused.stderr
        (tmp_path / "go").touch()
        time.sleep(2)
        assert bench.counts("waits")["done"] == 8  # nodes go on without it
    finally:
        subprocess.run([slurm, "start"], check=True, capture_output=True, timeout=120)
    assert bench.wait("waits") == {"done": 8}
    bench.submit("more", bench.runner("queue", PROFILE))
    assert bench.wait("more") == {"done": 1}


SLOW_SBATCH = """#!/bin/bash
sleep 0.2
id=$(/usr/bin/sbatch "$@") || exit
sleep 0.2
echo "$id"
"""


def test_a_submit_that_is_killed_anywhere_is_simply_repeated(bench, tmp_path, monkeypatch):
    bench.script("many", QUICK % 8)
    (bench.study.runners / "mysite.py").write_text(SMALL_SITE)
    bench.runner("queue", f"backend: mysite.py:Small\nqueue: cpu\n{SMALL.replace('20', '5')}")
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "sbatch").write_text(SLOW_SBATCH)  # killed before, while and after it asks, three times
    (tmp_path / "slow" / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'slow'}:{os.environ['PATH']}")
    generator = random.Random(3)
    for _ in range(8):
        submitting = subprocess.Popen(
            [sys.executable, "-m", "neurofit", "submit", "many", "--backend", "queue"],
            cwd=bench.root,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(generator.uniform(0.2, 1.8))
        submitting.kill()  # its sbatch lives on, and may yet be heard
        submitting.wait()
    until(lambda: bench.command("submit", "many", "--backend", "queue").returncode == 0, 30)
    deadline = time.monotonic() + 60
    while bench.wait("many", seconds=90) != {"done": 8}:
        assert time.monotonic() < deadline
        bench.command("submit", "many", "--backend", "queue")
    attempts = states_of_attempts(bench, "many")
    assert len(attempts) == 8 and all(states == {"done": 1} for states in attempts.values())
    tokens = [folder.name for folder in (bench.study.training_data / "many" / "submissions").iterdir()]
    assert until(lambda: [name for name in elements() if any(token in name for token in tokens)][7:]) == [ANY]  # of 8


def elements() -> list[str]:
    """The name of every element of an array that accounting knows; it may be late."""
    return slurm_says("sacct", "-X", "-P", "-n", "-o", "JobName", "-S", "now-1hours").split()


COUNTING = """#!/bin/bash
echo "$(basename "$0") $*" >>"$CALLS"
exec "/usr/bin/$(basename "$0")" "$@"
"""


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """Every question to the queue from now on, as lines."""
    folder, log = tmp_path / "counting", tmp_path / "calls"
    folder.mkdir()
    for name in ("sbatch", "squeue", "sacct", "scancel", "scontrol", "sinfo", "srun"):
        (folder / name).write_text(COUNTING)
        (folder / name).chmod(0o755)
    log.touch()
    monkeypatch.setenv("CALLS", str(log))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return lambda: log.read_text().splitlines()


def test_ten_thousand_tasks_cost_the_queue_a_few_questions(bench, calls, capsys):
    bench.script("large", (QUICK % 1000).replace("))))", "))), repetitions=10)"))
    profile = bench.runner("queue", f"{PROFILE}directives: [--hold]\n")
    began = time.perf_counter()
    submitted = bench.submit("large", profile)
    seconds, to_submit = time.perf_counter() - began, calls()
    began = time.perf_counter()
    assert bench.counts("large") == {"queued": 10_000}
    status = time.perf_counter() - began
    asked = calls()[len(to_submit) :]
    assert len(to_submit) <= 20
    assert [line.split()[0] for line in asked] == ["squeue"]
    assert len(list((submitted.files.folder / "slurm").iterdir())) == 2
    assert bench.command("cancel", "large", "--yes").returncode == 0
    assert bench.counts("large") == {"cancelled": 10_000}
    with capsys.disabled():
        names = Counter(line.split()[0] for line in to_submit)
        print(f"\n10,000 tasks: submitted in {seconds:.2f} s with {dict(names)}; status in {status:.2f} s, one squeue")
