"""Claims and outcomes: one winner, whoever comes when."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import time

import pytest

from neurofit.files import read_json, to_json
from neurofit.process import Process
from neurofit.store.attempts import Claimant, Refusal, claim, publish, still_mine
from neurofit.store.layout import AttemptFiles, SubmissionFiles, TaskFiles
from neurofit.store.records import Outcome


def claimant(tmp_path, *, job=0, start=1, process=None, submission="s1") -> Claimant:
    files = SubmissionFiles(tmp_path / "submissions" / submission)
    files.journals.mkdir(parents=True, exist_ok=True)
    return Claimant(files, job, start, process or Process.here())


def dead_process() -> Process:
    program = subprocess.Popen(["true"])
    process = Process.of(program.pid)
    program.wait()
    return Process(process.host, process.boot, process.pid, process.started or 1)


def elsewhere(pid: int = 1) -> Process:
    return Process("another-host", "boot", pid, 1)


def test_a_claim_makes_the_attempt_with_the_claimant_in_it(tmp_path):
    attempt = claim(TaskFiles(tmp_path / "rep-00"), 0, claimant(tmp_path, job=7))
    assert attempt.folder.name == "attempt-01"
    assert read_json(attempt.claim)["job"] == 7
    assert os.listdir(tmp_path / "rep-00") == ["attempt-01"]


@pytest.mark.process
def test_a_task_that_a_living_process_has_is_left_alone(tmp_path):
    task = TaskFiles(tmp_path / "rep-00")
    program = subprocess.Popen(["sleep", "60"])
    try:
        claim(task, 0, claimant(tmp_path, process=Process.of(program.pid)))
        assert claim(task, 0, claimant(tmp_path, start=2)) == Refusal("another worker is running it")
    finally:
        program.kill()
        program.wait()


@pytest.mark.process
def test_a_task_of_a_dead_process_is_taken_over_at_once_and_its_attempt_is_abandoned(tmp_path):
    task = TaskFiles(tmp_path / "rep-00")
    first = claim(task, 0, claimant(tmp_path, process=dead_process()))
    second = claim(task, 0, claimant(tmp_path, submission="s2"))
    assert second.number == 2
    assert read_json(first.outcome)["state"] == "abandoned"


def test_another_hosts_task_is_taken_over_only_when_its_journal_went_stale(tmp_path):
    task = TaskFiles(tmp_path / "rep-00")
    there = claimant(tmp_path, process=elsewhere(), submission="s1")
    journal = there.submission.journal(0, 1)
    journal.touch()
    claim(task, 0, there)
    here = claimant(tmp_path, submission="s2")
    assert isinstance(claim(task, 0, here), Refusal)
    old = time.time() - 3600
    os.utime(journal, (old, old))
    assert isinstance(claim(task, 0, here), AttemptFiles)


def test_a_restart_of_the_same_job_on_another_host_takes_over_at_once(tmp_path):
    task = TaskFiles(tmp_path / "rep-00")
    claim(task, 0, claimant(tmp_path, job=3, process=elsewhere()))
    assert isinstance(claim(task, 0, claimant(tmp_path, job=3, start=2)), AttemptFiles)


@pytest.mark.process
def test_an_outcome_that_comes_after_a_takeover_is_thrown_away(tmp_path):
    task = TaskFiles(tmp_path / "rep-00")
    slow = claim(task, 0, claimant(tmp_path, process=dead_process()))
    claim(task, 0, claimant(tmp_path, submission="s2"))
    assert not still_mine(slow)
    assert publish(slow, Outcome(state="done", attempt=1)) is False
    assert read_json(slow.outcome)["state"] == "abandoned"


def test_done_and_failed_tasks_are_not_claimed_and_stopped_ones_go_on(tmp_path):
    for state, expected in (("done", Refusal("done")), ("failed", Refusal("failed"))):
        task = TaskFiles(tmp_path / state)
        publish(claim(task, 0, claimant(tmp_path)), Outcome(state=state, attempt=1))
        assert claim(task, 0, claimant(tmp_path, start=2)) == expected
    task = TaskFiles(tmp_path / "stopped")
    publish(claim(task, 0, claimant(tmp_path)), Outcome(state="stopped", attempt=1))
    assert claim(task, 0, claimant(tmp_path, start=2)).number == 2


def test_no_worker_overwrites_a_damaged_outcome_but_a_retry_comes_after_it(tmp_path):
    task = TaskFiles(tmp_path / "rep-00")
    attempt = claim(task, 0, claimant(tmp_path))
    attempt.outcome.write_text('{"state": "do')
    assert claim(task, 0, claimant(tmp_path, start=2)) == Refusal("damaged")
    assert claim(task, 1, claimant(tmp_path, start=2)).number == 2


def _race(folder, number, barrier, queue):
    who = Claimant(SubmissionFiles(folder / "submissions" / "s"), number, 1, Process.here())
    barrier.wait()
    won = [
        index
        for index in range(50)
        if isinstance(claim(TaskFiles(folder / f"task-{index}"), 0, who), AttemptFiles)
    ]
    queue.put(won)
    time.sleep(2)  # stay alive: a dead winner could rightly be taken over from


@pytest.mark.process
def test_of_many_claimants_one_wins_each_task(tmp_path):
    context = multiprocessing.get_context("fork")
    (tmp_path / "submissions" / "s").mkdir(parents=True)
    barrier, queue = context.Barrier(4), context.Queue()
    racers = [context.Process(target=_race, args=(tmp_path, number, barrier, queue)) for number in range(4)]
    for racer in racers:
        racer.start()
    won = [index for _ in racers for index in queue.get(timeout=30)]
    for racer in racers:
        racer.join()
    assert sorted(won) == list(range(50))


def test_a_claim_survives_as_json_that_names_its_process(tmp_path):
    attempt = claim(TaskFiles(tmp_path / "rep-00"), 0, claimant(tmp_path))
    assert Process.from_record(read_json(attempt.claim)["process"]) == Process.here()
    assert to_json(read_json(attempt.claim))
