"""Tasks that share the GPU of their job: at a time, each in a process of its own, each with its own end.

No GPU is needed: a program on PATH answers as nvidia-smi does.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from pool_processes import children, kill_one

from neurofit.exit_codes import START_AGAIN
from neurofit.orchestrate.plan import SubmitOptions, load, make
from neurofit.orchestrate.submit import submission_record
from neurofit.process import Process
from neurofit.store.layout import ExperimentFiles, SubmissionFiles
from neurofit.store.registry import read_registry, register
from neurofit.store.submissions import write_submission

pytestmark = pytest.mark.process

QUEUE = "backend: slurm\ntasks_per_gpu: {tasks}\nresources: {{gpus: 1, cpus: 4{more}}}\n"
SMI = """\
#!/bin/sh
cd "{state}"
case "$1" in
    *memory.total*) echo "GPU-aaaa, 0, 81920"; echo "GPU-bbbb, 1, 40960" ;;
    *utilization*) echo "GPU-aaaa, 30"; echo "GPU-bbbb, 90" ;;
    --query-compute-apps*) cat used; echo asked >>asked ;;
    *) echo "GPU 0: NVIDIA A100 (UUID: GPU-aaaa)" ;;
esac
"""
MEET = """
    import os, time
    from pathlib import Path
    here = Path({here!r})
    def meet(task, number):
        \"\"\"Wait until so many tasks have begun.\"\"\"
        (here / f"{{task.params['run']}}-{{task.repetition}}-{{time.monotonic_ns()}}").touch()
        until = time.monotonic() + 60
        while len(os.listdir(here)) < number:
            if task.should_stop():
                task.stop()
            if time.monotonic() > until:
                raise RuntimeError("the others did not begin")
            time.sleep(0.01)
"""


@pytest.fixture
def gpu(tmp_path, monkeypatch, processes) -> Path:
    """A host with two GPUs, of which the job has the first; tasks write into `used` what they use of it."""
    for name in ("bin", "gpu", "here"):
        (tmp_path / name).mkdir()
    (tmp_path / "gpu" / "used").touch()
    program = tmp_path / "bin" / "nvidia-smi"
    program.write_text(SMI.format(state=tmp_path / "gpu"))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    return tmp_path / "gpu"


class Queue:
    """A job of a queue, started as its script starts it."""

    def __init__(self, bench, name: str, tasks: int | str = 3, more: str = "") -> None:
        self.bench, self.name = bench, name
        runner = bench.runner("queue", QUEUE.format(tasks=tasks, more=f", {more}" if more else ""))
        plan = make(bench.study, load(bench.study, name), SubmitOptions())
        files = ExperimentFiles(bench.study, name)
        files.folder.mkdir(parents=True, exist_ok=True)
        register(files.registry, plan.status.registry, plan.registered())
        jobs = plan.jobs_of(runner.backend)
        self.jobs = [len(job) for job in jobs]
        record = submission_record(plan, runner, [])
        self.submission = write_submission(files, "20260101-000000-queue-abcd", record, jobs)

    def start(self, job: int = 0) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "neurofit.worker", str(self.submission.folder), str(job)]
        return subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=self.bench.root)

    def run(self, job: int = 0) -> tuple[int, str]:
        """Exit status and log of a job."""
        process = self.start(job)
        _, log = process.communicate(timeout=300)
        return process.returncode, log


def journal(submission: SubmissionFiles, start: int = 1, job: int = 0) -> list[dict]:
    text = submission.journal(job, start).read_text()
    return [json.loads(line) for line in text.splitlines()]


def wait_for(condition, seconds: float = 60.0):
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)
    return found


def most_at_a_time(lines: list[dict]) -> int:
    """The largest number of tasks that were claimed and had no outcome yet."""
    running, most = 0, 0
    for line in lines:
        running += ("claim" in line) - ("outcome" in line)
        most = max(most, running)
    return most


def test_tasks_of_a_job_run_at_a_time_each_with_its_log_its_share_and_its_outcome(bench, gpu, tmp_path):
    bench.script(
        "one",
        MEET.format(here=str(tmp_path / "here"))
        + """
    def fit(task, *, run=0):
        print("I am", task.repetition)
        meet(task, 3)
        task.record(pid=os.getpid(), gb=task.gpu_memory_gb, jax=os.environ["XLA_PYTHON_CLIENT_MEM_FRACTION"])
        if task.repetition == 4:
            raise ValueError("odd")
        return {"x": task.repetition}
    experiment = nf.Experiment(fit, nf.grid(run=[7]), repetitions=8)
    """,
    )
    queue = Queue(bench, "one")
    assert queue.run() == (0, "neurofit: 3 tasks share this GPU, 24 GB of its memory each.\n")
    assert bench.counts("one") == {"done": 7, "failed": 1}
    rows = bench.outcomes("one")
    assert len({row["facts"]["pid"] for row in rows}) == 8
    assert {row["facts"]["gb"] for row in rows} == {24.0} and {row["facts"]["jax"] for row in rows} == {
        "0.3000"
    }
    for row in rows:
        variables = row["environment"]["variables"]
        assert variables["NEUROFIT_TASKS_PER_GPU"] == "3" and variables["NEUROFIT_GPU_MEMORY_GB"] == "24"
        folder = bench.study.training_data / "one" / row["log"]
        assert (folder / "stdout.log").read_text() == f"I am {row['repetition']}\n"
    lines = journal(queue.submission)
    assert most_at_a_time(lines) == 3 and [line["end"] for line in lines if "end" in line] == ["done"]
    assert len(list(queue.submission.journals.iterdir())) == 1


def test_by_default_a_job_runs_its_tasks_in_turn_and_asks_nothing(bench, gpu, tmp_path):
    bench.script(
        "one",
        """
        import os
        def fit(task):
            return {"x": len([name for name in os.environ if name.startswith(("NEUROFIT_GPU", "NEUROFIT_TASKS"))])}
        experiment = nf.Experiment(fit, repetitions=3)
        """,
    )
    queue = Queue(bench, "one", tasks=1)
    assert queue.run() == (0, "")
    assert most_at_a_time(journal(queue.submission)) == 1
    assert {row["metrics"]["x"] for row in bench.outcomes("one")} == {0}


def test_a_task_that_is_killed_takes_no_other_with_it(bench, gpu, tmp_path):
    bench.script(
        "one",
        MEET.format(here=str(tmp_path / "here"))
        + """
    def fit(task, *, run=0):
        meet(task, 4 if task.repetition < 3 else 1)
        return {"x": 1}
    experiment = nf.Experiment(fit, nf.grid(run=[7]), repetitions=5)
    """,
    )
    queue = Queue(bench, "one")
    process = queue.start()
    wait_for(lambda: len(os.listdir(tmp_path / "here")) == 3)
    os.kill(children(process.pid)[1], signal.SIGKILL)
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert bench.counts("one") == {"done": 4, "failed": 1}
    (failed,) = [row for row in bench.outcomes("one") if row["state"] == "failed"]
    assert failed["error"]["kind"] == "signal"


STEPS = """
    import json, time
    from pathlib import Path
    def fit(task, *, run=0):
        first = 0
        for folder in task.checkpoints[:1]:
            first = json.loads((folder / "step.json").read_text())
            task.resume(folder)
        for step in range(first, 100):
            task.log(step, value=step)
            while step == 50 and not Path({go!r}).exists():
                if task.should_stop():
                    with task.save_checkpoint(step) as folder:
                        (folder / "step.json").write_text(str(step))
                    task.stop()
                time.sleep(0.01)
        return {{"x": first}}
    experiment = nf.Experiment(fit, nf.grid(run=[7]), repetitions=5)
"""


def test_a_notice_of_the_queue_stops_all_and_the_next_start_takes_all_up(bench, gpu, tmp_path):
    bench.script("one", STEPS.format(go=str(tmp_path / "go")))
    queue = Queue(bench, "one")
    process = queue.start()
    wait_for(lambda: bench.counts("one")["running"] == 3)
    wait_for(lambda: len(_at_step(bench, 50)) == 3)
    process.send_signal(signal.SIGUSR2)
    process.communicate(timeout=120)
    assert process.returncode == START_AGAIN
    lines = journal(queue.submission)
    assert [line["outcome"]["state"] for line in lines if "outcome" in line] == ["stopped"] * 3
    assert [line["end"] for line in lines if "end" in line] == ["again"]
    (tmp_path / "go").touch()
    assert queue.run()[0] == 0
    assert bench.counts("one") == {"done": 5}
    assert Counter(row["metrics"]["x"] for row in bench.outcomes("one")) == {50: 3, 0: 2}


def _at_step(bench, step: int) -> list[Path]:
    found = (bench.study.training_data / "one").glob("runs/*/*/attempt-*/history.csv")
    return [path for path in found if f"\n{step}," in path.read_text()]


def test_near_the_time_limit_all_stop_with_checkpoints(bench, gpu, tmp_path):
    bench.script("one", STEPS.format(go=str(tmp_path / "go")))
    queue = Queue(bench, "one", more="walltime_minutes: 0.1")
    assert queue.run()[0] == START_AGAIN
    outcomes = [line["outcome"] for line in journal(queue.submission) if "outcome" in line]
    assert [(one["state"], one["reason"]["kind"]) for one in outcomes] == [("stopped", "walltime")] * 3
    (tmp_path / "go").touch()
    assert queue.run()[0] == 0
    assert bench.counts("one") == {"done": 5}


def test_a_job_that_is_killed_leaves_nothing_running_and_its_next_start_does_each_task_once(
    bench, gpu, tmp_path
):
    bench.script("one", STEPS.format(go=str(tmp_path / "go")))
    queue = Queue(bench, "one")
    process = queue.start()
    wait_for(lambda: len(_at_step(bench, 50)) == 3)
    lanes = [Process.of(pid) for pid in children(process.pid)]
    assert len(lanes) == 3
    process.kill()
    process.communicate(timeout=60)
    wait_for(lambda: not any(lane.is_alive() for lane in lanes))
    (tmp_path / "go").touch()
    assert queue.run()[0] == 0
    assert bench.counts("one") == {"done": 5}
    states = Counter(
        json.loads(path.read_text())["state"]
        for path in (bench.study.training_data / "one").glob("runs/*/*/attempt-*/outcome.json")
    )
    assert states == {"done": 5, "abandoned": 3}


def test_identical_failures_begin_no_further_task(bench, gpu, tmp_path):
    bench.script(
        "one",
        """
        def fit(task):
            raise ValueError("no such layer")
        experiment = nf.Experiment(fit, repetitions=30)
        """,
    )
    queue = Queue(bench, "one")
    assert queue.run()[0] == 0
    counts = bench.counts("one")
    assert 5 <= counts["failed"] <= 7 and not counts["done"]


def test_a_group_that_dies_is_done_alone_beside_the_others(bench, gpu, tmp_path):
    bench.script(
        "one",
        """
        import os
        class Fit:
            def __call__(self, task, *, run=0):
                return {"x": run}
            def arguments(self):
                return {"run": 0}
            def together(self, tasks):
                if tasks[0].params["run"] == 2:
                    os._exit(3)
                return [{"x": task.params["run"]} for task in tasks]
        experiment = nf.Experiment(Fit(), nf.grid(run=[1, 2, 3, 4]), repetitions=2)
        """,
    )
    queue = Queue(bench, "one")
    assert queue.jobs == [6, 2]  # three processes fill the GPU
    assert [queue.run(job)[0] for job in (0, 1)] == [0, 0]
    assert bench.counts("one") == {"done": 8}


def test_tasks_that_need_more_memory_together_lose_the_largest(bench, gpu, tmp_path):
    bench.script(
        "one",
        MEET.format(here=str(tmp_path / "here"))
        + """
    def fit(task, *, run=0):
        held = bytearray(os.urandom(1 << 20)) * (450 if task.repetition == 1 else 150)
        meet(task, 4 if task.repetition != 3 else 1)
        return {"x": len(held)}
    experiment = nf.Experiment(fit, nf.grid(run=[7]), repetitions=4)
    """,
    )
    queue = Queue(bench, "one", more="memory_gb: 0.6")
    assert queue.run()[0] == 0
    (failed,) = [row for row in bench.outcomes("one") if row["state"] == "failed"]
    assert failed["repetition"] == 1 and failed["error"]["kind"] == "memory"
    assert "The tasks that the job ran at a time used more than" in failed["error"]["message"]
    assert bench.counts("one") == {"done": 3, "failed": 1}


def test_an_error_of_the_job_stops_its_other_tasks_in_their_own_way(bench, gpu, tmp_path):
    bench.script(
        "one",
        MEET.format(here=str(tmp_path / "here"))
        + """
    def fit(task, *, run=0):
        meet(task, 3 if task.repetition == 2 else 9)
        return {"x": 1}
    experiment = nf.Experiment(fit, nf.grid(run=[7]), repetitions=5)
    """,
    )
    queue = Queue(bench, "one")
    files = ExperimentFiles(bench.study, "one")
    (run,) = read_registry(files.registry).runs.values()
    folder = files.task(run.number, run.id, 3).folder
    folder.parent.mkdir(parents=True)
    folder.write_text("no folder")  # where the next task would be claimed
    assert queue.run()[0] == 1
    states = Counter(line["outcome"]["state"] for line in journal(queue.submission) if "outcome" in line)
    assert states == {"done": 1, "stopped": 2}
    assert not any("end" in line for line in journal(queue.submission))


MEASURED = """
    import os, time
    from pathlib import Path
    gpu = Path({gpu!r})
    def fit(task, *, run=0):
        if task.repetition == 0:
            (gpu / "used").write_text(f"1, 30000\\n{{os.getpid()}}, {used}\\n")
            until = time.monotonic() + 60
            while not (gpu / "asked").exists() or (gpu / "asked").read_text().count("asked") < 2:
                assert time.monotonic() < until
                time.sleep(0.01)
        elif task.repetition < 4:
            (gpu / f"begun-{{task.repetition}}").touch()
            until = time.monotonic() + 60
            while len(list(gpu.glob("begun-*"))) < {expected} and time.monotonic() < until:
                time.sleep(0.01)
        task.record(gb=task.gpu_memory_gb, threads=os.environ["OMP_NUM_THREADS"],
                    tasks=os.environ["NEUROFIT_TASKS_PER_GPU"])
        return {{"x": len(list(gpu.glob("begun-*")))}}
    experiment = nf.Experiment(fit, nf.grid(run=[7]), repetitions=9)
"""


@pytest.mark.parametrize(
    ("used", "expected", "threads", "log"),
    [
        (
            9216,
            3,
            "1",
            "used 9 of the GPU's 80 GB, and kept it busy for 30 % of the time; its cores allow 4: 4 at a time",
        ),
        (
            18432,
            3,
            "1",
            "used 18 of the GPU's 80 GB, and kept it busy for 30 % of the time: 3 at a time, 24 GB",
        ),
        (61440, 1, "4", "used 60 of the GPU's 80 GB, and kept it busy for 30 % of the time: 1 at a time"),
    ],
)
def test_auto_measures_the_first_task_alone(bench, gpu, used, expected, threads, log):
    bench.script("one", MEASURED.format(gpu=str(gpu), used=used, expected=expected))
    queue = Queue(bench, "one", tasks="auto")
    status, text = queue.run()
    assert status == 0 and log in text and text.count("neurofit:") == 1
    assert bench.counts("one") == {"done": 9}
    first, *others = sorted(bench.outcomes("one"), key=lambda row: row["repetition"])
    assert first["facts"] == {"gb": None, "threads": "4", "tasks": "1"}
    assert {row["facts"]["threads"] for row in others} == {threads}
    lines = journal(queue.submission)
    assert most_at_a_time(lines) == int(others[0]["facts"]["tasks"]) >= expected
    assert "outcome" in lines[2], "the first task has run alone"


def test_auto_says_why_it_did_not_measure(bench, gpu):
    bench.script("one", "def fit(task): return {'m': 1}\nexperiment = nf.Experiment(fit, repetitions=4)\n")
    (gpu.parent / "bin" / "nvidia-smi").write_text("#!/bin/sh\nexit 0\n")
    queue = Queue(bench, "one", tasks="auto")
    status, log = queue.run()
    assert status == 0
    assert "because nvidia-smi does not say how much memory this job's GPU has: 1 at a time." in log
    assert bench.counts("one") == {"done": 4} and most_at_a_time(journal(queue.submission)) == 1


WALK = """
    import json, time
    def fit(task, *, run=0):
        first = 0
        for folder in task.checkpoints[:1]:
            first = json.loads((folder / "step.json").read_text())
            task.resume(folder)
        for step in range(first, 20):
            task.log(step, value=step)
            time.sleep(0.01)
            if step % 5 == 4:
                with task.save_checkpoint(step + 1) as folder:
                    (folder / "step.json").write_text(str(step + 1))
        return {"x": run}
    experiment = nf.Experiment(fit, nf.grid(run=[1, 2, 3, 4]), repetitions=8)
"""


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_is_killed_each_task_is_done_once(bench, gpu, seed):
    """Lanes, and the job itself, which its queue starts again."""
    bench.script("one", WALK)
    queue = Queue(bench, "one")
    generator = random.Random(seed)
    for job in range(len(queue.jobs)):
        for _ in range(12):
            process = queue.start(job)
            until = time.monotonic() + generator.uniform(0.5, 2.5)
            while process.poll() is None and time.monotonic() < until:
                time.sleep(generator.uniform(0.05, 0.4))
                if generator.random() < 0.5 and (lanes := children(process.pid)):
                    _kill(generator.choice(lanes))
            process.kill()
            process.communicate(timeout=60)
            if process.returncode == 0:
                break
        assert queue.run(job)[0] == 0
    again = SubmitOptions(retry=True)
    if make(bench.study, load(bench.study, "one"), again).tasks:  # killed lanes are failed tasks
        bench.submit("one", retry=True)
        bench.wait("one")
    assert bench.counts("one") == {"done": 32}
    done = Counter(
        path.parents[1].as_posix()
        for path in (bench.study.training_data / "one").glob("runs/*/*/attempt-*/outcome.json")
        if json.loads(path.read_text())["state"] == "done"
    )
    assert len(done) == 32 and set(done.values()) == {1}


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def test_a_pool_has_so_many_slots_for_each_gpu(bench, gpu, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    bench.script(
        "one",
        MEET.format(here=str(tmp_path / "here"))
        + """
    def fit(task, *, run=0):
        meet(task, 4)
        return {"x": int(os.environ["CUDA_VISIBLE_DEVICES"]), "gb": task.gpu_memory_gb}
    experiment = nf.Experiment(fit, nf.grid(run=[1, 2, 3, 4]))
    """,
    )
    runner = bench.runner("shared", "backend: local\ntasks_per_gpu: 2\nresources: {gpus: 1}\n")
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in runner.backend.slots()] == ["0", "1", "0", "1"]
    submitted = bench.submit("one", runner)
    assert bench.wait("one") == {"done": 4}
    found = Counter((row["metrics"]["x"], row["metrics"]["gb"]) for row in bench.outcomes("one"))
    assert found == {(0, 36): 2, (1, 18): 2}
    log = (submitted.files.folder / "logs" / "pool.log").read_text()
    assert log.count("2 tasks share this GPU, 36 GB of its memory each") == 2


@pytest.mark.parametrize("seed", [1, 2])
def test_a_pool_whose_processes_are_killed_does_each_task_of_a_measured_job_once(bench, gpu, seed):
    bench.script("one", WALK)
    runner = bench.runner("shared", "backend: local\ntasks_per_gpu: auto\nresources: {gpus: 1, cpus: 3}\n")
    (gpu / "used").write_text("")
    submitted = bench.submit("one", runner)
    (pool,) = [int(one) for one in submitted.ids]
    generator = random.Random(seed)
    for _ in range(8):
        time.sleep(generator.uniform(0.1, 0.6))
        kill_one(pool, generator.choice(["worker", "child", "child"]), generator)
    bench.wait("one")
    if bench.counts("one") != {"done": 32}:
        bench.submit("one", runner, retry=True)
        bench.wait("one")
    assert bench.counts("one") == {"done": 32}


def test_tasks_go_on_while_the_whole_tree_is_away(bench, gpu):
    bench.script("one", WALK.replace("0.01", "0.1").replace("[1, 2, 3, 4]", "[1]"))
    queue = Queue(bench, "one")
    process = queue.start()
    wait_for(lambda: bench.counts("one")["running"] == 3)
    tree, away = bench.study.training_data, bench.root / "away"
    for pause in (0.8, 1.5, 2.5):
        tree.rename(away)
        time.sleep(pause)
        assert not tree.exists(), "nobody made another tree in its place"
        away.rename(tree)
        time.sleep(0.4)
    process.communicate(timeout=300)
    assert process.returncode == 0
    assert bench.counts("one") == {"done": 8}
    assert {row["attempt"] for row in bench.outcomes("one")} == {1}


def test_repetitions_of_a_trial_that_may_end_early_wait_for_the_first(bench, gpu):
    bench.script(
        "one",
        """
        def fit(task, *, x=0.0):
            for step in range(3):
                task.log(step, score=x)
            return {"score": x}
        experiment = nf.Experiment(
            fit, nf.search(x=nf.uniform(0, 1), trials=6, metric="score", pruner="median", sampler="random", at_once=3),
            repetitions=3,
        )
        """,
    )
    queue = Queue(bench, "one")
    assert queue.jobs == [3] * 6, "the repetitions of one trial fill the GPU"
    assert [queue.run(job)[0] for job in range(6)] == [0] * 6
    assert bench.counts("one") == {"done": 18}
    for job in range(6):
        lines = journal(queue.submission, job=job)
        assert [name for line in lines[1:3] for name in ("claim", "outcome") if name in line] == [
            "claim",
            "outcome",
        ]
        assert most_at_a_time(lines) <= 2
