"""Tasks of a real pool use what earlier ones have compiled, also where processes are killed; records do not show it."""

from __future__ import annotations

import os
import random

import pytest
from interrupted import assert_same_arrays, submit_and_disturb

pytestmark = pytest.mark.slow

SCRIPT = """
    import time
    from pathlib import Path
    %s
    from neurofit import job_cache

    class Saying(nf.models.Fit):
        def __call__(self, task):
            get = job_cache.get
            def saying(key):
                found, job_cache.get = get(key), get  # the first question is for the program
                print("found" if found else "not found", flush=True)
                return found
            def log(step, **numbers):
                type(task).log(task, step, **numbers)
                if not Path(%r).exists():
                    time.sleep(0.1)  # there must be time to be killed in, however fast the machine is
            job_cache.get, task.log = saying, log
            return super().__call__(task)

    def model(shapes, *, hidden=4):
        import keras
        return keras.Sequential([
            keras.layers.Input(shapes.image), keras.layers.Flatten(),
            keras.layers.Dense(hidden, "softplus"), keras.layers.Dense(shapes.neurons, "softplus"),
        ])
    experiment = nf.Experiment(
        fit=Saying(model, training=nf.models.Training(epochs=30, batch_size=64, jit=True, checkpoint_minutes=0.002)),
        grid=nf.grid(hidden=[4, 8]), repetitions=4)
"""
COMPILING_ALONE = 'import os; os.environ["TF_XLA_FLAGS"] = ""  # the script decides'


def said(bench) -> list[str]:
    """What the tasks of the pool said, in the order in which they ended."""
    records = sorted(bench.outcomes("net"), key=lambda record: record["ended"])
    logs = [bench.study.training_data / "net" / record["log"] / "stdout.log" for record in records]
    return [line for log in logs for line in log.read_text().splitlines() if line in ("found", "not found")]


def test_tasks_of_a_pool_use_what_others_have_compiled_and_no_record_shows_it(bench, tmp_path):
    hurry = tmp_path / "hurry"
    hurry.touch()
    apart = type(bench)(tmp_path / "apart")
    apart.script("net", SCRIPT % (COMPILING_ALONE, str(hurry)))
    bench.script("net", SCRIPT % ("", str(hurry)))
    bench.runner()
    ambient = {**os.environ, "TF_XLA_FLAGS": "--tf_xla_auto_jit=2"}
    assert bench.command("submit", "net", "--yes", env=ambient).returncode == 0
    assert apart.run("net") == bench.wait("net") == {"done": 8}
    assert said(apart) == []
    found = said(bench)
    assert len(found) == 8 and found.count("found") >= 4  # at most both workers compile each of two programs
    assert_same_arrays(bench, apart, "net")
    records = bench.outcomes("net")
    first = records[0]["environment"]
    assert all(record["environment"] == first for record in records)
    assert first["ignored"]["TF_XLA_FLAGS"] == "--tf_xla_auto_jit=2"
    assert "TF_XLA_FLAGS" not in first["variables"]
    assert {tuple(record["facts"]) for record in records} == {tuple(records[0]["facts"])}
    assert not any(path for path in bench.root.rglob("*") if "xla" in path.name)
    shown = bench.command("logs", "net:1/3").stdout
    assert "AOT" not in shown and "XlaSerialized" not in shown


def test_killed_tasks_leave_nothing_that_another_task_could_not_use(bench, tmp_path):
    hurry = tmp_path / "hurry"
    undisturbed = type(bench)(tmp_path / "undisturbed")
    for one in (undisturbed, bench):
        one.script("net", SCRIPT % ("", str(hurry)))
    hurry.touch()
    assert undisturbed.run("net") == {"done": 8}
    hurry.unlink()
    blows = ["child", "worker", "child", "pool"]
    submit_and_disturb(bench, "net", {"done": 8}, blows, random.Random(7), hurry)
    assert bench.counts("net") == {"done": 8} and not blows
    assert_same_arrays(bench, undisturbed, "net")
