"""Kill -9 at random: nothing is lost, nothing is done twice, and what comes out is what an undisturbed run
gives.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from held_runs import WAIT, hold
from pool_processes import family, kill_one

from neurofit.files import read_json

WALK = f"""
    import json, random, time
    def fit(task, *, run=0, steps=20):
        {WAIT}
        generator, value, first = random.Random(task.seeds.init + run), 0.0, 0
        for folder in task.checkpoints[:1]:
            state = json.loads((folder / "state.json").read_text())
            generator.setstate((state["state"][0], tuple(state["state"][1]), state["state"][2]))
            value, first = state["value"], state["step"]
            task.resume(folder)
        for step in range(first, steps):
            value = 0.9 * value + generator.random()
            task.log(step, value=value)
            time.sleep(0.01)
            if step in (4, 9, 14, 19):
                with task.save_checkpoint(step + 1) as folder:
                    (folder / "state.json").write_text(json.dumps(
                        {{"state": generator.getstate(), "value": value, "step": step + 1}}))
        return {{"value": value}}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(run=list(range(%d))), repetitions=4)
"""


def undisturbed(runs: int) -> dict[tuple[int, int], float]:
    from neurofit.experiments.seeds import Seeds

    values = {}
    for run in range(runs):
        for repetition in range(4):
            generator, value = random.Random(Seeds(repetition).init + run), 0.0
            for _ in range(20):
                value = 0.9 * value + generator.random()
            values[run, repetition] = value
    return values


def check(bench, name: str, runs: int) -> None:
    """Every task has one attempt that is done, with the undisturbed value and an uninterrupted history."""
    for record in bench.outcomes(name):
        key = record["run"], record["repetition"]
        assert record["metrics"]["value"] == undisturbed(runs)[key], key
        folder = (
            bench.study.training_data
            / name
            / "runs"
            / f"{record['run']:03d}-{record['id'][:8]}"
            / f"rep-{record['repetition']:02d}"
        )
        states = Counter(read_json(path)["state"] for path in folder.glob("attempt-*/outcome.json"))
        assert states["done"] == 1, (key, states)
        history = (folder / f"attempt-{record['attempt']:02d}" / "history.csv").read_text().splitlines()
        assert [line.split(",")[0] for line in history] == ["step", *map(str, range(20))], key


def torment(bench, name: str, *, runs: int, kills: int, seed: int, kinds: list[str], seconds: float) -> None:
    """Submit, and kill this number of processes at random; submit again where the pool died, until all is done."""
    generator, done = random.Random(seed), Counter()
    profile = bench.runner(text="backend: local\nworkers: 4\n")
    hold(bench.root, 1)
    submitted = bench.submit(name, profile)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        counts = bench.counts(name)
        if set(counts) - {"done"} and not counts["queued"] and not counts["running"]:
            submitted = bench.submit(name, profile, retry=True) or submitted
        elif not set(counts) - {"done"}:
            assert done.total() == kills, f"done before the last kill: {done}"
            return
        time.sleep(generator.uniform(0.05, 0.4))
        kind = generator.choice(kinds)
        if done.total() < kills and kill_one(int(submitted.ids[0]), kind, generator):
            done[kind] += 1
            hold(bench.root, 1 + runs * done.total() // kills)
    raise AssertionError(f"not done after {seconds} s: {bench.counts(name)}, kills {done}")


@pytest.mark.parametrize("seed", [1])
def test_fifty_random_kills_lose_nothing_and_do_nothing_twice(bench, seed):
    bench.script("walk", WALK % 50)
    kinds = ["worker", "worker", "child", "child", "server", "pool"]
    torment(bench, "walk", runs=50, kills=50, seed=seed, kinds=kinds, seconds=500)
    assert bench.counts("walk") == {"done": 200}
    check(bench, "walk", 50)


@pytest.mark.parametrize("kind", ["pool", "server", "worker", "child"])
def test_each_of_the_processes_can_die(bench, kind):
    bench.script("walk", WALK % 3)
    torment(bench, "walk", runs=3, kills=3, seed=7, kinds=[kind], seconds=150)
    check(bench, "walk", 3)


def test_when_the_pool_dies_everything_below_it_does(bench):
    bench.script("walk", WALK % 3)
    hold(bench.root, 3)  # none of the three
    submitted = bench.submit("walk")
    bench.wait("walk", until=lambda counts: counts["running"] == 2)
    members = [pid for pids in family(int(submitted.ids[0])).values() for pid in pids]
    assert len(members) >= 5
    os.kill(int(submitted.ids[0]), signal.SIGKILL)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(map(_lives, members)):
        time.sleep(0.02)
    assert not [pid for pid in members if _lives(pid)]
    counts = bench.counts("walk")
    assert not counts["running"] and not counts["queued"] and counts["lost"]


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


SUBMIT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from conftest import Workbench
bench = Workbench(Path({root!r}))
print("go", flush=True)
bench.submit({name!r})
"""


def test_a_submit_that_is_killed_at_any_moment_is_simply_repeated(bench):
    from conftest_path import TESTS

    bench.runner()
    generator = random.Random(3)
    for name in (f"quick{number}" for number in range(12)):
        bench.script(
            name,
            """
            def fit(task, *, a=1):
                return {"x": a}
            experiment = nf.Experiment(fit=fit, grid=nf.grid(a=[1, 2, 3]))
        """,
        )
        code = SUBMIT.format(tests=TESTS, root=str(bench.root), name=name)
        program = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        program.stdout.readline()
        time.sleep(generator.uniform(0.0, 0.25))
        program.kill()
        program.communicate()
        bench.submit(name)
        assert bench.wait(name) == {"done": 3}, name
        assert {record["attempt"] for record in bench.outcomes(name)} == {1}
        claims = [
            path.read_text().count('"claim"')
            for path in bench.study.training_data.glob(f"{name}/*/*/journal/*")
        ]
        assert sum(claims) == 3, "no task was queued twice"


DIES_WHEN_NOTED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from conftest import Workbench
from neurofit.orchestrate import submit
note = submit.note_queue
def note_and_die(files, line):
    note(files, line)
    os.kill(line.process["pid"], signal.SIGSTOP)
    print(line.process["pid"], flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
submit.note_queue = note_and_die
Workbench(Path({root!r})).submit("quick")
"""


def test_a_pool_that_ends_because_its_submitter_died_does_not_count_as_queued(bench):
    from conftest_path import TESTS

    bench.runner()
    bench.script(
        "quick",
        """
        def fit(task, *, a=1):
            return {"x": a}
        experiment = nf.Experiment(fit=fit, grid=nf.grid(a=[1, 2, 3]))
        """,
    )
    code = DIES_WHEN_NOTED.format(tests=TESTS, root=str(bench.root))
    answer = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pool = int(answer.stdout)  # noted, and not yet told to begin: it ends as soon as it can
    threading.Timer(0.5, os.kill, (pool, signal.SIGCONT)).start()
    assert bench.submit("quick") is not None
    assert bench.wait("quick") == {"done": 3}
