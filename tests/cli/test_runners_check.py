"""`neurofit runners check`: one small job through a queue and back."""

from __future__ import annotations

import json
import os

SITE = """
from dataclasses import dataclass
from neurofit.backends.base import Backend, Finding, Queued
from neurofit.errors import QueueError, SubmissionError

@dataclass(frozen=True)
class Site(Backend):
    accepts: bool = True
    takes: bool = True

    def preview(self, submission): return ""
    def submit(self, submission):
        if not self.takes:
            raise SubmissionError("job rejected: quota")
        yield Queued(submission.folder, "17.server", 0, submission.jobs - 1)
    def find(self, submissions): return []
    def poll(self, queued): raise QueueError("no route to server")
    def endings(self, queued): return {}
    def cancel(self, queued, jobs): raise QueueError("no route to server")
    def limits(self): ...
    def check(self): return [Finding(self.accepts, "it would be accepted", "" if self.accepts else "no such queue")]
"""


def profile(study, text: str) -> None:
    (study.root / "runners" / "site.py").write_text(SITE)
    (study.root / "runners" / "mine.yaml").write_text(text)


def nothing_is_left(study) -> bool:
    return not (study.root / "training_data").exists() or os.listdir(study.root / "training_data") == []


def test_a_canary_tells_what_it_saw_and_leaves_nothing(study, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (study.root / "training_data").symlink_to(tmp_path / "elsewhere")
    answer = json.loads(study("runners", "check", "local", "--json", code=None).stdout)
    facts = answer["canary"]["facts"]
    assert answer["canary"]["state"] == "done" and facts["host"] == os.uname().nodename
    assert (
        facts["study"] == str(study.root)
        and facts["writable"]
        and facts["study_seen"]
        and facts["data"] is None
    )
    assert facts["imports"]["numpy"]["version"] and facts["cpus"] >= 1
    said = {one["what"] for one in answer["findings"]}
    assert {"there is no data/, as here", "training_data/ can be written"} <= said
    assert nothing_is_left(study)
    assert study("status").stdout == "No experiment has been submitted yet.\n"


def test_a_bad_line_of_setup_is_shown_with_its_output(study):
    profile(study, "backend: local\nsetup: ['echo no such module >&2', 'exit 3']\n")
    answer = study("runners", "check", "mine", code=1)
    assert "✗ a job is done: it is " in answer.stdout and "no such module" in answer.stdout
    assert answer.stderr.endswith("Next: edit runners/mine.yaml\n") and nothing_is_left(study)


def test_a_job_that_does_not_come_to_it_in_time_is_ended(study):
    profile(study, "backend: local\nsetup: ['sleep 60']\n")
    answer = study("runners", "check", "mine", "--wait", "1", code=4)
    assert "✗ a job is done within 1 s: it is queued" in answer.stdout
    assert "neurofit runners check mine --wait 600" in answer.stderr and nothing_is_left(study)


def test_nothing_is_queued_where_the_queue_would_not_take_it(study):
    profile(study, "backend: site.py:Site\naccepts: false\n")
    answer = study("runners", "check", "mine", code=1)
    assert (
        answer.stdout == "✗ it would be accepted: no such queue\n"
        and "No test job was queued" in answer.stderr
    )
    assert study("runners", "check", "mine", "--no-canary", code=1).stderr == "Next: edit runners/mine.yaml\n"


def test_a_refusal_is_a_finding(study):
    profile(study, "backend: site.py:Site\ntakes: false\n")
    answer = study("runners", "check", "mine", code=1)
    assert "✗ the queue takes a job: job rejected: quota" in answer.stdout and nothing_is_left(study)


def test_a_queue_that_cannot_be_asked(study):
    profile(study, "backend: site.py:Site\n")
    answer = study("runners", "check", "mine", "--wait", "0.5", code=5)
    assert "✗ the queue can be asked: " in answer.stdout and "no route to server" in answer.stdout
    (left,) = (study.root / "training_data" / ".check").iterdir()
    assert f"{left} was kept" in answer.stderr
