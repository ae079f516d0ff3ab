"""What becomes of experiments on any real queue; each queue's tests subclass this and say how it is spoken
to.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections import Counter
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from held_runs import hold
from search_studies import branin, check
from studies import (
    ALL_FAIL,
    COUNT,
    FILLS,
    FIRST,
    MIXED,
    MODEL,
    ODD,
    PLAIN,
    PROGRAM,
    QUICK,
    SECOND,
    STEPS,
    WAITS,
    attempts,
    kill_a_process,
    like_an_undisturbed_one,
    until,
)

from neurofit.orchestrate.failures import failures
from neurofit.status.needs import need_stops, waits

COUNTING = """#!/bin/bash
echo "$(basename "$0") $*" >>"$CALLS"
exec "/usr/bin/$(basename "$0")" "$@"
"""
SLOW = """#!/bin/bash
sleep 0.2
id=$(/usr/bin/{} "$@") || exit
sleep 0.2
echo "$id"
"""
OF_A_JOB = {  # what a job's environment says of it; a submit from within a job must not pass it on
    "SLURM_JOB_ID": "9",
    "SLURM_ARRAY_TASK_ID": "7",
    "SLURM_MEM_PER_NODE": "999999",
    "SLURM_CPUS_PER_TASK": "99",
    "SBATCH_PARTITION": "nope",
    "SBATCH_ARRAY_INX": "1-3",
    "SGE_TASK_ID": "7",
    "SGE_TASK_FIRST": "3",
    "JOB_ID": "9",
    "QUEUE": "nope",
    "NSLOTS": "99",
    "PBS_JOBID": "9.nowhere",
    "PBS_ARRAY_INDEX": "7",
    "RESTARTED": "1",
}


class Queue(ABC):
    """A real queue of this host."""

    profile: str  # of a small job on CPUs
    on_hold: str  # a profile's line that has jobs wait
    calls: tuple[str, ...]  # its programs
    question: str  # the program that status asks, once
    away: str  # what its programs say while its server is away

    @abstractmethod
    def is_listed(self, id: str) -> bool: ...

    @abstractmethod
    def has_left(self, id: str, element: int) -> bool:
        """Whether this element (from 0) is gone while others of its array are there."""

    @abstractmethod
    def release(self, id: str) -> None: ...

    @abstractmethod
    def start_again(self, id: str) -> None:
        """End the job, and start it again."""

    @abstractmethod
    def split_at_three(self, bench, tmp_path: Path) -> AbstractContextManager[str]:
        """A profile of a site that takes arrays of three."""

    @abstractmethod
    def running(self) -> int:
        """How many jobs run, each element of an array counted."""

    @abstractmethod
    def server(self) -> int:
        """The process that answers questions."""


class QueueTests:
    """Fixtures to give: `queue`, a Queue; `start`, its script."""

    @pytest.fixture
    def calls(self, queue, tmp_path, monkeypatch):
        """Every question to the queue from now on, as lines."""
        folder, log = tmp_path / "counting", tmp_path / "calls"
        folder.mkdir()
        for name in queue.calls:
            (folder / name).write_text(COUNTING)
            (folder / name).chmod(0o755)
        log.touch()
        monkeypatch.setenv("CALLS", str(log))
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        return lambda: log.read_text().splitlines()

    def test_from_submit_to_results_on_the_command_line(self, queue, bench):
        bench.script("mixed", MIXED)
        bench.runner("queue", queue.profile)
        said = bench.command("submit", "mixed", "--backend", "queue")
        assert said.returncode == 0, said.stderr
        bench.wait("mixed")
        assert bench.counts("mixed") == {"done": 4, "failed": 2}
        assert bench.command("status", "mixed").returncode == 3
        assert "x is 3" in bench.command("logs", "mixed:2/0").stdout
        status = bench.status("mixed")
        (failure,) = failures(status, status.all_keys())
        assert failure.message == "ValueError: x=2 is too much" and len(failure.tasks) == 2
        told = bench.command("failures", "mixed").stdout
        assert "2 tasks failed: ValueError: x=2 is too much" in told and "all with x=2" in told, told
        assert bench.command("submit", "mixed", "--backend", "queue", "--retry").returncode == 0
        assert bench.wait("mixed") == {"done": 6}
        rows = json.loads(bench.command("results", "mixed", "--json").stdout)
        assert sorted((row["x"], row["repetition"], row["attempt"]) for row in rows) == [
            (x, repetition, 2 if x == 2 else 1) for x in (1, 2, 3) for repetition in (0, 1)
        ]

    def test_a_plain_fit_runs_where_tensorflow_is_not_installed(self, queue, bench, without_models):
        bench.script("plain", PLAIN)
        job_environment = f"export PYTHONPATH={without_models['PYTHONPATH']}"
        bench.runner("queue", f"{queue.profile}setup: ['{job_environment}']\n")
        submitted = bench.command("submit", "plain", "--backend", "queue", env=without_models)
        assert submitted.returncode == 0, submitted.stderr
        assert bench.wait("plain") == {"done": 4}
        assert bench.command("status", "plain", env=without_models).returncode == 0
        table = bench.command("results", "plain", "--json", env=without_models)
        rows = json.loads(table.stdout)
        assert sorted((row["m"], row["libraries"]) for row in rows) == [(1, 0), (1, 0), (2, 0), (2, 0)]

    def test_a_job_near_its_limit_is_started_again_and_its_result_is_that_of_an_undisturbed_one(
        self, queue, bench
    ):
        bench.script("steps", STEPS % "0.4")
        limited = queue.profile.replace("cpus: 1", "cpus: 1, walltime_minutes: 0.4")
        submitted = bench.submit("steps", bench.runner("queue", limited))
        assert bench.wait("steps", seconds=150) == {"done": 1}
        (states,) = attempts(bench, "steps").values()
        assert states["done"] == 1 and states["stopped"] >= 1
        assert len(submitted.ids) == 1  # the same job, started again
        like_an_undisturbed_one(bench, "steps")

    def test_a_program_goes_on_at_its_own_checkpoint_after_a_time_limit_and_after_a_cancellation(
        self, queue, bench
    ):
        (bench.root / "count.py").write_text(COUNT)
        bench.script("count", PROGRAM)
        limited = queue.profile.replace("cpus: 1", "cpus: 1, walltime_minutes: 0.4")
        bench.submit("count", bench.runner("queue", limited))
        numbers = sorted(bench.status("count").registry.runs)
        until(lambda: bench.counts("count")["running"] == 2, seconds=60)
        assert bench.command("cancel", f"count:{numbers[1]}", "--yes").returncode == 0
        counts = bench.wait("count", seconds=150)
        assert counts == {"done": 1, "cancelled": 1}, bench.command("failures", "count").stdout
        assert bench.command("submit", "count", "--backend", "queue", "--retry").returncode == 0
        assert bench.wait("count", seconds=150) == {"done": 2}
        rows = json.loads(bench.command("results", "count", "--json").stdout)
        assert [row["count"] for row in rows] == [40, 41]
        assert all(row["starts"] == row["attempt"] > 1 for row in rows), rows

    @pytest.mark.slow
    def test_a_models_weights_after_a_time_limit_are_those_of_an_undisturbed_training(
        self, queue, bench, tmp_path
    ):
        undisturbed = type(bench)(tmp_path / "undisturbed")
        for one in (undisturbed, bench):
            one.script("net", MODEL)
        began = time.monotonic()
        undisturbed.submit("net")
        assert undisturbed.wait("net", seconds=600) == {"done": 1}
        # enough to start and to train some epochs, also where another process is busy
        minutes = max(0.6, 2.5 * (time.monotonic() - began) / 60)
        (bench.root / "waits").touch()
        limited = queue.profile.replace("cpus: 1", f"cpus: 1, walltime_minutes: {minutes:.1f}")
        bench.submit("net", bench.runner("queue", limited.replace("0.25", "3")))
        assert bench.wait("net", seconds=600) == {"done": 1}, bench.command("failures", "net").stdout
        (states,) = attempts(bench, "net").values()
        assert states == {"done": 1, "stopped": 1}
        (expected,), (found,) = undisturbed.saved("net").values(), bench.saved("net").values()
        assert expected.keys() == found.keys() and len(expected) > 4
        for name, values in expected.items():
            np.testing.assert_array_equal(values, found[name], err_msg=name)

    def test_identical_failures_of_the_first_tasks_stop_a_submission(self, queue, bench):
        bench.script("all_fail", ALL_FAIL % "True")
        profile = bench.runner("queue", f"{queue.profile}max_running: 1\n")
        bench.submit("all_fail", profile)
        counts = bench.wait("all_fail", seconds=120)
        assert counts["failed"] == 5 and counts["new"] == 7, counts
        assert "stopped after 5 identical failures" in bench.command("status", "all_fail").stderr
        bench.script("all_fail", ALL_FAIL % "False")
        bench.submit("all_fail", bench.runner("queue", queue.profile), retry=True)
        assert bench.wait("all_fail", seconds=90) == {"done": 12}

    def test_a_submission_above_the_sites_limit_is_split(self, queue, bench, tmp_path):
        bench.script("many", QUICK % 8)
        with queue.split_at_three(bench, tmp_path) as profile:
            submitted = bench.submit("many", bench.runner("queue", f"{profile}max_running: 4\n"))
        assert len(submitted.ids) == 3
        assert bench.wait("many") == {"done": 8}
        assert all(states == {"done": 1} for states in attempts(bench, "many").values())

    def test_cancelling_a_task_a_job_and_all_of_them(self, queue, bench, tmp_path):
        bench.script("waits", WAITS % str(tmp_path / "go"))
        submitted = bench.submit("waits", bench.runner("queue", queue.profile))
        first = min(bench.status("waits").registry.runs)
        bench.wait("waits", until=lambda counts: counts["running"] == 4)
        assert bench.command("cancel", f"waits:{first}/0", "--yes").returncode == 0  # a task inside a job
        bench.wait(
            "waits", until=lambda counts: counts["cancelled"] == 1 and counts["running"] == 4, seconds=30
        )
        assert (
            bench.command("cancel", f"waits:{first + 1}", "--yes").returncode == 0
        )  # an element of the array
        bench.wait("waits", until=lambda counts: counts["cancelled"] == 3, seconds=30)
        until(lambda: queue.has_left(submitted.ids[0], 1))
        assert bench.command("cancel", "waits", "--yes").returncode == 0
        assert bench.wait("waits", seconds=30) == {"cancelled": 8}
        until(lambda: not queue.is_listed(submitted.ids[0]))
        time.sleep(1)
        assert not queue.is_listed(submitted.ids[0]), "a cancelled job was started again"
        (tmp_path / "go").touch()
        assert bench.submit("waits", bench.runner("queue", queue.profile), retry=True)
        assert bench.wait("waits") == {"done": 8}

    def test_a_full_disk_fails_a_task_in_words_and_leaves_no_half_a_file(self, queue, bench, tmp_path):
        small = tmp_path / "small"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", small], check=True)
        try:
            crowded = type(bench)(small / "study")
            crowded.script("fills", FILLS)
            profile = crowded.runner(
                "queue", f"{queue.profile}max_running: 1\n"
            )  # the small one before the large one
            crowded.submit("fills", profile)
            assert crowded.wait("fills", seconds=90) == {"done": 1, "failed": 1}
            (failure,) = failures(found := crowded.status("fills"), found.all_keys())
            assert re.search("No space left on device|the disk or your quota on it is full", failure.message)
            assert not found.problems
            subprocess.run(["mount", "-o", "remount,size=64m", small], check=True)
            assert crowded.command("submit", "fills", "--backend", "queue", "--retry").returncode == 0
            assert crowded.wait("fills") == {"done": 2}
        finally:
            subprocess.run(["umount", "--lazy", small], check=True)

    def test_a_submit_from_within_a_job_starts_afresh(self, queue, bench, monkeypatch):
        for name, value in OF_A_JOB.items():
            monkeypatch.setenv(name, value)
        bench.script("quick", QUICK % 2)
        bench.runner("queue", queue.profile)
        said = bench.command("submit", "quick", "--backend", "queue")
        assert said.returncode == 0, said.stderr
        assert bench.wait("quick") == {"done": 2}

    def test_a_study_under_a_symbolic_link_with_a_difficult_name(self, queue, bench, tmp_path):
        real = type(bench)(tmp_path / "real, with: a 'name' %A $(x)")
        (tmp_path / "link").symlink_to(real.root)
        linked = type(bench)(tmp_path / "link")
        value = "\"'$(touch no)\n;`%A` ü"
        linked.script("odd", ODD % [value])
        linked.submit("odd", linked.runner("queue", queue.profile))
        assert linked.wait("odd") == real.counts("odd") == {"done": 1}
        assert linked.outcomes("odd")[0]["metrics"] == {"m": len(value)}

    def test_a_server_that_is_away_changes_no_state_and_is_asked_again_later(
        self, queue, start, bench, tmp_path
    ):
        bench.script("waits", WAITS % str(tmp_path / "go"))
        bench.submit("waits", bench.runner("queue", f"{queue.profile}max_running: 2\n"))
        before = bench.wait("waits", until=lambda counts: counts["running"] == 2)
        pid = queue.server()
        os.kill(pid, signal.SIGTERM)
        until(lambda: not Path(f"/proc/{pid}").exists())
        try:
            status = bench.status("waits")
            assert Counter({str(state): number for state, number in status.counts().items()}) == before
            assert "could not be asked" in status.unanswered[0] and queue.away in status.unanswered[0]
            said = bench.command("status", "waits")
            assert said.returncode == 5 and "could not be asked" in said.stderr
            bench.script("more", QUICK % 1)
            assert bench.command("submit", "more", "--backend", "queue").returncode
            (tmp_path / "go").touch()
            until(lambda: bench.counts("waits")["done"] >= 4, 30)  # nodes go on without it
        finally:
            subprocess.run([start, "start"], check=True, capture_output=True, timeout=120)
        assert bench.wait("waits") == {"done": 8}
        until(
            lambda: (
                bench.command("submit", "more", "--backend", "queue") and bench.counts("more")["done"] == 1
            )
        )

    def test_a_submit_that_is_killed_anywhere_is_simply_repeated(self, queue, bench, tmp_path, monkeypatch):
        bench.script("many", QUICK % 8)
        slow = tmp_path / "slow"
        slow.mkdir()
        program = queue.calls[0]  # killed before, while and after it asks, three times
        (slow / program).write_text(SLOW.format(program))
        (slow / program).chmod(0o755)
        generator = random.Random(3)
        with queue.split_at_three(bench, tmp_path) as profile, monkeypatch.context() as slowly:
            slowly.setenv("PATH", f"{slow}:{os.environ['PATH']}")
            bench.runner("queue", profile)
            for _ in range(8):
                submitting = subprocess.Popen(
                    [sys.executable, "-m", "neurofit", "submit", "many", "--backend", "queue"],
                    cwd=bench.root,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
                time.sleep(generator.uniform(0.2, 1.8))
                submitting.kill()  # what it asked lives on, and may yet be heard
                submitting.wait()
            until(lambda: bench.command("submit", "many", "--backend", "queue").returncode == 0, 30)
        deadline = time.monotonic() + 90
        while bench.wait("many", seconds=120) != {"done": 8}:
            assert time.monotonic() < deadline
            bench.command("submit", "many", "--backend", "queue")
        tasks = attempts(bench, "many")
        assert len(tasks) == 8 and all(states == {"done": 1} for states in tasks.values())

    def test_ten_thousand_tasks_cost_the_queue_a_few_questions(self, queue, bench, calls, capsys):
        bench.script("large", (QUICK % 1000).replace("))))", "))), repetitions=10)"))
        profile = bench.runner("queue", f"{queue.profile}{queue.on_hold}\n")
        began = time.perf_counter()
        submitted = bench.submit("large", profile)
        seconds, to_submit = time.perf_counter() - began, calls()
        began = time.perf_counter()
        assert bench.counts("large") == {"queued": 10_000}
        status = time.perf_counter() - began
        asked = [line.split()[0] for line in calls()[len(to_submit) :]]
        assert len(submitted.ids) == 1 and len(to_submit) <= 20
        assert asked == [queue.question]
        assert bench.command("cancel", "large", "--yes").returncode == 0
        assert bench.counts("large") == {"cancelled": 10_000}
        names = dict(Counter(line.split()[0] for line in to_submit))
        with capsys.disabled():
            print(
                f"\n10,000 tasks: submitted in {seconds:.2f} s with {names}; status in {status:.2f} s, with "
                f"{asked}"
            )

    def test_a_stage_starts_after_what_it_needs(self, queue, bench, tmp_path):
        bench.script("first", FIRST % str(tmp_path / "go"))
        bench.script("second", SECOND)
        bench.runner("queue", queue.profile)
        bench.runner("other", queue.profile)
        first = bench.submit("first", bench.runner("queue", queue.profile))  # somebody has queued it already
        said = bench.command("submit", "second", "--backend", "first=queue", "--backend", "other", "--json")
        assert said.returncode == 0, said.stderr
        record = json.loads(said.stdout)
        assert record["after"] == first.ids and not record["stages"][0]["ids"]
        bench.wait("first", until=lambda counts: counts["running"] == 2)
        assert bench.counts("second") == {"queued": 3}
        assert waits(bench.status("second")) == ["second waits for first (0 of 2 done)"]
        (tmp_path / "go").touch()
        assert bench.wait("second", seconds=60) == {"done": 3}
        assert {row["metrics"]["seen"] for row in bench.outcomes("second")} == {2}
        assert bench.counts("first") == {"done": 2}

    def test_a_stage_whose_need_failed_leaves_the_queue_and_its_tasks_new(self, queue, bench, tmp_path):
        (bench.root / "broken").touch()
        bench.script("first", FIRST % str(tmp_path / "go"))
        bench.script("second", SECOND)
        bench.runner("queue", queue.profile)
        said = bench.command("submit", "second", "--backend", "queue", "--json")
        assert said.returncode == 0, said.stderr
        (ids,) = [json.loads(said.stdout)["ids"]]
        (tmp_path / "go").touch()
        assert bench.wait("second", seconds=60) == {"new": 3}
        assert bench.wait("first") == {"failed": 2}
        until(lambda: not any(queue.is_listed(id) for id in ids))
        assert bench.counts("second") == {"new": 3}
        [note] = need_stops(bench.status("second"))
        assert "first (0 of 2 done) ended with 2 failed" in note
        assert "ended with 2 failed" in " ".join(bench.command("status", "second").stderr.split())
        assert not list((bench.study.training_data / "second").glob("runs/**/claim.json"))

    def test_a_need_that_was_submitted_again_is_looked_at_again(self, queue, bench, tmp_path):
        bench.script("first", FIRST % str(tmp_path / "go"))
        bench.script("second", SECOND)
        plain, held = queue.profile, f"{queue.profile}{queue.on_hold}\n"
        before = bench.submit("first", bench.runner("held", held))
        second = bench.submit("second", bench.runner("held", held))
        assert list(second.after) == before.ids
        assert bench.command("cancel", "first", "--yes").returncode == 0
        bench.submit("first", bench.runner("queue", plain), retry=True)
        queue.release(second.ids[0])
        until(lambda: list(second.files.journals.iterdir()))  # a job of it has started, and waits on its node
        assert bench.counts("second") == {"queued": 3}
        (tmp_path / "go").touch()
        assert bench.wait("second", seconds=90) == {"done": 3}
        assert {row["metrics"]["seen"] for row in bench.outcomes("second")} == {2}

    def test_a_need_that_its_queue_starts_again_is_waited_for(self, queue, bench, tmp_path):
        bench.script("first", FIRST % str(tmp_path / "go"))
        bench.script("second", SECOND)
        first = bench.submit("first", bench.runner("queue", queue.profile))
        bench.submit("second", bench.runner("queue", queue.profile))
        bench.wait("first", until=lambda counts: counts["running"] == 2)
        queue.start_again(first.ids[0])
        bench.wait("first", until=lambda counts: not counts["running"])
        assert bench.counts("second") == {"queued": 3}
        (tmp_path / "go").touch()
        assert bench.wait("second", seconds=60) == {"done": 3}
        assert min(row["metrics"]["seen"] for row in bench.outcomes("second")) >= 2

    def test_a_search_of_sixty_trials_loses_none_to_ten_kills_and_does_none_twice(self, queue, bench):
        bench.script("search", branin(60, at_once=6, seconds=0.5, held=True))
        bench.runner("queue", f"{queue.profile}tasks_per_job: 4\n")
        generator, kills, most = random.Random(5), Counter(), 0
        kinds = ["worker", "child"] * 5
        deadline = time.monotonic() + 150
        while (counts := bench.counts("search")) != {"done": 60}:
            assert time.monotonic() < deadline, (counts, kills)
            hold(bench.root, 56 if kinds else 60)
            if not counts["queued"] and not counts["running"]:
                said = bench.command("submit", "search", "--backend", "queue", "--retry")
                assert said.returncode == 0, said.stderr
            most = max(most, counts["running"])
            time.sleep(generator.uniform(0.05, 0.4))
            # a killed worker takes up to four trials with it, which a submit does again once no other runs
            due = bool(kinds) and counts["done"] >= 3 * kills.total()
            if due and kill_a_process(bench.study.training_data / "search", kinds[0], generator):
                kills[kinds.pop(0)] += 1
        assert kills == {"worker": 5, "child": 5}
        assert 2 <= most <= 6, "at_once is the throttle of the array"
        check(bench, "search", 60)

    def test_no_more_trials_run_at_a_time_than_the_search_says(self, queue, bench):
        bench.script("search", branin(9, at_once=3, seconds=1.0))
        bench.runner("queue", queue.profile)
        said = bench.command("submit", "search", "--backend", "queue")
        assert said.returncode == 0, said.stderr
        assert (
            "at most 3 at a time (at_once)" in said.stdout and "9 tasks in 9 jobs, 3 at a time" in said.stdout
        )
        seen, deadline = Counter(), time.monotonic() + 90
        while (counts := bench.counts("search")) != {"done": 9}:
            assert time.monotonic() < deadline, counts
            seen[max(counts["running"], queue.running())] += 1
            time.sleep(0.1)
        assert max(seen) == 3, seen
        check(bench, "search", 9)
