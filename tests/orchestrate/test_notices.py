"""The notify command of a submission is run once, by whoever sees it end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from msgspec.structs import replace

from neurofit import recording
from neurofit.files import read_json, to_json
from neurofit.orchestrate import notices
from neurofit.orchestrate.plan import SubmitOptions, load, make, registered
from neurofit.orchestrate.submit import submission_record
from neurofit.status.experiment_status import read_status
from neurofit.store.journal import Journal
from neurofit.store.layout import ExperimentFiles
from neurofit.store.notices import claim, may_have_ended
from neurofit.store.records import JournalLine
from neurofit.store.registry import register
from neurofit.store.submissions import read_submission, write_stop, write_submission
from neurofit.study import Study

TASKS = """
    import time
    def fit(task, *, x=1):
        while (task.study / "hold").exists():
            time.sleep(0.02)
        if x < 0:
            raise ValueError(f"x is {x}")
        return {"validation/correlation": x / 10}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(x=%s))
"""
TELL = "#!/bin/sh\ncat >> got.jsonl\n"
pytestmark = pytest.mark.usefixtures("processes")


@pytest.fixture
def telling(bench):
    """A study that appends each digest to `got.jsonl`."""
    bench.script("tasks", TASKS % [1, 2, 3, 4])
    bench.study.settings.write_text("notify: ./tell.sh\n")
    command(bench, TELL)
    return bench


def command(bench, text: str) -> None:
    (bench.root / "tell.sh").write_text(text)
    (bench.root / "tell.sh").chmod(0o755)


def got(bench) -> list[dict]:
    path = bench.root / "got.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_for(bench, number: int = 1) -> list[dict]:
    deadline = time.monotonic() + 60
    while len(got(bench)) < number and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(got(bench)) == number
    return got(bench)


def queued(bench, name: str = "tasks", tasks_per_job: int | None = None):
    """A submission as a queue has it, but that no queue has."""
    plan = make(bench.study, load(bench.study, name), SubmitOptions())
    files = ExperimentFiles(bench.study, name)
    files.folder.mkdir(parents=True, exist_ok=True)
    register(files.registry, plan.status.registry, registered(plan.runs, plan.status.registry))
    record = replace(submission_record(plan, bench.runner(), []), runner="queue", backend="slurm")
    return write_submission(files, "20260101-000000-queue-abcd", record, plan.jobs(tasks_per_job))


def job(submission, *numbers: int) -> subprocess.Popen:
    words = [sys.executable, "-m", "neurofit.worker", str(submission.folder), *map(str, numbers)]
    return subprocess.Popen(words, stdin=subprocess.DEVNULL)


def test_the_pool_tells_what_it_did_if_nobody_watches(telling):
    telling.submit("tasks")
    (digest,) = wait_for(telling)
    assert digest["reason"] == "ended" and digest["counts"] == {"done": 4} and digest["tasks"] == 4
    assert digest["best"]["run"] == "tasks:3" and digest["best"]["metric"] == "validation/correlation"
    assert digest["look"] == ["neurofit status tasks", "neurofit results tasks"]
    assert digest["subject"] == "tasks has ended: 4 done" and digest["study"] == str(telling.root)
    (notice,) = json.loads(telling.command("status", "--json").stdout)["notices"]
    assert notice["state"] in ("running", "sent") and notice["reason"] == "ended" and len(got(telling)) == 1


def test_a_submit_that_watches_tells_it_and_each_submission_is_told(telling):
    telling.script("tasks", TASKS % [1, -2])
    assert telling.command("submit", "tasks").returncode == 3
    (digest,) = wait_for(telling)
    assert digest["counts"] == {"done": 1, "failed": 1}
    assert digest["failures"] == [{"cause": "ValueError: x is -2", "tasks": 1, "example": "tasks:1/0"}]
    assert "1 task (as tasks:1/0): ValueError: x is -2" in digest["text"]
    assert "neurofit failures tasks" in digest["look"]
    telling.script("tasks", TASKS % [1, -2, 3])
    telling.submit("tasks", retry=True)
    assert wait_for(telling, 2)[1]["counts"] == {"done": 1, "failed": 1}
    telling.wait("tasks")
    assert notices.tell(telling.status("tasks")) == [] and len(got(telling)) == 2


def test_of_jobs_that_end_at_the_same_moment_one_tells(telling):
    submission = queued(telling)
    (telling.root / "hold").touch()
    jobs = [job(submission, number) for number in range(4)]
    while len(list(submission.journals.iterdir())) < 4:
        time.sleep(0.02)
    (telling.root / "hold").unlink()
    assert [one.wait(60) for one in jobs] == [0] * 4
    (digest,) = got(telling)
    assert digest["counts"] == {"done": 4} and digest["runner"] == "queue"
    assert read_json(submission.notice_result)["exit_code"] == 0


def test_of_many_that_ask_at_once_one_sends(telling):
    submission = queued(telling, tasks_per_job=4)
    command(telling, "#!/bin/sh\nsleep 0.3\ncat >> got.jsonl\n")
    journal = Journal(submission, 0)
    journal.write(JournalLine(end="done"))
    journal.close()
    words = [sys.executable, "-m", "neurofit.orchestrate.notices", str(submission.folder)]
    asked = [subprocess.Popen(words, stdin=subprocess.DEVNULL) for _ in range(4)]
    assert [one.wait(60) for one in asked] == [0] * 4
    assert len(got(telling)) == 1 and got(telling)[0]["counts"] == {"new": 4}


def test_a_job_that_is_not_the_last_tells_nothing(telling):
    submission = queued(telling)
    assert job(submission, 0, 1, 2).wait(60) == 0
    assert not submission.notice.exists()
    write_stop(submission, [(3, 0)], "me")  # the last one is cancelled, and never starts
    assert job(submission, 2).wait(60) == 0
    (digest,) = got(telling)
    assert digest["counts"] == {"done": 3, "cancelled": 1} and digest["reason"] == "cancelled"


def test_identical_failures_are_told_at_once_and_the_end_no_more(telling):
    telling.script("tasks", TASKS % list(range(-12, 0)))
    telling.submit("tasks", telling.runner(text="backend: local\nworkers: 1\n"))
    counts = telling.wait("tasks")
    (digest,) = wait_for(telling)
    assert digest["reason"] == "identical_failures" and digest["counts"]["failed"] >= 5
    assert digest["detail"].startswith("5 identical failures, no further task starts: ValueError: x is")
    assert counts == {"failed": 5, "new": 7}
    assert notices.tell(telling.status("tasks")) == [] and len(got(telling)) == 1


def test_a_pool_that_is_killed_is_told_by_the_next_command_once(telling):
    (telling.root / "hold").touch()
    submitted = telling.submit("tasks")
    telling.wait("tasks", until=lambda counts: counts["running"] == 2)
    os.killpg(int(submitted.ids[0]), signal.SIGKILL)
    telling.wait("tasks")
    assert not got(telling)
    assert telling.command("status").returncode == 3
    (digest,) = got(telling)
    assert digest["reason"] == "ended" and sum(digest["counts"].values()) == 4 and digest["counts"]["lost"]
    assert notices.tell(telling.status("tasks")) == [] and len(got(telling)) == 1


def test_what_is_cancelled_is_told(telling):
    (telling.root / "hold").touch()
    telling.submit("tasks")
    telling.wait("tasks", until=lambda counts: counts["running"] == 2)
    assert telling.command("cancel", "tasks").returncode == 0
    (digest,) = wait_for(telling)
    assert digest["reason"] == "cancelled" and digest["counts"] == {"cancelled": 4}
    telling.wait("tasks")
    assert notices.tell(telling.status("tasks")) == [] and len(got(telling)) == 1


def test_a_sender_that_is_killed_leaves_it_unknown_and_nobody_sends_again(telling):
    submission = queued(telling)
    command(telling, "#!/bin/sh\nkill -9 $PPID\n")
    assert job(submission, 0, 1, 2, 3).wait(60) == 0, "the job's own end is not touched"
    command(telling, TELL)
    said = telling.command("status")
    assert "it is not known whether its notify command was run" in said.stderr and said.returncode == 0
    (notice,) = notices.of_notices(telling.status("tasks"))
    assert notice["state"] == "unknown" and not got(telling)


def test_a_command_that_fails_changes_no_exit_code_and_is_shown(telling):
    command(telling, "#!/bin/sh\necho no route to host\nexit 7\n")
    telling.submit("tasks")
    deadline = time.monotonic() + 60
    (submission,) = telling.status("tasks").submissions
    while not submission.files.notice_result.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    said = telling.command("status")
    assert said.returncode == 0 and "It failed with exit code 7. It printed: no route to host" in said.stderr
    assert "`neurofit runners check local --no-canary --notify` tries the command" in said.stderr


def ended(bench):
    """A submission that has ended, and whose notify command nobody has run."""
    submission = queued(bench, tasks_per_job=4)
    bench.study.settings.unlink()
    record = submission.record.read_text()
    submission.record.write_text(record.replace('"notify":["./tell.sh"]', '"notify":[]'))
    assert job(submission, 0).wait(60) == 0
    submission.record.write_text(record)
    return submission


def test_the_submission_of_another_user_and_a_copy_are_left_alone(telling, tmp_path):
    submission = ended(telling)
    record = read_submission(submission)

    def due(study=telling.study) -> list[str]:
        return [reason for _, reason in notices.due(read_status(study, "tasks", asking=False))]

    assert due() == ["ended"]
    submission.record.write_text(to_json(replace(record, user="somebody").as_object()))
    assert due() == []
    elsewhere = replace(record, host="other", machine="1234", study="/elsewhere")
    submission.record.write_text(to_json(elsewhere.as_object()))
    assert due() == []
    submission.record.write_text(to_json(record.as_object()))
    if os.getuid() == 0:  # a record that somebody else wrote in this user's name
        os.chown(submission.record, 12345, 12345)
        assert due() == []
        os.chown(submission.record, 0, 0)
    copied = Study(tmp_path / "copy")
    shutil.copytree(telling.root, copied.root)
    assert due(copied) == [] and due() == ["ended"]
    assert due(Study(telling.root, copy_of="host:study")) == []
    with recording.off():
        assert due() == []
    assert claim(submission, "ended") and not claim(submission, "ended") and due() == []


def test_a_submit_that_queues_nothing_tells_what_had_ended(telling):
    ended(telling)
    assert telling.command("submit", "tasks").stdout.endswith("Nothing to queue.\n")
    assert got(telling)[0]["counts"] == {"done": 4}


def test_a_claim_that_cannot_be_written_is_reported_and_nothing_is_sent(telling):
    submission = ended(telling)
    submission.notice.write_text("")  # not a folder
    (said,) = notices.tell(telling.status("tasks"))
    assert "the notify command was not run" in said and "notice" in said and not got(telling)


@pytest.mark.parametrize(
    ("ends", "over"),
    [
        ([{"end": "done"}, {"end": "unmet"}], True),
        ([{"end": "done"}, {"end": "damaged", "why": "x"}], True),
        ([{"end": "stopped", "why": "no progress"}, {"end": "done"}], True),
        ([{"end": "stopped"}, {"end": "done"}], False),  # its queue may start it again
        ([{"end": "again"}, {"end": "done"}], False),
        ([{"end": "waited"}, {"end": "done"}], False),
        ([{}, {"end": "done"}], False),
        ([{"end": "done"}, {}], False),
        ([{"end": "done"}, None], False),
    ],
)
def test_journals_say_whether_all_jobs_have_ended(telling, ends, over):
    telling.script("tasks", TASKS % [1, 2])
    submission = queued(telling)
    for number, line in enumerate(ends):
        if line is not None:
            journal = Journal(submission, number)
            if line:
                journal.write(JournalLine(**line))
            journal.close()
    assert may_have_ended(submission) is over
    write_stop(submission, None, "me")
    running = any(line == {} for line in ends)
    assert may_have_ended(submission) is not running, "cancelled tasks that no job is running are over"


def test_a_study_of_an_earlier_version_tells_nothing(study_0_1_0):
    (study_0_1_0.root / "tell.sh").write_text(TELL)
    (study_0_1_0.root / "tell.sh").chmod(0o755)
    study_0_1_0.settings.write_text("notify: ./tell.sh\n")
    words = [sys.executable, "-m", "neurofit", "status"]
    subprocess.run(words, cwd=study_0_1_0.root, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    assert not (study_0_1_0.root / "got.jsonl").exists()
    assert not list(study_0_1_0.training_data.rglob("notice"))


def test_a_check_of_a_runner_finds_the_command_and_runs_it_only_if_asked(telling):
    telling.runner(text="backend: local\nresources: {memory_gb: 1}\n")  # too little to try TensorFlow
    words = ["runners", "check", "local"]
    said = telling.command(*words, "--json")
    facts = json.loads(said.stdout)["canary"]["facts"]
    assert facts["notify"] == str(telling.root / "tell.sh") and not got(telling), "not for the canary"
    said = telling.command(*words, "--no-canary")
    assert "✓ the notify command is" in said.stdout and not got(telling)
    said = telling.command(*words, "--no-canary", "--notify")
    assert "the notify command was run with a test message" in said.stdout
    assert got(telling)[0]["reason"] == "test" and got(telling)[0]["text"]
    command(telling, "#!/bin/sh\necho broken; exit 2\n")
    said = telling.command(*words, "--no-canary", "--notify")
    assert said.returncode == 1 and "It failed with exit code 2.\n    broken" in said.stdout
    telling.study.settings.write_text("notify: no-such-program\n")
    said = telling.command(*words, "--no-canary", "--notify")
    assert said.returncode == 1 and "is not on PATH on" in said.stdout


def test_a_submit_says_what_is_wrong_with_the_command_before_it_queues(telling):
    telling.study.settings.write_text("notify: no-such-program\n")
    said = telling.command("submit", "tasks", "--dry-run")
    assert said.returncode == 0 and "The notify command of runner local cannot be run here" in said.stderr
    telling.study.settings.write_text("notify: 3\n")
    said = telling.command("submit", "tasks", "--dry-run")
    assert said.returncode == 1 and "neurofit.yaml: 'notify' is 3" in said.stderr
