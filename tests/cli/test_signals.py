"""Ctrl-C, a closed terminal and `kill`, while a submit asks its queue and while it watches a pool."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

UNHURRIED = """
import time
from dataclasses import dataclass
from neurofit.backends.base import Backend, Queued, QueueState

@dataclass(frozen=True)
class Unhurried(Backend):
    '''Takes one job per call; the second is answered when there is a file.'''
    def preview(self, submission): return ""
    def submit(self, submission):
        for job in range(submission.jobs):
            (submission.study / f"asked-{job}").touch()
            while job == 1 and not (submission.study / "go").exists():
                time.sleep(0.02)
            yield Queued(submission.folder, f"{job}.server", job, job)
    def find(self, submissions): return []
    def poll(self, queued): return {(one.token, one.first): QueueState("pending") for one in queued}
    def endings(self, queued): return {}
    def cancel(self, queued, jobs): ...
    def limits(self): ...
    def check(self): ...
"""


def counts(study, name: str) -> dict:
    if not (study.root / "training_data" / name).exists():
        return {}
    records = json.loads(study("status", "--json", code=None).stdout)["experiments"]
    record = next((record for record in records if record["name"] == name), {})
    return {key: record[key] for key in ("new", "queued", "running", "stopped", "done") if record.get(key)}


def until(question) -> None:
    deadline = time.monotonic() + 60
    while not question():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def unhurried(quick):
    (quick.root / "runners" / "site.py").write_text(UNHURRIED)
    (quick.root / "runners" / "far.yaml").write_text("backend: site.py:Unhurried\n")
    return quick


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_the_queue_is_asked_waits_for_its_answer_and_says_what_was_queued(unhurried, number):
    process = unhurried.start("submit", "quick", "--backend", "far")
    until((unhurried.root / "asked-1").exists)
    process.send_signal(number)
    time.sleep(0.1)
    assert process.poll() is None, "what the queue has taken is not noted yet"
    (unhurried.root / "go").touch()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number, said
    assert "2 of 4 jobs were queued as" in said and "(0.server to 1.server)" in said
    assert "the others are not queued, and the same command queues them" in said
    assert not (unhurried.root / "asked-2").exists()
    assert counts(unhurried, "quick") == {"queued": 4, "new": 4}, "the rest is known not to be queued"
    assert "8 tasks" not in unhurried("submit", "quick", "--backend", "far").stdout
    assert counts(unhurried, "quick") == {"queued": 8}


def test_a_second_ctrl_c_does_not_wait_and_says_that_it_is_not_known(unhurried):
    process = unhurried.start("submit", "quick", "--backend", "far")
    until((unhurried.root / "asked-1").exists)
    process.send_signal(signal.SIGINT)
    assert "Waiting for the queue's answer" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "1 of 4 jobs was queued as" in said and "checks whether the queue has more" in said
    assert counts(unhurried, "quick") == {"queued": 8}, (
        "until the queue has answered without the rest for the grace"
    )


def test_a_pool_in_the_foreground_is_stopped_by_kill_and_its_tasks_go_on_with_the_next_submit(slow):
    (slow.root / "hold").touch()
    process = slow.start("submit", "slow")
    until(lambda: counts(slow, "slow") == {"running": 2})
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "slow: 2 stopped after" in out and "Next: neurofit submit slow" in err
    assert counts(slow, "slow") == {"stopped": 2}


def test_a_pool_in_the_foreground_goes_on_when_the_terminal_closes(slow):
    (slow.root / "hold").touch()
    process = slow.start("submit", "slow")
    until(lambda: counts(slow, "slow") == {"running": 2})
    process.stdout.close()
    process.stderr.close()
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=60) == 129
    assert counts(slow, "slow") == {"running": 2}
    (slow.root / "hold").unlink()
    slow("status", "slow", "--wait", "60")
    assert counts(slow, "slow") == {"done": 2}


def test_a_submit_that_ignores_the_end_of_its_terminal_stays(slow):
    (slow.root / "hold").touch()
    process = subprocess.Popen(
        ["nohup", sys.executable, "-m", "neurofit", "submit", "slow"],
        cwd=slow.root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: counts(slow, "slow") == {"running": 2})
    process.send_signal(signal.SIGHUP)
    (slow.root / "hold").unlink()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "slow: 2 done" in out


def test_waiting_for_what_is_queued_already(slow):
    slow("submit", "slow", "--detach")
    assert "Nothing to queue" in slow("submit", "slow", "--wait", "0.2", code=4).stdout
    answer = slow("submit", "slow", "--wait", "60", "--json")
    assert json.loads(answer.stdout)["after"]["done"] == 2 and json.loads(answer.stdout)["submission"] is None
