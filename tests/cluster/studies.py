"""Experiments that queues are tried with, and what is looked at afterwards."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

from neurofit.files import read_json

QUICK = """
    def fit(task, *, x=0):
        return {"m": x}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(x=list(range(%d))))
"""

PLAIN = """
    import importlib
    def fit(task, *, x=0):
        found = 0
        for name in ("keras", "tensorflow"):
            try:
                importlib.import_module(name)
                found += 1
            except ModuleNotFoundError:
                pass
        return {"m": x, "libraries": found}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(x=[1, 2]), repetitions=2)
"""

MIXED = """
    def fit(task, *, x=1):
        print("x is", x)
        if x == 2 and task.attempt.number == 1:
            raise ValueError("x=2 is too much")
        return {"m": x + task.repetition}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(x=[1, 2, 3]), repetitions=2)
"""

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

COUNT = """
import json, pathlib, signal, sys, time
state, out, steps = pathlib.Path(sys.argv[1], "state.json"), pathlib.Path(sys.argv[2]), int(sys.argv[3])
count, starts = json.loads(state.read_text()) if state.exists() else (0, 0)
asked = []
signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
while count < steps and not asked:
    count += 1
    print("step", count, flush=True)
    state.with_suffix(".new").write_text(json.dumps([count, starts + 1]))
    state.with_suffix(".new").replace(state)
    time.sleep(0.4)
if count == steps:
    (out / "metrics.json").write_text(json.dumps({"count": count, "starts": starts + 1}))
"""

PROGRAM = """
    experiment = nf.Experiment(
        nf.Command(
            "python count.py {persistent} {folder} {steps}", metrics="metrics.json", code=["count.py"]
        ),
        nf.grid(steps=[40, 41]),
    )
"""

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


SHARED = """
    import json, os, time
    from pathlib import Path
    here = Path({here!r})
    def fit(task, *, run=0):
        first = 0
        for folder in task.checkpoints[:1]:
            first = json.loads((folder / "step.json").read_text())
            task.resume(folder)
        (here / f"{{task.repetition}}-{{task.attempt.number}}").touch()
        for step in range(first, 20):
            task.log(step, value=step)
            until = time.monotonic() + 120
            while step == 10 and not (here / "go").exists() and time.monotonic() < until:
                if task.should_stop():
                    with task.save_checkpoint(step) as folder:
                        (folder / "step.json").write_text(str(step))
                    task.stop()
                time.sleep(0.02)
        task.record(gpu=os.environ["CUDA_VISIBLE_DEVICES"], gb=task.gpu_memory_gb)
        return {{"first": first}}
    experiment = nf.Experiment(fit=fit, repetitions=4)
"""


def three_share_a_gpu(bench, tmp_path: Path, profile: str, interrupt) -> None:
    """A job of four tasks, three at a time, which its queue interrupts and starts again."""
    bench.script("shared", SHARED.format(here=str(tmp_path)))
    shared = "tasks_per_gpu: 3\ngpu_memory_gb: 2\n"
    (id,) = bench.submit("shared", bench.runner("queue", profile + shared)).ids
    until(lambda: bench.counts("shared")["running"] == 3 and len(list(tmp_path.glob("?-1"))) == 3)
    interrupt(id)
    until(lambda: len(list(tmp_path.glob("?-2"))) == 3)  # the same three go on
    (tmp_path / "go").touch()
    assert bench.wait("shared") == {"done": 4}
    rows = bench.outcomes("shared")
    assert Counter(row["metrics"]["first"] for row in rows) == {10: 3, 0: 1}
    assert {row["facts"]["gb"] for row in rows} == {2.0}
    assert len({(row["attempt"], row["facts"]["gpu"]) for row in rows}) == 2  # on one GPU at each start
    assert sorted(map(dict, attempts(bench, "shared").values()), key=len) == [{"done": 1}] + 3 * [
        {"done": 1, "stopped": 1}
    ]


MODEL = """
    import time

    def model(shapes):
        import keras
        return keras.Sequential([
            keras.layers.Input(shapes.image), keras.layers.Flatten(), keras.layers.Dense(8, "softplus"),
            keras.layers.Dropout(0.2), keras.layers.Dense(shapes.neurons, "softplus"),
        ])

    class Waits(nf.models.Fit):  # if `waits` is there, the first attempt waits after 20 epochs for its job's end
        def __call__(self, task):
            def log(step, **numbers):
                type(task).log(task, step, **numbers)
                while waits and step >= 20 and not task.should_stop():
                    time.sleep(0.1)
            waits = task.folder.name == "attempt-01" and (task.study / "waits").exists()
            task.log = log
            return super().__call__(task)

    experiment = nf.Experiment(
        fit=Waits(model, training=nf.models.Training(epochs=60, batch_size=64, patience=60, decays=1)))
"""

ALL_FAIL = """
    def fit(task, *, x=0):
        if %s:
            raise ValueError("the data set is not there")
        return {"m": x}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(x=list(range(12))))
"""

ODD = """
    def fit(task, *, a=""):
        return {"m": len(a)}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(a=%s))
"""

FIRST = """
    import time
    from pathlib import Path
    def fit(task, *, x=0):
        while not Path(%r).exists():
            if task.should_stop():
                task.stop()
            time.sleep(0.05)
        if (task.study / "broken").exists():
            raise ValueError("no such layer")
        return {"m": x}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(x=[0, 1]))
"""

SECOND = """
    def fit(task, *, y=0):
        return {"seen": len(list(task.study.glob("training_data/first/runs/**/outcome.json")))}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(y=[0, 1, 2]), needs="first")
"""

FILLS = """
    def fit(task, *, megabytes=1):
        (task.folder / "large.bin").write_bytes(bytes(megabytes * 2**20))
        return {"m": 1}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(megabytes=[1, 20]))
"""


def until(question, seconds: float = 60.0):
    """The question's first answer that is true."""
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < deadline, f"not after {seconds} s"
        time.sleep(0.2)
    return answer


def kill_job(folder: Path) -> None:
    """End every process of a submission's jobs at once, with no last word."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes()
            starts_one = b"submitit" in words and os.readlink(path.with_name("cwd")) == str(folder)
            if starts_one or str(folder).encode() in words:
                os.kill(int(path.parent.name), signal.SIGKILL)


def kill_a_process(folder: Path, kind: str, generator: random.Random) -> bool:
    """Kill -9 a worker of an experiment's jobs, or a child of one; False if there is none."""
    workers: dict[int, int] = {}  # process → its parent
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes()
            if b"neurofit.worker" in words and f"{folder}/".encode() in words:
                state = path.with_name("stat").read_text().rpartition(")")[2].split()
                workers[int(path.parent.name)] = int(state[1])
    victims = [pid for pid, parent in workers.items() if (parent in workers) == (kind == "child")]
    with contextlib.suppress(ProcessLookupError):
        if victims:
            os.kill(generator.choice(sorted(victims)), signal.SIGKILL)
            return True
    return False


def attempts(bench, name: str) -> dict[str, Counter[str]]:
    """Task's folder → its attempts by how they ended."""
    found: dict[str, Counter[str]] = {}
    for path in sorted((bench.study.training_data / name / "runs").glob("*/*/attempt-*/outcome.json")):
        found.setdefault(str(path.parents[1]), Counter())[read_json(path)["state"]] += 1
    return found


def undisturbed(bench) -> float:
    """What STEPS gives where nothing interrupts it."""
    bench.script("calm", STEPS % "0.0")
    assert bench.run("calm") == {"done": 1}
    return bench.outcomes("calm")[0]["metrics"]["value"]


def like_an_undisturbed_one(bench, name: str) -> None:
    """The metric and every row of the history."""
    (record,) = bench.outcomes(name)
    assert record["metrics"]["value"] == undisturbed(bench)
    history = (bench.study.training_data / name / record["log"] / "history.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in history] == ["step", *map(str, range(40))]
