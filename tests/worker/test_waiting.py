"""A job of a queue looks at what its submission needs before it claims a task, and waits within bounds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from neurofit.exit_codes import START_AGAIN, UNMET
from neurofit.files import append_lines, read_json
from neurofit.orchestrate.plan import SubmitOptions, load, make, registered
from neurofit.orchestrate.stages import needs_of
from neurofit.orchestrate.submit import submission_record
from neurofit.status.needs import need_stops
from neurofit.store.layout import ExperimentFiles
from neurofit.store.records import ResourcesRecord
from neurofit.store.registry import register
from neurofit.store.submissions import write_submission
from neurofit.worker.waiting import MOST_WAITS

FIRST = """
    import time
    def fit(task, *, a=1):
        while not (task.study / "go").exists():
            time.sleep(0.02)
        if (task.study / "broken").exists():
            raise ValueError("no such layer")
        return {"x": a}
    experiment = nf.Experiment(fit=fit)
"""
SECOND = """
    def fit(task, *, b=1):
        return {"x": b}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(b=[1, 2]), needs="first")
"""


@pytest.fixture
def staged(bench):
    bench.script("first", FIRST)
    bench.script("second", SECOND)
    return bench


def queued(bench, minutes: float | None = None):
    """A submission of the second experiment as a queue has it, but that no queue has."""
    plan = make(bench.study, load(bench.study, "second"), SubmitOptions())
    files = ExperimentFiles(bench.study, "second")
    files.folder.mkdir(parents=True, exist_ok=True)
    register(files.registry, plan.status.registry, registered(plan.runs, plan.status.registry))
    record = submission_record(plan, bench.runner(), needs_of(bench.study, [load(bench.study, "first")]))
    record = replace(record, resources=ResourcesRecord(walltime_minutes=minutes))
    return write_submission(files, "20260101-000000-queue-abcd", record, plan.jobs(None))


def worker(submission, job: int) -> subprocess.Popen:
    words = [sys.executable, "-m", "neurofit.worker", str(submission.folder), str(job)]
    return subprocess.Popen(words, stderr=subprocess.PIPE, text=True, cwd=submission.folder)


def status_of(submission, job: int) -> int:
    process = worker(submission, job)
    process.communicate(timeout=120)
    return process.returncode


def ends(submission, job: int) -> list[str]:
    found = sorted(submission.journals.glob(f"{job:06d}.*.jsonl"), key=lambda path: int(path.suffixes[0][1:]))
    return [path.read_text().splitlines()[-1] for path in found]


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_job_goes_on_at_once_if_what_it_needs_is_done(staged):
    (staged.root / "go").touch()
    staged.run("first")
    submission = queued(staged)
    assert [status_of(submission, job) for job in (0, 1)] == [0, 0]
    assert staged.counts("second") == {"done": 2}
    assert [len(ends(submission, job)) for job in (0, 1)] == [1, 1]  # the look is no start of its own


def test_a_need_that_failed_ends_every_job_of_the_array_and_claims_nothing(staged):
    (staged.root / "go").touch()
    (staged.root / "broken").touch()
    staged.run("first")
    submission = queued(staged)
    assert status_of(submission, 0) == UNMET
    (staged.root / "broken").unlink()
    assert staged.run("first", retry=True) == {"done": 1}
    assert (
        status_of(submission, 1) == UNMET
    )  # as the first job of its array, although the need is done by now
    assert "first (0 of 1 done) ended with 1 failed" in read_json(submission.need_stop)["message"]
    assert staged.counts("second") == {"new": 2}
    assert not list((staged.study.training_data / "second").glob("runs/**/claim.json"))
    assert "2 task(s) of" in need_stops(staged.status("second"))[0]


def test_a_log_on_a_full_disk_does_not_change_the_exit_status(staged):
    (staged.root / "go").touch()
    (staged.root / "broken").touch()
    staged.run("first")
    words = [sys.executable, "-m", "neurofit.worker", str(queued(staged).folder), "0"]
    with open("/dev/full", "wb") as log:
        assert subprocess.run(words, stdout=log, stderr=log, timeout=60).returncode == UNMET


def test_a_job_waits_for_half_its_time_limit_and_then_asks_to_be_started_again(staged):
    staged.submit("first")
    submission = queued(staged, minutes=0.05)
    process = worker(submission, 0)
    _, said = process.communicate(timeout=120)
    assert process.returncode == START_AGAIN, said
    assert '"end":"waited"' in ends(submission, 0)[0]
    (staged.root / "go").touch()
    staged.wait("first")
    assert status_of(submission, 0) == 0
    assert staged.counts("second") == {"done": 1, "new": 1}


def test_nothing_waits_for_ever(staged):
    staged.submit("first")
    submission = queued(staged, minutes=0.02)
    for start in range(1, MOST_WAITS):
        append_lines(submission.journal(0, start), [{"end": "waited"}])
    assert status_of(submission, 0) == UNMET
    [note] = need_stops(staged.status("second"))
    assert "first (0 of 1 done) was still queued or running, and its jobs have waited long enough" in note
    assert staged.counts("second") == {"new": 2}
    (staged.root / "go").touch()
    staged.wait("first")


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 0), (signal.SIGUSR2, START_AGAIN)], ids=["told", "noticed"]
)
def test_a_job_that_waits_can_be_ended(staged, number, status):
    staged.submit("first")
    process = worker(queued(staged), 0)
    until(lambda: gate_of(process.pid))
    gate = gate_of(process.pid)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == status
    assert not os.path.exists(f"/proc/{gate}")
    (staged.root / "go").touch()
    staged.wait("first")


def test_a_job_that_is_killed_while_it_waits_leaves_no_process(staged):
    staged.submit("first")
    process = worker(queued(staged), 0)
    until(lambda: gate_of(process.pid))
    gate = gate_of(process.pid)
    process.kill()
    process.communicate(timeout=60)
    until(lambda: not is_gate(gate))
    assert staged.counts("second") == {"new": 2}
    (staged.root / "go").touch()
    staged.wait("first")


def gate_of(pid: int) -> int | None:
    """The process that looks at the files for a worker."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return None
    return next((int(child) for child in children if is_gate(int(child))), None)


def is_gate(pid: int) -> bool:
    try:
        return b"neurofit.orchestrate.gate" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
