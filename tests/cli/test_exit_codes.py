"""Every exit code that docs/running.md promises, of the commands that scripts rely on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

SITE = """
from dataclasses import dataclass
from neurofit.backends.base import Backend, Queued
from neurofit.errors import QueueError, SubmissionError

@dataclass(frozen=True)
class Site(Backend):
    refuses: bool = False
    is_deaf: bool = False

    def preview(self, submission): return ""
    def submit(self, submission):
        if self.refuses:
            raise SubmissionError("job rejected: quota")
        if self.is_deaf:
            raise QueueError("qsub did not answer within 60 s.")
        yield Queued(submission.folder, "17", 0, submission.jobs - 1)
    def find(self, submissions): raise QueueError("no route to server")
    def poll(self, queued): raise QueueError("no route to server")
    def endings(self, queued): return {}
    def cancel(self, queued, jobs): raise QueueError("no route to server")
    def limits(self): ...
    def check(self): ...
"""
SOME = """
import time
import neurofit as nf

def fit(task, *, x=0):
    if x == 1:
        raise ValueError("one is too much")
    if x == 2:
        task.stop()
    if x == 3:
        for _ in range(600):
            time.sleep(0.05)
            if task.should_stop():
                task.stop()
    return {"m": x}

experiment = nf.Experiment(fit, grid=nf.grid(x=[0, 1, 2, 3]))
"""


@pytest.fixture
def some(study):
    """Run 0 is done at once, 1 fails, 2 stops by itself, 3 takes half a minute."""
    study.script("some", SOME)
    study.script("broken", "raise RuntimeError('no')\n")
    (study.root / "runners" / "site.py").write_text(SITE)
    for name, line in {"full": "refuses: true", "deaf": "is_deaf: true", "silent": ""}.items():
        (study.root / "runners" / f"{name}.yaml").write_text(f"backend: site.py:Site\n{line}\n")
    return study


def test_submit(some):
    some("submit", "some:0", code=0)
    some("submit", "some:0", code=0)  # nothing is left to do
    some("submit", "some:3", "--backend", "full", code=1)
    some("submit", "nowhere", code=1)
    some("submit", "broken", code=1)
    some("submit", "some:0", "--backend", "nowhere", code=1)
    some("submit", "some:99", code=2)
    some("submit", "some:0", "--detach", "--wait", "1", code=2)
    some("submit", "some:1", code=3)
    some("submit", "some:1", code=3)  # nothing is queued, and it has failed
    some("submit", "some:2", code=3)
    some("submit", "some:3", "--wait", "0.2", code=4)
    some("submit", "some:3", "--wait", "0.2", code=4)  # it is queued already
    some("cancel", "some:3", "--yes")
    some("submit", "some:0", "--rerun", "--yes", "--backend", "deaf", code=5)


def test_status(some):
    some("status", code=0)
    some("submit", "some:0")
    some("status", "some", code=0)
    some("status", "nowhere", code=1)
    some("status", "some", "--wait", "-1", code=2)
    some("submit", "some:3", "--detach")
    some("status", "some:3", code=0)
    some("status", "some:3", "--wait", "0.2", code=4)
    some("submit", "some:1", code=3)
    some("status", "some:1", code=3)
    some("status", "some:0", code=0)
    some("status", "some", code=3)
    some("cancel", "some:3", "--yes")


def test_status_of_what_stopped_and_of_a_queue_that_cannot_be_asked(some):
    some("submit", "some:2", code=3)
    some("status", "some:2", code=3)
    some("submit", "some:0", "--backend", "silent")
    some("status", "some", code=5)
    some("status", "some", "--wait", "0.2", code=5)


def test_cancel(some):
    some("submit", "some:0")
    some("cancel", "some", code=0)  # nothing is queued or running
    some("cancel", "nowhere", code=1)
    some("cancel", code=2)
    some("submit", "some:3", "--detach")
    some("cancel", "some:3", "--yes", code=0)
    some("submit", "some:0", "--rerun", "--yes", "--backend", "silent")
    some("cancel", "some:0", "--yes", code=5)


def test_run(some):
    some("run", "some:0", code=0)
    some("run", "nowhere", code=1)
    some("run", "broken", code=1)
    some("run", "some:0", "--set", "x", code=2)
    some("run", "some:99", code=2)
    some("run", "some:1", code=3)
    some("run", "some:2", code=3)  # it stopped by itself


@pytest.mark.parametrize(
    ("words", "number", "code"),
    [
        (("run", "some:3"), signal.SIGINT, 130),
        (("run", "some:3"), signal.SIGTERM, 143),
        (("status", "some", "--watch"), signal.SIGINT, 130),
    ],
)
def test_what_a_signal_ended(some, words, number, code):
    if words[0] == "status":
        some("submit", "some:3", "--detach")
    process = subprocess.Popen(
        [sys.executable, "-m", "neurofit", *words],
        cwd=some.root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    while not list(some.root.glob("training_data/some/runs/003-*/rep-00/attempt-01/claim.json")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    time.sleep(2)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, (out, err)
    if words[0] == "status":
        some("cancel", "some:3", "--yes")


def test_a_reader_of_the_output_that_went_away(some):
    some.run(["bash", "-o", "pipefail", "-c", f"{sys.executable} -m neurofit show some | true"], code=141)
