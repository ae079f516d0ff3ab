"""Submitting, watching, stopping, cancelling; and what the exit codes say."""

from __future__ import annotations

import json
import signal
import sys
import time

DEAF = """
from dataclasses import dataclass
from neurofit.backends.base import Backend, Queued
from neurofit.errors import QueueError, SubmissionError

@dataclass(frozen=True)
class Deaf(Backend):
    refuses: bool = False

    def preview(self, submission): return f"qsub -t 1-{submission.jobs} job.sh"
    def submit(self, submission):
        if self.refuses:
            raise SubmissionError("`qsub job.sh` failed with status 25:\\njob rejected: quota")
        yield Queued(submission.folder, "17.server", 0, submission.jobs - 1)
    def find(self, submissions): return []
    def poll(self, queued): raise QueueError("`qstat -f` failed with status 1:\\nno route to server")
    def endings(self, queued): return {}
    def cancel(self, queued, jobs): raise QueueError("`qdel 17` failed with status 1:\\nno route to server")
    def limits(self): ...
    def check(self): ...
"""


def counts(study, name: str) -> dict:
    (record,) = json.loads(study("status", name, "--json", code=None).stdout)["experiments"]
    return {key: value for key, value in record.items() if value and key not in ("name", "problems", "total")}


def wait_until_running(study, name: str, number: int = 2) -> None:
    for _ in range(100):
        if (study.root / "training_data" / name / "runs").exists() and counts(study, name).get(
            "running"
        ) == number:
            return
        time.sleep(0.1)
    raise AssertionError(counts(study, name))


def test_failures_are_explained(mixed):
    answer = mixed("submit", "mixed", code=3)
    assert mixed.steady(answer.stdout).splitlines()[3:] == [
        "Queued as SUBMISSION-local.",
        "mixed: 2 done, 2 failed after TIME.",
        "mixed:1/0 failed: ValueError: x=2 is too much (and 1 other task with the same failure)",
        '    jobs/mixed.py, line 8, in fit: raise ValueError(f"x={x} is too much")',
        "    log: training_data/mixed/runs/001-RUN-ID/rep-00/attempt-01/stderr.log",
    ]
    assert answer.stderr == "Next: neurofit failures mixed  ·  neurofit submit mixed --retry\n"
    again = mixed("submit", "mixed", code=3)
    assert "2 failed    not queued (add --retry)" in again.stdout and "Add --retry to queue" in again.stdout
    retried = mixed("submit", "mixed", "--retry", "--json", code=3)
    record = json.loads(retried.stdout)
    assert (record["to_queue"], record["after"]["failed"]) == (2, 2)
    assert mixed("status", "mixed:1/0", code=3).stdout.split()[-6] == "2"  # the attempt


def test_wait_gives_up_and_the_pool_goes_on(slow):
    answer = slow("submit", "slow", "--wait", "0.5", code=4)
    assert answer.stderr.endswith("Next: neurofit status slow --watch\n")
    slow("status", "slow", "--wait", "0.2", code=4)
    assert slow("status", "slow", "--wait", "60").stdout.splitlines()[1].split() == ["slow", "2", "2"]


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(slow):
    process = slow.start("submit", "slow")
    wait_until_running(slow, "slow")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "slow: 2 stopped after" in out
    assert err.splitlines() == [
        "Stopping: running tasks save a checkpoint. Press Ctrl-C again to end them at once.",
        "Next: neurofit submit slow",
    ]
    assert counts(slow, "slow") == {"stopped": 2}
    plan = slow("submit", "slow", "--wait", "60")
    assert "2 stopped   will be queued, from their checkpoints" in plan.stdout
    rows = json.loads(slow("results", "slow", "--json").stdout)
    assert all(row["m"] > 0 and row["attempt"] == 2 for row in rows)


def test_ctrl_c_twice_ends_at_once(study):
    study.script(
        "stubborn",
        "import time, signal\nimport neurofit as nf\ndef fit(task):\n"
        "    task.should_stop()\n    time.sleep(20)\n    return {'m': 1}\nexperiment = nf.Experiment(fit)\n",
    )
    process = study.start("submit", "stubborn")
    for _ in range(100):
        if list(study.root.glob("training_data/stubborn/runs/*/rep-00/attempt-01/stdout.log")):
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Ending the running tasks at once." in err
    assert not {"running", "done"} & counts(study, "stubborn").keys()  # waited for, it would be done


def test_what_a_pool_has_not_begun_is_cancelled_at_once(slow):
    (slow.root / "hold").touch()
    slow("submit", "slow", "--workers", "1", "--detach")
    wait_until_running(slow, "slow", 1)
    assert "Cancelled 1 task" in slow("cancel", "slow:1").stdout
    for _ in range(50):
        if (now := counts(slow, "slow")) != {"running": 1, "queued": 1}:
            break
        time.sleep(0.1)
    assert now.get("cancelled") == 1 and "queued" not in now
    (slow.root / "hold").unlink()
    assert slow("status", "slow", "--wait", "60").returncode == 0
    assert counts(slow, "slow") == {"done": 1, "cancelled": 1}


def test_detached_watched_cancelled(slow):
    (slow.root / "hold").touch()
    answer = slow("submit", "slow", "--detach")
    assert answer.stderr == "Next: neurofit status slow --watch  ·  neurofit cancel slow\n"
    wait_until_running(slow, "slow")
    assert slow("submit", "slow").stdout.endswith(
        "Nothing to queue: the remaining tasks are queued or running.\n"
    )
    listed = slow("cancel", "slow", "--dry-run")
    assert listed.stdout == "slow: 2 running tasks would be cancelled.\n"
    assert counts(slow, "slow") == {"running": 2}
    assert "Cancelled 1 task" in slow("cancel", "slow:1").stdout
    assert "was skipped: it has 0 queued" in slow("clean").stderr
    (slow.root / "hold").unlink()
    assert slow("status", "slow", "--wait", "60").returncode == 0
    assert counts(slow, "slow") == {"done": 1, "cancelled": 1}
    assert slow("cancel", "slow").stdout == "slow: no selected task is queued or running.\n"


def test_logs_are_followed_to_the_end(slow):
    slow("submit", "slow:0", "--detach")
    out = slow("logs", "slow:0", "-f").stdout
    assert out.splitlines()[-1] == "step 40" and out.count("step 7\n") == 1


def test_what_is_done_is_rerun_only_if_meant(quick):
    quick("submit", "quick")
    answer = quick("submit", "quick", "--rerun", code=2)
    assert answer.stderr == "Error: --rerun runs 8 task(s) again that are done. Add --yes to confirm.\n"
    assert "8 done after" in quick("submit", "quick", "--rerun", "--yes").stdout
    assert quick("status", "quick:0/0").stdout.splitlines()[1].split() == ["quick:0/0", "done", "2"]


def test_repetitions_and_conditions(quick):
    quick("submit", "quick", "--repetitions", "3", "--where", "x == 2 and kind == 'b'")
    assert quick("status", "quick").stdout.splitlines()[1].split() == ["quick", "9", "3", "12"]


def test_a_queue_that_cannot_be_asked(quick):
    (quick.root / "runners" / "site.py").write_text(DEAF)
    (quick.root / "runners" / "far.yaml").write_text("backend: site.py:Deaf\n")
    assert "qsub -t 1-4 job.sh" in quick("submit", "quick", "--backend", "far", "--dry-run").stdout
    answer = quick("submit", "quick", "--backend", "far")
    assert "Next: neurofit status quick --watch" in answer.stderr
    status = quick("status", "quick", code=5)
    assert "no route to server" in status.stderr
    assert status.stdout.splitlines()[1].split() == ["quick", "8", "8"]  # as they were: queued
    (queue,) = json.loads(quick("status", "--json", code=5).stdout)["queues"]
    assert (
        queue["answered"] is False and queue["runner"] == "far" and "no route to server" in queue["problem"]
    )
    assert "no route to server" in quick("cancel", "quick", code=5).stderr


def test_a_queue_that_refuses(quick):
    (quick.root / "runners" / "site.py").write_text(DEAF)
    (quick.root / "runners" / "full.yaml").write_text("backend: site.py:Deaf\nrefuses: true\n")
    answer = quick("submit", "quick", "--backend", "full", code=1)
    assert answer.stderr == "Error: `qsub job.sh` failed with status 25:\njob rejected: quota\n"
    assert counts(quick, "quick") == {}
    assert "8 new" in quick("submit", "quick", "--dry-run").stdout


def test_workers_are_for_pools(quick):
    (quick.root / "runners" / "site.py").write_text(DEAF)
    (quick.root / "runners" / "far.yaml").write_text("backend: site.py:Deaf\n")
    answer = quick("submit", "quick", "--backend", "far", "--workers", "3", code=2)
    assert "--workers is for pools of this machine" in answer.stderr


def test_a_sites_backend_may_have_a_setting_called_workers(quick):
    site = DEAF.replace("    refuses: bool = False\n", "    refuses: bool = False\n    workers: int = 1\n")
    (quick.root / "runners" / "site.py").write_text(site)
    (quick.root / "runners" / "far.yaml").write_text("backend: site.py:Deaf\nworkers: 3\n")
    assert quick("submit", "quick", "--backend", "far").stdout.splitlines()[-1].startswith("Queued as ")
    answer = quick("submit", "quick", "--backend", "far", "--workers", "2", "--rerun", code=2)
    assert "--workers is for pools of this machine" in answer.stderr


def test_two_submits_at_once_queue_nothing_twice(quick):
    both = [quick.start("submit", "quick") for _ in range(2)]
    said = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    outcomes = list(quick.root.glob("training_data/quick/runs/*/rep-*/attempt-*/outcome.json"))
    assert len(outcomes) == 8


def test_a_reader_that_has_seen_enough_is_not_an_error(quick):
    command = f"{sys.executable} -m neurofit show quick --json | head -1; echo ${{PIPESTATUS[0]}}"
    answer = quick.run(["bash", "-c", command])
    assert answer.stdout.splitlines()[0] == "{" and answer.stderr == ""
