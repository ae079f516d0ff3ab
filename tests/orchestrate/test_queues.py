"""What a queue's answers, late, torn or missing, make of tasks: a Grid Engine of fake programs."""

from __future__ import annotations

import datetime
import json
import re
import time

import pytest
from fakes import Fakes

from neurofit.errors import QueueError, SubmissionError
from neurofit.experiments.selector import parse

EMPTY = "<?xml version='1.0'?><job_info><queue_info/><job_info/></job_info>"
UNKNOWN = "<?xml version='1.0'?><unknown_jobs/>"
DOWN = {"stderr": "error: unable to contact qmaster", "status": 1}
QUICK = """
    def fit(task, *, x=0):
        return {"m": x}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(x=[0, 1, 2, 3]))
"""


def listed(tasks: str, state: str = "hqw", job: int = 12) -> str:
    entry = f"<job_list><JB_job_number>{job}</JB_job_number><state>{state}</state><tasks>{tasks}</tasks></job_list>"
    return f"<?xml version='1.0'?><job_info><queue_info>{entry}</queue_info></job_info>"


def named(name: str, *ranges: tuple[int, int, int]) -> str:
    jobs = "".join(
        f"<element><JB_job_number>{job}</JB_job_number><JB_job_name>{name}</JB_job_name><JB_ja_structure><task_id_range><RN_min>{low}</RN_min><RN_max>{high}</RN_max></task_id_range></JB_ja_structure></element>"
        for job, low, high in ranges
    )
    return f"<?xml version='1.0'?><detailed_job_info><djob_info>{jobs}</djob_info></detailed_job_info>"


@pytest.fixture
def queue(tmp_path, monkeypatch, bench) -> Fakes:
    fakes = Fakes(tmp_path / "fakes", monkeypatch, ["qsub", "qstat", "qacct", "qdel", "qconf"])
    fakes.say("qsub", "12.1-4:1\n")
    fakes.say("qsub", stderr='qsub: invalid option argument "--version"', status=2, call=1)
    fakes.say("qacct", stderr="error: job id 12 not found", status=1)
    bench.script("quick", QUICK)
    return fakes


def profile(bench, grace_seconds: float = 300.0):
    return bench.runner("queue", f"backend: sge\ngrace_seconds: {grace_seconds}\n")


@pytest.mark.parametrize(
    "answer", [DOWN, {"stdout": ""}, {"stdout": EMPTY[:40]}, {"stdout": "Socket timed out"}]
)
def test_a_question_without_an_answer_changes_nothing_and_is_reported(bench, queue, answer):
    bench.submit("quick", profile(bench, 0.01))
    queue.say("qstat", **answer)
    for _ in range(3):
        status = bench.status("quick")
        assert bench.counts("quick") == {"queued": 4} and "could not be asked" in status.unanswered[0]
        time.sleep(0.02)


def test_each_job_has_a_grace_of_its_own(bench, queue):
    bench.submit("quick", profile(bench, 0.3))
    queue.say("qstat", listed("1-3:1"))
    assert bench.counts("quick") == {"queued": 4}, "the fourth is only just missing"
    time.sleep(0.4)
    assert bench.counts("quick") == {"queued": 3, "new": 1}
    queue.say("qstat", listed("4"))
    assert bench.counts("quick") == {"queued": 4}, "it is back, and the others are only just missing"
    time.sleep(0.4)
    assert bench.counts("quick") == {"queued": 1, "new": 3}


def test_a_cause_from_accounting_needs_no_grace(bench, queue):
    bench.submit("quick", profile(bench))
    queue.say("qstat", EMPTY)
    queue.say("qacct", "====\njobnumber 12\ntaskid 2\nfailed 37 : qmaster enforced h_rt\nexit_status 137\n")
    assert bench.counts("quick") == {"failed": 1, "queued": 3}
    assert any("time limit exceeded" in (task.cause or "") for task in bench.status("quick").tasks.values())


def test_accounting_is_asked_only_about_jobs_that_nothing_explains(bench, queue):
    bench.submit("quick", profile(bench))
    queue.say("qstat", listed("1-4:1"))
    assert bench.counts("quick") == {"queued": 4}
    assert queue.calls("qacct") == [] and len(queue.calls("qstat")) == 1


def test_calls_that_were_never_noted_are_found_by_name_and_noted(bench, queue):
    queue.say("qconf", "max_aj_tasks 2\n")
    queue.say("qsub", "12.1-2:1\n", call=3)
    queue.say("qsub", "13.3-4:1\n", call=4)
    submitted = bench.submit("quick", profile(bench))
    path = submitted.files.queue
    path.write_text(
        path.read_text().splitlines(keepends=True)[0]
    )  # killed before the second answer was noted
    name = (submitted.files.folder / "job.sh").read_text().split("-N ")[1].split()[0]
    queue.say("qstat", named(name, (12, 1, 2), (13, 3, 4)), call=1)
    both = [listed("1-2:1"), listed("3-4:1", job=13)]
    queue.say("qstat", both[0].replace("</queue_info></job_info>", both[1].split("<queue_info>")[1]))
    assert bench.counts("quick") == {"queued": 4}
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["12", "13"]
    assert bench.submit("quick", profile(bench)) is None, "nothing is queued twice"


def test_a_refusal_takes_the_submission_back_and_a_half_one_leaves_exactly_the_rest(bench, queue):
    queue.say("qconf", "max_aj_tasks 3\n")
    queue.say("qsub", "12.1-3:1\n", call=2)
    queue.say("qsub", stderr="job rejected: quota", status=25)
    queue.say("qstat", UNKNOWN)
    with pytest.raises(SubmissionError, match="quota"):
        bench.submit("quick", profile(bench, 0.01))
    queue.say("qstat", listed("1-3:1"))
    bench.counts("quick")
    time.sleep(0.05)
    assert bench.counts("quick") == {"queued": 3, "new": 1}
    with pytest.raises(SubmissionError):
        bench.submit("quick", profile(bench, 0.01))
    assert len(list((bench.study.training_data / "quick" / "submissions").iterdir())) == 1


def test_after_a_half_refusal_the_rest_is_new_at_once_and_the_error_says_how_many_were_taken(bench, queue):
    queue.say("qconf", "max_aj_tasks 3\n")
    queue.say("qsub", "12.1-3:1\n", call=2)
    queue.say("qsub", stderr="job rejected: quota", status=25)
    queue.say("qstat", UNKNOWN)
    with pytest.raises(
        SubmissionError, match=r"quota\n3 of 4 jobs were queued as \S+ \(12\); the other is not queued"
    ):
        bench.submit("quick", profile(bench))
    queue.say("qstat", listed("1-3:1"))
    assert bench.counts("quick") == {"queued": 3, "new": 1}, "no grace: it is known"
    queue.say("qstat", listed("1-2:1"))
    assert bench.counts("quick") == {"queued": 3, "new": 1}, "the third may only be missing just now"


def test_a_connection_that_is_refused_is_a_refusal(bench, queue):
    stderr = "error: commlib error: got select error (Connection refused)\n"
    queue.say(
        "qsub",
        stderr=f"{stderr}Unable to run job: unable to send message to qmaster: got send error",
        status=1,
    )
    queue.say("qstat", stderr=stderr, status=1)
    with pytest.raises(SubmissionError, match="Connection refused"):
        bench.submit("quick", profile(bench))
    assert not list((bench.study.training_data / "quick" / "submissions").iterdir()), "nothing is queued"


def test_if_it_is_unknown_whether_it_was_queued_the_submission_stays(bench, queue):
    queue.say("qsub", stderr="error: commlib error", status=1)
    queue.say("qstat", **DOWN)
    with pytest.raises(QueueError, match="is not known"):
        bench.submit("quick", profile(bench))
    (submission,) = (bench.study.training_data / "quick" / "submissions").iterdir()
    assert bench.counts("quick") == {"queued": 4}
    name = (submission / "job.sh").read_text().split("-N ")[1].split()[0]
    queue.say("qstat", named(name, (12, 1, 4)), call=len(queue.calls("qstat")) + 1)
    queue.say("qstat", listed("1-4:1"))
    assert bench.counts("quick") == {"queued": 4} and not bench.status("quick").unanswered


def test_status_says_until_when_a_grace_runs(bench, queue):
    bench.submit("quick", profile(bench, 300))
    queue.say("qstat", EMPTY)
    record = json.loads(bench.command("status", "--json").stdout)["queues"][0]
    until = datetime.datetime.fromisoformat(record["grace_until"])
    seconds = (until - datetime.datetime.now(datetime.timezone.utc)).total_seconds()
    assert record["in_grace"] == 4 and 0 < seconds <= 301
    warned = bench.command("status").stderr
    assert "the queue does not list 4 jobs of " in warned
    # With the date when the grace runs past midnight.
    assert re.search(
        rf"They count as queued until ({until.astimezone():%Y-%m-%d} )?{until.astimezone():%H:%M:%S}", warned
    )
    queue.say("qstat", listed("1-4:1"))
    assert json.loads(bench.command("status", "--json").stdout)["queues"][0]["grace_until"] is None
    assert "missing" not in bench.command("status").stderr


def test_a_submission_that_cannot_be_looked_up_hides_no_other(bench, queue):
    queue.say("qsub", "12.1-2:1\n", call=2)
    queue.say("qsub", "13.1-2:1\n", call=4)
    queue.say("qsub", stderr='qsub: invalid option argument "--version"', status=2, call=3)
    queue.say("qstat", listed("1-2:1"))
    bench.submit("quick", profile(bench), selection=parse("quick:0-1"))
    second = bench.submit("quick", profile(bench))
    second.files.queue.unlink()  # killed before the answer was noted
    name = (second.files.folder / "job.sh").read_text().split("-N ")[1].split()[0]
    odd = named(name, (13, 1, 2)).replace("<RN_max>2", "<RN_max>x")
    queue.say("qstat", odd, call=len(queue.calls("qstat")) + 1)
    status = bench.status("quick")
    (problem,) = status.unanswered
    assert second.name in problem and "cannot be read" in problem
    assert [view.answered for view in status.queues.values()] == [True, False]
    assert bench.counts("quick") == {"queued": 4}


def test_with_everything_done_no_queue_is_asked(bench, queue):
    profile(bench, 0.01)
    first = bench.submit("quick", bench.runner("queue", "backend: sge\ngrace_seconds: 0.01\n"))
    queue.say("qstat", listed("1-4:1"))
    queue.say("qdel", "deleted\n")
    assert bench.command("cancel", "quick", "--yes").returncode == 0
    queue.say("qstat", EMPTY)
    assert bench.counts("quick") == {"cancelled": 4}
    assert bench.run("quick", retry=True) == {"done": 4} and first
    asked = len(queue.calls("qstat")), len(queue.calls("qacct"))
    for _ in range(2):
        status = bench.status("quick")
        assert status.counts() == {"done": 4} and not status.queues and not status.unanswered
    assert (len(queue.calls("qstat")), len(queue.calls("qacct"))) == asked
    assert bench.command("status", "quick").stderr.count("Warning") == 0


def test_what_was_cancelled_is_not_asked_about_endlessly(bench, queue, monkeypatch):
    bench.submit("quick", profile(bench, 0.01))
    queue.say("qstat", listed("1-4:1"))
    queue.say("qdel", "deleted\n")
    bench.command("cancel", "quick", "--yes")
    assert bench.counts("quick") == {"queued": 4}, "the queue still has them"
    queue.say("qstat", EMPTY)
    assert bench.counts("quick") == {"cancelled": 4}
    monkeypatch.setattr("neurofit.status.experiment_status.QUIET_SECONDS", 0.0)
    asked = len(queue.calls("qstat"))
    assert bench.counts("quick") == {"cancelled": 4}
    assert len(queue.calls("qstat")) == asked
