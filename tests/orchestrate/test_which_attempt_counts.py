"""Which of several attempts at a task counts: the newest that is done, unless an earlier one was chosen."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

import neurofit
from neurofit.errors import UsageError
from neurofit.files import write_whole
from neurofit.orchestrate import foreground
from neurofit.orchestrate.clean import remove, survey
from neurofit.orchestrate.plan import SubmitOptions, load, make
from neurofit.process import Process
from neurofit.store import index
from neurofit.store.choices import choose

SCRIPT = """
    import time
    class Fit:
        def arguments(self):
            return {"x": 1}
        def __call__(self, task):
            mode = (task.study / "mode").read_text()
            print("printed in mode", mode)
            (task.folder / "neurons.csv").write_text("neuron,score\\n0,%s\\n" % len(mode))
            if mode == "fails":
                raise ValueError("a bad try")
            while mode == "hangs" and (task.study / "mode").read_text() == "hangs":
                if task.should_stop():
                    task.stop(1)
                time.sleep(0.02)
            (task.folder / "model.txt").write_text(mode)
            return {"score": len((task.study / "mode").read_text())}
        def load(self, folder):
            return (folder / "model.txt").read_text()
        def ensemble(self, folders):
            return [(folder / "model.txt").read_text() for folder in folders]
    experiment = nf.Experiment(fit=Fit(), grid=nf.grid(x=[1]), repetitions=2)
    if __name__ == "__main__":
        experiment.main()
"""
FILE = "jobs/tries.py"


@pytest.fixture
def tries(bench):
    """An experiment of two tasks that are done, with score 4; what the next attempt does stands in `mode`."""
    bench.script("tries", SCRIPT)
    mode(bench, "good")
    submitted = bench.submit("tries")
    assert submitted is not None and bench.wait("tries") == {"done": 2}
    pool, deadline = Process.of(int(submitted.ids[0])), time.monotonic() + 60
    while pool.is_alive():  # it writes to its diary after the last outcome
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return bench


def mode(bench, text: str) -> None:
    write_whole(bench.root / "mode", text)  # tasks read it at any time


def again(bench, text: str, **options):
    mode(bench, text)
    return bench.run("tries", rerun=True, **options)


def scores(bench) -> list[tuple[str, int, float]]:
    return [(row["state"], row["attempt"], row["metrics"].get("score")) for row in bench.outcomes("tries")]


def by_hand(bench, *words: str) -> dict:
    command = [sys.executable, FILE, *words, "--json"]
    answer = subprocess.run(command, cwd=bench.root, capture_output=True, text=True, timeout=60)
    assert answer.stdout, answer.stderr
    return json.loads(answer.stdout)


def asked(bench, *words: str):
    answer = bench.command(*words)
    return json.loads(answer.stdout) if "--json" in words else answer


def test_a_rerun_that_fails_leaves_the_done_attempt_in_its_place(tries):
    assert again(tries, "fails") == {"done": 2}
    assert scores(tries) == [("done", 1, 4), ("done", 1, 4)]
    assert neurofit.load("tries:0/1", study=tries.root) == "good"
    assert neurofit.ensemble("tries:0", study=tries.root) == ["good", "good"]
    assert set(neurofit.neurons("tries", study=tries.root)["score"]) == {4}
    task = tries.status("tries").of((0, 1))
    assert (task.attempt, task.newest, str(task.newer.state), task.newer.attempt) == (1, 2, "failed", 2)


def test_a_rerun_that_is_done_counts_from_then_on(tries):
    assert again(tries, "better") == {"done": 2}
    assert scores(tries) == [("done", 2, 6), ("done", 2, 6)]
    again(tries, "fails")
    assert scores(tries) == [("done", 2, 6), ("done", 2, 6)]
    assert neurofit.load("tries:0/0", study=tries.root) == "better"


def test_what_is_done_with_a_newer_failure_is_not_queued_and_no_failure_for_exit_codes(tries):
    again(tries, "fails")
    for options in ({}, {"retry": True}):
        assert make(tries.study, load(tries.study, "tries"), SubmitOptions(**options)).tasks == []
    plan = make(tries.study, load(tries.study, "tries"), SubmitOptions(rerun=True))
    assert [task.last_attempt for task in plan.tasks] == [2, 2]
    assert tries.command("status", "tries", "--wait", "5").returncode == 0
    assert tries.command("failures", "tries").returncode == 0
    assert tries.command("submit", "tries").returncode == 0


def test_status_shows_both(tries):
    again(tries, "fails")
    answer = asked(tries, "status", "tries:0/1")
    assert "done, newer attempt failed" in answer.stdout and "a bad try" in answer.stdout
    whole = asked(tries, "status", "tries")
    assert "2 tasks are done, and a newer attempt failed" in whole.stdout + whole.stderr
    record = asked(tries, "status", "tries:all", "--json")
    assert record["experiments"][0]["done"] == 2 and record["experiments"][0]["newer"] == {"failed": 2}
    task = record["tasks"][1]
    assert (task["state"], task["attempt"]) == ("done", 1)
    assert (
        task["newer"]["state"] == "failed"
        and task["newer"]["attempt"] == 2
        and "bad try" in task["newer"]["cause"]
    )


def test_results_and_failures_say_that_a_newer_attempt_failed(tries):
    again(tries, "fails")
    for words in (["results", "tries"], ["failures", "tries"]):
        answer = asked(tries, *words)
        assert "2 tasks are done, and a newer attempt failed" in answer.stdout + answer.stderr
    assert [row["newer"] for row in tries.outcomes("tries")] == [{"attempt": 2, "state": "failed"}] * 2


def test_logs_are_of_the_newest_attempt_and_of_any_other_on_request(tries):
    again(tries, "fails")
    answer = asked(tries, "logs", "tries:0/1")
    assert "printed in mode fails" in answer.stdout and "Attempt 1 counts" in answer.stderr
    assert "printed in mode good" in asked(tries, "logs", "tries:0/1", "--attempt", "1").stdout


def test_a_rerun_in_progress_is_running_and_its_row_keeps_the_metrics(tries):
    mode(tries, "hangs")
    submitted = tries.submit("tries", rerun=True)
    tries.wait("tries", until=lambda counts: counts["running"])
    try:
        status = tries.status("tries")
        assert not status.counts()["done"] and status.of((0, 0)).result.attempt == 1
        assert scores(tries) == [("done", 1, 4), ("done", 1, 4)]
        assert neurofit.load("tries:0/0", study=tries.root) == "good"
        assert make(tries.study, load(tries.study, "tries"), SubmitOptions(rerun=True)).tasks == []
        done = json.loads(asked(tries, "results", "tries", "--state", "done", "--format", "json").stdout)
        assert [row["attempt"] for row in done] == [1, 1]
        noted = asked(tries, "results", "tries")
        assert "being run again" in noted.stderr
    finally:
        mode(tries, "longest")
    assert tries.wait("tries") == {"done": 2} and submitted
    assert scores(tries) == [("done", 2, 7), ("done", 2, 7)]


def test_a_rerun_that_is_cancelled_leaves_what_is_done(tries):
    mode(tries, "hangs")
    tries.submit("tries", rerun=True)
    tries.wait("tries", until=lambda counts: counts["running"])
    assert tries.command("cancel", "tries", "--yes").returncode == 0
    assert tries.wait("tries") == {"done": 2}
    assert scores(tries) == [("done", 1, 4), ("done", 1, 4)]


def test_clean_keeps_the_attempt_that_counts_and_its_code(tries):
    again(tries, "better")
    again(tries, "fails")
    asked(tries, "choose", "tries:0/0", "--attempt", "1")
    _clean_everything(tries)
    left = sorted(path.name for path in tries.root.glob("training_data/tries/runs/*/rep-00/*"))
    assert left == ["attempt-01", "attempt-02", "attempt-03"]
    assert [neurofit.load(f"tries:0/{rep}", study=tries.root) for rep in (0, 1)] == ["good", "better"]


def _clean_everything(bench) -> None:
    long_ago = time.time() - 1e6
    for path in bench.study.training_data.rglob("*"):
        os.utime(path, (long_ago, long_ago), follow_symlinks=False)
    remove(bench.study, survey(bench.study, attempts=True).waste)


def test_a_task_that_is_done_is_tried_by_hand_without_counting(tries):
    mode(tries, "by hand")
    outcome = by_hand(tries, "--repetition", "1")
    assert outcome["state"] == "done" and outcome["scratch"] is True and outcome["metrics"] == {"score": 7}
    mode(tries, "fails")
    assert by_hand(tries, "--repetition", "1")["state"] == "failed"
    assert scores(tries) == [("done", 1, 4), ("done", 1, 4)]
    task = tries.status("tries").of((0, 1))
    assert (task.newest, task.newer) == (1, None)
    said = tries.command("run", "tries:0/1")
    assert "does not count" in said.stdout + said.stderr and "--rerun" in said.stdout + said.stderr


def test_a_scratch_attempt_leaves_nothing_where_claims_are_made(tries):
    before = {path: path.stat().st_mtime_ns for path in tries.root.glob("training_data/tries/*/**/*")}
    mode(tries, "by hand")
    folder = by_hand(tries)["folder"]
    assert os.path.isfile(os.path.join(folder, "model.txt"))
    after = {path: path.stat().st_mtime_ns for path in tries.root.glob("training_data/tries/*/**/*")}
    assert {path: after.get(path) for path in before} == before
    assert {path for path in after.keys() - before.keys() if ".scratch" not in path.parts} == set()


def test_a_rerun_by_hand_counts(tries):
    mode(tries, "by hand")
    outcome = by_hand(tries, "--rerun")
    assert outcome["attempt"] == 2 and not outcome.get("scratch")
    assert scores(tries)[0] == ("done", 2, 7)
    mode(tries, "fails")
    by_hand(tries, "--rerun")
    assert scores(tries)[0] == ("done", 2, 7)


def test_a_task_that_is_not_done_counts_when_it_is_done_by_hand(bench):
    bench.script("tries", SCRIPT)
    mode(bench, "fails")
    assert by_hand(bench)["state"] == "failed" and by_hand(bench)["attempt"] == 2
    mode(bench, "good")
    outcome = by_hand(bench)
    assert (outcome["state"], outcome["attempt"], outcome.get("scratch")) == ("done", 3, None)
    assert bench.counts("tries") == {"done": 1, "new": 1}


def test_an_interrupted_rerun_leaves_the_done_attempt_in_its_place(tries):
    mode(tries, "hangs")
    process = subprocess.Popen(
        [sys.executable, FILE, "--rerun"],
        cwd=tries.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    tries.wait("tries", until=lambda counts: counts["running"])
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert tries.wait("tries") == {"done": 2} and scores(tries)[0] == ("done", 1, 4)
    assert str(tries.status("tries").of((0, 0)).newer.state) == "stopped"


def test_an_earlier_attempt_counts_once_it_is_chosen(tries):
    again(tries, "better")
    answer = asked(tries, "choose", "tries:0/1", "--attempt", "1")
    assert answer.returncode == 0 and "attempt 1" in answer.stdout
    assert scores(tries) == [("done", 2, 6), ("done", 1, 4)]
    assert neurofit.load("tries:0/1", study=tries.root) == "good"
    assert neurofit.ensemble("tries:0", study=tries.root) == ["better", "good"]
    again(tries, "fails")
    assert scores(tries) == [("done", 2, 6), ("done", 1, 4)]
    again(tries, "longest")
    assert scores(tries) == [("done", 4, 7), ("done", 4, 7)], "what is done after the choice counts"
    asked(tries, "choose", "tries:0/1", "--attempt", "2")
    assert scores(tries)[1] == ("done", 2, 6)
    asked(tries, "choose", "tries:0/1", "--newest")
    assert scores(tries)[1] == ("done", 4, 7)


def test_only_an_attempt_that_is_done_can_be_chosen(tries):
    again(tries, "fails")
    for number, why in (("2", "is failed"), ("7", "no attempt 7")):
        answer = asked(tries, "choose", "tries:0/1", "--attempt", number)
        assert answer.returncode and why in answer.stderr and "Attempts that are done: 1." in answer.stderr
    listed = asked(tries, "choose", "tries:0/1", "--json")
    assert [(one["attempt"], one["state"], one["counts"]) for one in listed["attempts"]] == [
        (1, "done", True),
        (2, "failed", False),
    ]
    assert asked(tries, "choose", "tries", "--attempt", "1").returncode == 2


def test_a_dry_run_chooses_nothing(tries):
    again(tries, "better")
    assert "would count" in asked(tries, "choose", "tries:0/1", "--attempt", "1", "--dry-run").stdout
    assert scores(tries)[1] == ("done", 2, 6)


def test_half_a_line_of_choices_is_skipped_and_reported(tries):
    again(tries, "better")
    files = tries.status("tries").files
    choose(files, (0, 1), 1, 2, "somebody")
    with open(files.chosen, "ab") as file:
        file.write(b'{"run":0,"repet')
    assert scores(tries)[1] == ("done", 1, 4)
    choose(files, (0, 0), 1, 2, "somebody")
    assert [row[1] for row in scores(tries)] == [1, 1]
    assert any("chosen.jsonl" in problem for problem in tries.status("tries").problems)


def test_the_index_of_an_earlier_version_is_not_taken(tries):
    again(tries, "fails")
    path = next(index.cache_folder().glob("*.json"))
    record = json.loads(path.read_bytes().partition(b"\n")[0])
    record["format"] = 2
    path.write_text(json.dumps(record))
    assert scores(tries) == [("done", 1, 4), ("done", 1, 4)]
    for file in index.cache_folder().glob("*.json"):
        file.unlink()
    assert scores(tries) == [("done", 1, 4), ("done", 1, 4)]


def test_attempts_are_reported_apart_when_the_journals_are_gone(tries):
    again(tries, "fails")
    for journal in tries.root.glob("training_data/tries/submissions/*/journal/*"):
        journal.unlink()
    for file in index.cache_folder().glob("*.json"):
        file.unlink()
    status = tries.status("tries")
    assert scores(tries) == [("done", 1, 4), ("done", 1, 4)]
    assert str(status.of((0, 0)).newer.state) == "failed"
    first, second = (part.files.name for part in status.submissions)
    assert (status.of((0, 0)).submission, status.of((0, 0)).newer.submission) == (first, second)


def test_a_task_at_work_cannot_be_tried_by_hand(tries):
    mode(tries, "hangs")
    tries.submit("tries", rerun=True)
    tries.wait("tries", until=lambda counts: counts["running"])
    experiment = load(tries.study, "tries")
    wanted = foreground.point(
        experiment, tries.status("tries").registry, {}, None, 0, tries.status("tries").files
    )
    with pytest.raises(UsageError, match="is running in"):
        foreground.run(tries.study, experiment, wanted)
    mode(tries, "longest")
    tries.wait("tries")
