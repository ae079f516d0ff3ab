"""What retried tasks get instead of what they ran out of."""

from __future__ import annotations

import json

import pytest

from neurofit.backends.base import Limits
from neurofit.backends.local.backend import LocalBackend
from neurofit.cli.commands.submit import command as submit_command
from neurofit.orchestrate import raises
from neurofit.orchestrate.plan import SubmitOptions, load, make
from neurofit.orchestrate.raises import Asked, Raise, enough_gb, longer, parts
from neurofit.orchestrate.submit import submit

HUNGRY = """
    import os, time

    def fit(task, *, x=0):
        if x == 1 and task.repetition == 0:
            room = bytearray(int(2.2e8))
            room[::4096] = b"x" * len(room[::4096])
            time.sleep(1)
        if x == 2 and not (task.study / "longer").exists():
            raise ValueError("x=2")
        return {"m": x}

    experiment = nf.Experiment(fit, nf.grid(x=[0, 1, 2]), repetitions=2)
"""
ELSEWHERE = """
from neurofit.backends.local.backend import LocalBackend

class Queue(LocalBackend):
    def runs_here(self):
        return False
"""
SMALL = "backend: local\nworkers: 1\nresources: {memory_gb: 0.2}\n"


def plan(bench, name, **options):
    return make(bench.study, load(bench.study, name), SubmitOptions(**options))


@pytest.fixture
def hungry(bench):
    bench.script("hungry", HUNGRY)
    bench.submit("hungry", bench.runner("local", SMALL), keep_going=True)
    assert bench.wait("hungry") == {"done": 3, "failed": 3}
    return bench


@pytest.mark.process
def test_memory_is_raised_for_those_that_ran_out_of_it_until_they_are_done(hungry):
    """In a queue, only they get more; the others keep the runner's request."""
    text = "backend: elsewhere.py:Queue\nworkers: 1\nresources: {memory_gb: 0.2}\n"
    (hungry.study.runners / "elsewhere.py").write_text(ELSEWHERE)
    runner = hungry.runner("queue", text)
    found = parts(plan(hungry, "hungry", retry=True), runner)
    assert [[task.key for task in part.plan.tasks] for part in found] == [[(2, 0), (2, 1)], [(1, 0)]]
    assert found[0].runner == runner and not found[0].raises
    (raised,) = found[1].raises
    assert raised.kind == "memory" and raised.tasks == 1 and raised.limit is None
    assert raised.before >= 0.2 and raised.after == enough_gb(raised.before)
    assert found[1].runner.backend.resources.memory_gb == raised.after
    (hungry.root / "longer").touch()
    for _ in range(4):
        for part in parts(plan(hungry, "hungry", retry=True), runner):
            submit(part.plan, part.runner)
        counts = hungry.wait("hungry")
        if counts == {"done": 6}:
            break
    assert counts == {"done": 6}
    records = {one.record.resources.memory_gb for one in hungry.status("hungry").submissions}
    assert 0.2 in records and max(records) >= raised.after


@pytest.mark.process
def test_on_this_machine_one_pool_gives_all_what_the_largest_needs_and_says_so(hungry):
    said = hungry.command("submit", "hungry", "--retry", "--dry-run").stdout
    assert "1 task ran out of memory at " in said and "GB: it gets " in said
    assert said.count("would receive") == 1
    answer = hungry.command("submit", "hungry", "--retry", "--dry-run", "--json").stdout
    (raised,) = json.loads(answer)["raised"]
    assert raised["kind"] == "memory" and raised["after"] > raised["before"] >= 0.2
    fixed = hungry.command("submit", "hungry", "--retry", "--dry-run", "--memory", "0.3", "--json").stdout
    assert "raised" not in json.loads(fixed)
    plain = hungry.command("submit", "hungry", "--dry-run", "--json").stdout
    assert "raised" not in json.loads(plain)
    (free,) = parts(plan(hungry, "hungry", retry=True), hungry.runner("free", "backend: local\n"))
    assert free.runner.backend.resources.memory_gb is None and not free.raises
    (hungry.root / "longer").touch()
    for _ in range(4):
        again = hungry.command("submit", "hungry", "--retry")
        if again.returncode == 0:
            break
        assert again.returncode == 3 and "Next: neurofit failures hungry" in again.stderr
    assert hungry.counts("hungry") == {"done": 6}


@pytest.mark.process
def test_a_limit_of_the_queue_is_kept_and_said(hungry, monkeypatch):
    monkeypatch.setattr(LocalBackend, "limits", lambda self: Limits(memory_gb=0.25))
    (found,) = parts(plan(hungry, "hungry", retry=True), hungry.runner("local", SMALL))
    (raised,) = found.raises
    assert (raised.after, raised.limit) == (0.25, 0.25)
    assert found.runner.backend.resources.memory_gb == 0.25
    assert raised.sentence.endswith(
        ("it gets 0.25 GB, the most that the queue allows.", "the queue allows no more than 0.25 GB.")
    )


@pytest.mark.process
def test_a_task_that_took_too_long_gets_twice_the_time_and_its_job_outlasts_it(bench):
    bench.script(
        "long",
        """
        import time

        def fit(task, *, x=0):
            time.sleep(1.5)
            return {"m": x}

        experiment = nf.Experiment(fit, nf.grid(x=[0]))
        """,
    )
    text = "backend: local\nworkers: 1\ntask_minutes: 0.01667\nresources: {walltime_minutes: 1}\n"
    bench.submit("long", bench.runner("local", text))
    assert bench.wait("long") == {"failed": 1}
    (found,) = parts(plan(bench, "long", retry=True), bench.runner("local", text))
    (raised,) = found.raises
    assert (raised.kind, raised.after) == ("timeout", 1.0)
    assert found.runner.backend.resources.walltime_minutes == 2
    assert raised.sentence == "1 task took longer than task_minutes at 0.0167 min: it gets 1 min."
    submit(found.plan, found.runner)
    assert bench.wait("long") == {"done": 1}


@pytest.mark.parametrize(
    ("had", "memory"), [(0.2, 0.3), (1.0, 1.5), (1.25, 1.9), (1.5, 3), (8, 12), (15.1, 23)]
)
def test_memory_is_raised_by_half_and_time_doubled(had, memory):
    assert enough_gb(had) == memory
    assert longer(had) >= 2 * had


@pytest.mark.parametrize(
    ("kind", "had", "own", "given", "needed"),
    [
        ("memory", Asked(8), Asked(4, 60), (), Asked(12, 60)),
        ("memory", Asked(8), Asked(64, 60), (), Asked(64, 60)),  # its runner asks for more already
        ("memory", Asked(8), Asked(None, 60), (), Asked(12, 60)),
        ("memory", Asked(), Asked(4), (), None),
        ("memory", Asked(8), Asked(4), ("memory_gb",), None),
        ("walltime", Asked(None, 60), Asked(4, 60), (), Asked(4, 120)),
        ("walltime", Asked(4, None), Asked(4, 60), (), None),
        ("timeout", Asked(4, 60, 10), Asked(4, 60, 10), (), Asked(4, 60, 20)),
        ("timeout", Asked(4, 60, 40), Asked(4, 60, 40), (), Asked(4, 120, 80)),
        ("timeout", Asked(4, 60, 40), Asked(4, 60, 40), ("walltime_minutes",), Asked(4, 60, 80)),
    ],
)
def test_only_what_ran_out_is_raised(kind, had, own, given, needed):
    assert raises._needed(kind, had, own, given) == needed


@pytest.mark.parametrize(
    ("raised", "sentence"),
    [
        (Raise("memory", 3, 8, 12), "3 tasks ran out of memory at 8 GB: they get 12 GB."),
        (Raise("walltime", 1, 60, 120), "1 task ran out of time at 60 min: it gets 120 min."),
        (
            Raise("walltime", 2, 60, 90, 90),
            "2 tasks ran out of time at 60 min: they get 90 min, the most that the queue allows.",
        ),
        (
            Raise("memory", 2, 64, 64, 64),
            "2 tasks ran out of memory at 64 GB, and the queue allows no more than 64 GB.",
        ),
        (Raise("memory", 2, 8, 12, None, True), "2 tasks ran out of memory at up to 8 GB: they get 12 GB."),
        (
            Raise("memory", 2, None, None),
            "2 tasks ran out of memory, and it is not known how much would be enough: add --memory.",
        ),
    ],
)
def test_every_raise_is_said(raised, sentence):
    assert raised.sentence == sentence


def test_the_help_says_what_a_retry_raises():
    (option,) = [one for one in submit_command.params if one.name == "retry"]
    assert "memory or time" in option.help
