"""Why a task stopped before it was done is kept in its outcome and shown by every command."""

from __future__ import annotations

import json
import os
import signal
import time

ENDLESS = """
import time
def fit(task, *, x=1):
    print("begun", flush=True)
    {body}
    time.sleep(60)
    return {{"m": x}}
experiment = nf.Experiment(fit=fit, grid=nf.grid(x=[1, 2]))
"""
SHORT = "backend: local\nworkers: 2\nresources: {walltime_minutes: 0.02}\n"


def reasons(bench, name: str) -> list[dict]:
    return [record["reason"] for record in bench.outcomes(name) if record["state"] == "stopped"]


def test_a_time_limit_without_a_checkpoint_is_reported_by_every_command(bench):
    bench.script("endless", ENDLESS.format(body="pass"))
    bench.submit("endless", bench.runner(text=SHORT))
    assert bench.wait("endless") == {"stopped": 2}
    assert [reason["kind"] for reason in reasons(bench, "endless")] == ["walltime"] * 2
    why = "The job's time limit is near, and no task got further than before"
    status = bench.command("status", "endless", "--wait", "5")
    assert status.returncode == 3 and f"2 tasks stopped: {why}" in status.stderr
    assert why in bench.command("status", "endless:0").stdout
    failures = bench.command("failures", "endless")
    assert failures.returncode == 3 and f"2 tasks stopped: {why}" in failures.stdout
    assert "neurofit submit endless --minutes 1" in failures.stdout and "begun" in failures.stdout
    logs = bench.command("logs", "endless:0")
    assert "begun" in logs.stdout and why in logs.stderr
    record = json.loads(bench.command("status", "--json").stdout)
    assert record["stopped"] == [
        {"experiment": "endless", "tasks": 2, "message": record["stopped"][0]["message"]}
    ]
    assert record["stopped"][0]["message"].startswith(why)


def test_a_pool_that_was_ended_is_reported(bench):
    bench.script("endless", ENDLESS.format(body="pass"))
    queued = bench.submit("endless")
    bench.wait("endless", until=lambda counts: counts["running"] == 2)
    os.kill(int(queued.ids[0]), signal.SIGTERM)
    assert bench.wait("endless") == {"stopped": 2}
    for reason in reasons(bench, "endless"):
        assert reason["kind"] == "signal" and "SIGTERM" in reason["message"]
    assert "SIGTERM" in bench.command("status", "endless:1").stdout
    assert bench.command("status").returncode == 3


def test_a_task_that_is_signalled_before_its_worker_asks_it_stops_for_the_same_reason(bench):
    """As under a queue that signals every process of a job."""
    bench.script(
        "noticed",
        """
        import os, signal
        def fit(task):
            if task.attempt.number == 1:
                os.kill(os.getppid(), signal.SIGUSR2)
                os.kill(os.getpid(), signal.SIGUSR2)
            return {"m": 1}
        experiment = nf.Experiment(fit=fit)
        """,
    )
    queued = bench.submit("noticed")
    assert bench.wait("noticed", seconds=60) == {"done": 1}
    (path,) = bench.study.training_data.glob("noticed/runs/*/*/attempt-01/outcome.json")
    reason = json.loads(path.read_text())["reason"]
    assert reason["kind"] == "signal" and "SIGUSR2" in reason["message"]
    assert '"end":"again"' in queued.files.journal(0, 1).read_text()


def test_a_fit_that_stops_itself_is_reported(bench):
    bench.script("endless", ENDLESS.format(body="task.stop(3)"))
    assert bench.run("endless") == {"stopped": 2}
    assert reasons(bench, "endless")[0] == {"kind": "fit", "message": "The fit stopped itself."}


def test_stopped_tasks_of_the_version_before_have_no_reason_and_are_shown(bench):
    bench.script("endless", ENDLESS.format(body="task.stop(3)"))
    bench.run("endless")
    for path in bench.study.training_data.rglob("outcome.json"):
        record = json.loads(path.read_text())
        del record["reason"]
        path.write_text(json.dumps(record))
    failures = bench.command("failures", "endless")
    assert failures.returncode == 3 and "2 tasks stopped: it was asked to stop" in failures.stdout
    assert failures.stderr.endswith("Next: neurofit submit endless\n")


def test_a_job_that_should_have_been_started_again_and_was_not_is_reported(bench):
    """As on a queue whose nodes may not submit: the worker asked for another start, and none came."""
    bench.script("endless", ENDLESS.format(body="task.stop(3)"))
    queued = bench.submit("endless")
    bench.wait("endless")
    for path in queued.files.journals.iterdir():
        path.write_text(path.read_text().replace('{"end":"done"}', '{"end":"again"}'))
    log = queued.files.logs / "000000.log"
    log.write_text(
        "neurofit: this job could not be queued again from its node (qsub: no); the next submit does.\n"
    )
    cause = bench.command("status", "endless:0").stdout
    assert "its queue did not start it again" in cause and "could not be queued again from its node" in cause


def test_tasks_that_a_person_stopped_are_not_held_against_the_command_that_did(bench):
    bench.script("endless", ENDLESS.format(body="pass"))
    bench.submit("endless")
    deadline = time.monotonic() + 30
    while bench.counts("endless")["running"] < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert bench.command("cancel", "endless").returncode == 0
    assert bench.wait("endless") == {"cancelled": 2}
    assert {record["reason"]["kind"] for record in bench.outcomes("endless")} == {"cancelled"}
    assert bench.command("status").returncode == 0
