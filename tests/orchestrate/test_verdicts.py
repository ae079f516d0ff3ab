"""Why a job ended before its worker began: told by what its script left, and never changed by a queue that
forgets.
"""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from fakes import Fakes

from neurofit.store.layout import ExperimentFiles
from neurofit.store.records import QueueLine
from neurofit.store.submissions import note_queue, read_queue

QUICK = """
    def fit(task, *, x=0):
        return {"m": x}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(x=[0, 1, 2, 3]))
"""
NOTHING = json.dumps({"timestamp": 1, "pbs_version": "23.06.06"})
FORGOTTEN = {"stdout": NOTHING, "stderr": "qstat: Unknown Job Id 2[].pbshost\n", "status": 153}


def listed(**jobs: dict) -> str:
    array = {
        "2[].pbshost": {"job_state": "B", "array_indices_submitted": "0-3", "substate": 70, "Exit_status": 1}
    }
    found = {f"2[{index[1:]}].pbshost": {"array_index": int(index[1:]), **job} for index, job in jobs.items()}
    return json.dumps({"timestamp": 1, "pbs_version": "23.06.06", "Jobs": array | found})


@pytest.fixture
def queue(tmp_path, monkeypatch, bench) -> Fakes:
    fakes = Fakes(tmp_path / "fakes", monkeypatch, ["qsub", "qstat", "qdel", "qselect"])
    fakes.say("qsub", "2[].pbshost\n")
    fakes.say("qsub", "pbs_version = 23.06.06\n", call=1)
    fakes.say("qstat", **FORGOTTEN)
    bench.script("quick", QUICK)
    return fakes


@pytest.fixture
def started(bench, queue):
    """Queue the study with a profile, and start one job's script as a node would; gives that job's status."""

    def start(profile: str, *jobs: int) -> None:
        grace = "" if "grace" in profile else "grace_seconds: 0.01\n"
        submitted = bench.submit("quick", bench.runner("queue", f"backend: pbs\n{grace}{profile}"))
        for job in jobs:
            environment = {"PATH": "/usr/bin:/bin", "PBS_ARRAY_INDEX": str(job)}
            subprocess.run(["bash", submitted.files.folder / "job.sh"], env=environment, cwd="/", timeout=60)

    return start


def causes(bench) -> list[str]:
    return sorted({task.cause for task in bench.status("quick").tasks.values() if task.cause})


def test_an_expired_subjob_has_not_failed_because_its_array_has(bench, queue, started):
    started("")
    expired = {"job_state": "X", "substate": 70, "Exit_status": 1}
    queue.say("qstat", listed(i0=expired, i1=expired, i2={"job_state": "R"}, i3={"job_state": "Q"}))
    assert bench.counts("quick")["failed"] == 0 and causes(bench) == []


@pytest.mark.parametrize(
    ("profile", "cause"),
    [
        ("setup: ['exit 3']", "its script exited with status 3 (on "),
        ("setup: ['exit 0']", "its script exited with status 1 (on "),
        ("setup: ['kill -9 $BASHPID']", ""),
        (
            "python: /nowhere/python",
            "a program was not found, perhaps the Python interpreter; see its log (on ",
        ),
        ("setup: ['exit 96']", "its node had fewer free GPUs"),
    ],
)
def test_what_fails_before_a_worker_is_a_failure_where_no_record_is_kept(
    bench, queue, started, profile, cause
):
    started(profile, 1, 2)
    counts = bench.counts("quick")
    counts = bench.counts("quick")  # the grace of those that left nothing is over
    if not cause:
        assert counts == {"new": 4}, "nothing was left, so nothing is known"
        return
    assert counts == {"failed": 2, "new": 2}
    assert len(causes(bench)) == 1 and causes(bench)[0].startswith(cause)


def test_what_a_job_left_is_gone_once_it_is_started_again(bench, queue, started):
    started("setup: ['[ -e again ] || { touch again; exit 4; }', 'kill -9 $BASHPID']", 1)
    assert bench.counts("quick")["failed"] == 1
    queue.say("qstat", listed(i1={"job_state": "R"}))
    assert bench.counts("quick")["queued"] == 1, "the queue runs it once more"
    (submission,) = (bench.root / "training_data" / "quick" / "submissions").iterdir()
    subprocess.run(
        ["bash", submission / "job.sh"], env={"PATH": "/usr/bin:/bin", "PBS_ARRAY_INDEX": "1"}, timeout=60
    )
    queue.say("qstat", **FORGOTTEN)
    bench.counts("quick")
    assert bench.counts("quick") == {"new": 4} and causes(bench) == []


def test_a_verdict_does_not_change_because_the_queue_forgot(bench, queue, started):
    started("")
    limit = {"job_state": "F", "substate": 93, "Exit_status": -29}
    queue.say(
        "qstat",
        listed(i0=limit, i1={"job_state": "F", "substate": 91, "Exit_status": 0}, i2={"job_state": "R"}),
    )
    assert bench.counts("quick")["failed"] == 2
    before = causes(bench)
    asked = len(queue.calls("qstat"))
    queue.say("qstat", **FORGOTTEN)
    bench.counts("quick")
    for _ in range(2):
        assert bench.counts("quick") == {"failed": 2, "new": 2}
    assert causes(bench) == before and len(before) == 2
    assert len(queue.calls("qstat")) - asked <= 8, "what is known is not asked again"


def test_accounting_that_is_late_says_more_exactly_why_than_what_was_left(bench, queue, started):
    started("setup: ['exit 137']\ngrace_seconds: 30\n", 0)
    assert bench.counts("quick")["failed"] == 1 and causes(bench)[0].startswith("it was killed by signal 9")
    queue.say("qstat", listed(i0={"job_state": "F", "substate": 93, "Exit_status": -27}))
    assert bench.counts("quick")["failed"] == 1
    queue.say("qstat", **FORGOTTEN)
    assert causes(bench) == ["memory limit exceeded: raise resources.memory_gb"]


def test_a_job_that_is_back_has_no_verdict(bench, queue, started):
    started("")
    queue.say("qstat", listed(i0={"job_state": "F", "substate": 93, "Exit_status": -29}))
    assert bench.counts("quick")["failed"] == 1
    queue.say("qstat", listed(i0={"job_state": "Q"}))
    assert bench.counts("quick")["queued"] >= 1 and bench.counts("quick")["failed"] == 0
    queue.say("qstat", **FORGOTTEN)
    bench.counts("quick")
    assert bench.counts("quick") == {"new": 4}


def test_what_was_left_counts_where_accounting_cannot_be_asked(bench, queue, started):
    started("setup: ['exit 3']", 0, 1, 2, 3)
    queue.say("qstat", **FORGOTTEN, call=1 + len(queue.calls("qstat")))
    queue.say("qstat", stderr="qstat: cannot connect to server", status=171)
    assert bench.counts("quick") == {"failed": 4}


def test_a_submission_without_room_for_such_files_is_read(bench, queue, started):
    started("setup: ['exit 3']")
    (submission,) = (bench.root / "training_data" / "quick" / "submissions").iterdir()
    (submission / "ended").write_text("")
    environment = {"PATH": "/usr/bin:/bin", "PBS_ARRAY_INDEX": "1"}
    assert subprocess.run(["bash", submission / "job.sh"], env=environment, timeout=60).returncode == 3
    bench.counts("quick")
    assert bench.counts("quick") == {"new": 4}


@pytest.fixture
def as_another(queue, started, monkeypatch):
    """The study as a colleague sees it whom PBS does not show its jobs."""

    def see(profile: str = "", *jobs: int) -> None:
        started(profile, *jobs)
        monkeypatch.setattr(os, "getuid", lambda: 65534)
        server = "    server_host = elsewhere\n    query_other_jobs = False\n"
        queue.say("qstat", f"{server}{NOTHING}")  # what it says of the server, and of jobs

    return see


def test_a_colleagues_waiting_tasks_are_queued_where_the_queue_hides_them(bench, queue, as_another):
    as_another()
    for _ in range(3):
        assert bench.counts("quick") == {"queued": 4}
    assert {task.cause.partition(" (")[0] for task in bench.status("quick").tasks.values()} == {
        "this PBS shows jobs only to the user who queued them"
    }
    assert not bench.status("quick").unanswered
    assert (
        bench.submit("quick", bench.runner("queue", "backend: pbs\n")) is None
        and len(queue.calls("qsub")) == 2
    )


def test_a_hidden_job_is_over_if_its_script_or_a_user_who_sees_it_reported_so(bench, queue, as_another):
    as_another("setup: ['exit 3']", 0)
    (submission,) = ExperimentFiles(bench.study, "quick").submissions()
    line = QueueLine(ended={"its time limit was reached": [(1, 1)]}, absent=[(1, 2)], t=1.0)
    note_queue(submission, line)
    assert bench.counts("quick") == {"failed": 2, "queued": 2}
    assert read_queue(submission).absent.keys() >= {1, 2}, "a hidden job is no job that is back"


def test_a_hidden_job_whose_tasks_are_done_is_not_reported_as_waiting(bench, queue, as_another):
    as_another("", 0)
    assert bench.counts("quick") == {"done": 1, "queued": 3}
    (view,) = bench.status("quick").queues.values()
    assert set(view.live) == {1, 2, 3}


def test_a_colleagues_unconfirmed_submission_is_not_taken_for_nothing(bench, queue, as_another):
    as_another()
    (submission,) = ExperimentFiles(bench.study, "quick").submissions()
    submission.queue.unlink()
    status = bench.status("quick")
    assert bench.counts("quick") == {"queued": 4}
    assert "cannot find out whether the queue has its jobs" in status.unanswered[0]
