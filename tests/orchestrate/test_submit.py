"""Plans and submissions: what is queued, once, and what an edit of the grid or the code changes."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time

import pytest

from neurofit.errors import StoreError, UsageError
from neurofit.experiments.selector import parse
from neurofit.files import read_json
from neurofit.orchestrate.cancel import cancel, ending
from neurofit.orchestrate.plan import SubmitOptions, load, make
from neurofit.status.experiment_status import read_status

QUICK = """
    def fit(task, *, a=1, b=1):
        return {"x": a * b}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(a=[1, 2, 3]), repetitions=2)
"""
SLOW = """
    import time
    def fit(task, *, a=1):
        for step in range(600):
            if task.should_stop():
                task.stop(step)
            time.sleep(0.05)
        return {"x": a}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(a=[1, 2, 3]), repetitions=2)
"""
FLAKY = """
    import os
    def fit(task, *, a=1):
        if a == 2 and not os.path.exists(str(task.study / "fixed")):
            raise ValueError("broken")
        return {"x": a}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(a=[1, 2, 3]), repetitions=2)
"""


def covered(found, selection):
    """What it takes to end the tasks of a selection."""
    return ending(found, [key for key in found.tasks if selection.matches(*key, list(found.registry.runs))])


def plan(bench, name, **options):
    return make(bench.study, load(bench.study, name), SubmitOptions(**options))


def test_a_second_submit_has_nothing_to_do(bench):
    bench.script("quick", QUICK)
    assert bench.run("quick") == {"done": 6}
    assert bench.submit("quick") is None
    assert len(list((bench.study.training_data / "quick" / "submissions").iterdir())) == 1


def test_an_edited_grid_runs_only_what_is_missing_and_relabels_nothing(bench):
    bench.script("quick", QUICK)
    bench.run("quick")
    before = {(r["run"], r["repetition"]): r["params"] for r in bench.outcomes("quick")}
    bench.script("quick", QUICK.replace("[1, 2, 3]", "[0, 1, 3, 4]"))
    summary = plan(bench, "quick").summary(0)
    assert (summary["new"], summary["done"], summary["removed_runs"]) == (4, 4, 1)
    assert bench.run("quick") == {"done": 10}
    after = {(r["run"], r["repetition"]): r["params"] for r in bench.outcomes("quick")}
    assert before.items() <= after.items()
    assert {r["run"] for r in bench.outcomes("quick") if not r["on_grid"]} == {1}


def test_more_repetitions_are_only_added(bench):
    bench.script("quick", QUICK)
    bench.run("quick")
    assert len(plan(bench, "quick", repetitions=5).tasks) == 9


def test_code_that_changed_is_counted_and_not_run_again_by_itself(bench):
    bench.script("quick", QUICK)
    bench.run("quick")
    bench.script("quick", QUICK.replace("a * b", "a * b + 1"))
    summary = plan(bench, "quick").summary(0)
    assert (summary["done"], summary["done_other_code"], summary["to_queue"]) == (6, 6, 0)
    assert bench.run("quick", rerun=True) == {"done": 6}
    assert plan(bench, "quick").summary(0)["done_other_code"] == 0
    assert [record["attempt"] for record in bench.outcomes("quick")] == [2] * 6


def test_another_scripts_edit_changes_nothing_here(bench):
    bench.script("quick", QUICK)
    bench.script("other", QUICK)
    bench.run("quick")
    bench.script("other", QUICK.replace("a * b", "a"))
    assert plan(bench, "quick").other_code == 0


def test_jobs_run_the_code_as_it_was_submitted(bench, tmp_path):
    flag = tmp_path / "go"
    bench.script(
        "late",
        f"""
        import time, os
        def fit(task):
            while not os.path.exists({str(flag)!r}):
                time.sleep(0.02)
            import helper
            return {{"x": helper.VALUE}}
        experiment = nf.Experiment(fit=fit)
    """,
    )
    (bench.study.jobs / "helper.py").write_text("VALUE = 1\n")
    bench.submit("late")
    (bench.study.jobs / "helper.py").write_text("VALUE = 2\n")
    flag.touch()
    assert bench.wait("late") == {"done": 1}
    assert bench.outcomes("late")[0]["metrics"] == {"x": 1}


def test_failed_tasks_wait_for_a_retry(bench):
    bench.script("flaky", FLAKY)
    assert bench.run("flaky") == {"done": 4, "failed": 2}
    assert plan(bench, "flaky").tasks == []
    (bench.root / "fixed").touch()
    assert bench.run("flaky", retry=True) == {"done": 6}
    assert [r["attempt"] for r in bench.outcomes("flaky")] == [1, 1, 2, 2, 1, 1]


def test_a_selection_and_a_condition_choose_tasks(bench):
    bench.script("quick", QUICK)
    assert [t.key for t in plan(bench, "quick", selection=parse("quick:1,last/1")).tasks] == [(1, 1), (2, 1)]
    assert [t.key for t in plan(bench, "quick", where=lambda params: params["a"] > 2).tasks] == [
        (2, 0),
        (2, 1),
    ]
    with pytest.raises(UsageError, match=r"Nothing in quick matches: it has 3 run\(s\), numbered 0 to 2"):
        plan(bench, "quick", selection=parse("quick:17"))


def test_what_runs_is_not_queued_again_and_can_be_cancelled(bench):
    bench.script("slow", SLOW)
    bench.submit("slow")
    bench.wait("slow", until=lambda counts: counts["running"] == 2)
    assert plan(bench, "slow", retry=True, rerun=True).tasks == []
    doomed = covered(bench.status("slow"), parse("slow"))
    assert cancel(bench.study, doomed) == 6
    assert bench.wait("slow", seconds=15) == {"cancelled": 6}
    assert plan(bench, "slow").tasks == []
    assert len(plan(bench, "slow", retry=True).tasks) == 6


def test_a_single_task_can_be_cancelled_while_its_neighbours_go_on(bench):
    bench.script("slow", SLOW.replace("range(600)", "range(20)"))
    bench.submit("slow")
    bench.wait("slow", until=lambda counts: counts["running"] == 2)
    cancel(bench.study, covered(bench.status("slow"), parse("slow:2/1")))
    assert bench.wait("slow") == {"done": 5, "cancelled": 1}
    assert str(bench.status("slow").of((2, 1)).state) == "cancelled"


def test_a_stopped_pool_leaves_its_tasks_to_the_next_submit(bench):
    bench.script("slow", SLOW)
    import os

    submitted = bench.submit("slow")
    bench.wait("slow", until=lambda counts: counts["running"] == 2)
    os.kill(int(submitted.ids[0]), signal.SIGTERM)
    assert bench.wait("slow", seconds=15) == {"stopped": 2, "new": 4}
    assert len(plan(bench, "slow").tasks) == 6


SUBMIT = (
    "import sys; from pathlib import Path; sys.path.insert(0, {tests!r}); from conftest import Workbench; "
    "bench = Workbench(Path({root!r})); print(bench.submit('quick'))"
)


def test_two_submits_at_once_queue_every_task_once(bench):
    from conftest_path import TESTS

    bench.script("quick", QUICK.replace("[1, 2, 3]", "list(range(40))"))
    bench.runner()
    code = SUBMIT.format(tests=TESTS, root=str(bench.root))
    programs = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    said = [program.communicate(timeout=60)[0].strip() for program in programs]
    assert sorted(text == "None" for text in said) == [False, True, True]
    assert bench.wait("quick") == {"done": 80}
    assert {record["attempt"] for record in bench.outcomes("quick")} == {1}


def test_a_copy_of_the_study_does_not_touch_the_originals_queue(bench, tmp_path):
    bench.script("slow", SLOW)
    submitted = bench.submit("slow")
    bench.wait("slow", until=lambda counts: counts["running"] == 2)
    copy = type(bench)(tmp_path / "copy")
    shutil.copytree(bench.root, copy.root, dirs_exist_ok=True)
    counts = copy.counts("slow")
    assert counts["queued"] == 0
    assert cancel(copy.study, covered(copy.status("slow"), parse("slow"))) <= 2
    time.sleep(2.5)
    assert bench.counts("slow")["running"] == 2, "the original's pool goes on"
    cancel(bench.study, covered(bench.status("slow"), parse("slow")))
    bench.wait("slow", seconds=15)
    assert submitted.tasks == 6


def test_the_same_study_by_another_path_is_the_same_study(bench, tmp_path):
    bench.script("quick", QUICK)
    link = tmp_path / "link"
    link.symlink_to(bench.root)
    other = type(bench)(link)
    assert other.run("quick") == {"done": 6}
    assert bench.submit("quick") is None


def test_a_submitter_that_died_before_the_queue_was_asked_leaves_nothing_queued(bench, own_home):
    bench.script("quick", QUICK)
    submitted = bench.submit("quick")
    bench.wait("quick")
    shutil.rmtree(bench.study.training_data / "quick" / "runs")
    shutil.rmtree(submitted.files.journals)
    submitted.files.journals.mkdir()
    for name in ("queue.jsonl", "pool.jsonl"):
        (submitted.files.folder / name).unlink()
    shutil.rmtree(own_home / "cache")
    assert bench.counts("quick") == {"new": 6}
    assert bench.run("quick") == {"done": 6}


def test_a_submitter_that_died_before_noting_the_queues_answer_is_looked_up(bench):
    bench.script("slow", SLOW)
    submitted = bench.submit("slow")
    submitted.files.queue.unlink()
    bench.wait("slow", until=lambda counts: counts["running"] == 2)
    assert bench.counts("slow")["queued"] == 4
    cancel(bench.study, covered(bench.status("slow"), parse("slow")))
    assert bench.wait("slow", seconds=15) == {"cancelled": 6}


def test_damaged_files_are_named_and_nothing_is_lost(bench, own_home):
    bench.script("quick", QUICK)
    submitted = bench.submit("quick")
    bench.wait("quick")
    first = bench.outcomes("quick")[0]
    outcome = bench.study.training_data / "quick" / first["log"] / "outcome.json"
    outcome.write_text('{"state": "do')
    journal = submitted.files.journal(0, 1)
    journal.write_text("garbage\n" + journal.read_text() + '{"outc\n')
    from neurofit.tables.rows import read_rows

    status = bench.status("quick")
    rows = read_rows(status)
    assert [row["metrics"]["x"] for row in rows] == [1, 1, 2, 2, 3, 3]
    assert (
        sum(
            f"{outcome}: damaged; its row is the copy in the journal" in problem
            for problem in status.problems
        )
        == 1
    )
    assert sum(str(journal) in problem for problem in status.problems) == 1
    shutil.rmtree(own_home / "cache")
    submitted.files.journal(0, 1).unlink()
    assert bench.counts("quick") == {"done": 5, "failed": 1}
    assert bench.run("quick", retry=True) == {"done": 6}


def test_a_damaged_registry_stops_new_runs_and_shows_the_others(bench):
    bench.script("quick", QUICK)
    bench.run("quick")
    registry = bench.study.training_data / "quick" / "runs.jsonl"
    lines = registry.read_text().splitlines()
    registry.write_text("\n".join([lines[0], lines[1][:30], lines[2]]) + "\n")
    status = bench.status("quick")
    assert any("runs.jsonl: skipped 1 damaged line(s)" in problem for problem in status.problems)
    assert len([r for r in bench.outcomes("quick") if r["state"] == "done"]) == 4
    bench.script("quick", QUICK.replace("[1, 2, 3]", "[1, 2, 3, 4]"))
    with pytest.raises(StoreError, match="no new run can be numbered"):
        bench.submit("quick")
    assert registry.read_text().count("\n") == 3


def test_a_deleted_index_is_built_again(bench, own_home):
    bench.script("quick", QUICK)
    bench.run("quick")
    assert list((own_home / "cache" / "neurofit").iterdir())
    shutil.rmtree(own_home / "cache")
    assert bench.counts("quick") == {"done": 6}


def test_a_lost_journal_is_made_up_for_by_the_outcomes(bench, own_home):
    bench.script("quick", QUICK)
    submitted = bench.submit("quick")
    bench.wait("quick")
    shutil.rmtree(own_home / "cache")
    submitted.files.journal(1, 1).unlink()
    assert bench.counts("quick") == {"done": 6}
    assert [record["metrics"]["x"] for record in bench.outcomes("quick")] == [1, 1, 2, 2, 3, 3]


def test_a_submission_names_what_it_ran(bench):
    bench.script("quick", QUICK)
    record = read_json(bench.submit("quick").files.record)
    bench.wait("quick")
    assert record["jobs"] == 3 and record["script"] == "jobs/quick.py" and record["runner"] == "local"
    assert read_status(bench.study, "quick").repetitions == 2


def test_jobs_run_modules_beside_jobs_as_they_were_submitted_too(bench):
    (bench.root / "lib").mkdir()
    (bench.root / "lib" / "__init__.py").write_text("VALUE = 1\n")
    bench.script(
        "late",
        """
        def fit(task):
            import lib
            return {"x": lib.VALUE, "copied": int(".code" in lib.__file__)}
        experiment = nf.Experiment(fit=fit)
    """,
    )
    assert bench.run("late") == {"done": 1}
    assert bench.outcomes("late")[0]["metrics"] == {"x": 1, "copied": 1}


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="before Python 3.11, `python -m` cannot be kept from it"
)
def test_a_study_with_a_module_named_as_one_of_pythons_own(bench):
    for name in ("json", "selectors", "argparse"):
        (bench.root / f"{name}.py").write_text("raise RuntimeError('not the one of the standard library')\n")
    bench.script("quick", QUICK)
    assert bench.run("quick") == {"done": 6}


def test_training_data_can_be_a_link_to_another_disk(bench, tmp_path):
    (tmp_path / "scratch").mkdir()
    (bench.root / "data").mkdir()
    bench.study.training_data.rmdir()
    bench.study.training_data.symlink_to(tmp_path / "scratch")
    bench.script(
        "data",
        """
        def fit(task):
            return {"found": int((task.study / "data").is_dir())}
        experiment = nf.Experiment(fit=fit)
    """,
    )
    assert bench.run("data") == {"done": 1}
    assert bench.outcomes("data")[0]["metrics"] == {"found": 1}


GARBAGE = [b"", b"{}\n", b"garbage\xff\x00", b'{"pool":{}}\n{"id":1}\n', None]


@pytest.mark.parametrize("content", GARBAGE, ids=["empty", "object", "binary", "lines", "gone"])
@pytest.mark.parametrize(
    "name", ["submission.json", "jobs.tasks", "queue.jsonl", "pool.jsonl", "stops/000001.json"]
)
def test_a_submission_with_a_damaged_file_is_named_and_nothing_runs_twice(bench, own_home, name, content):
    bench.script(
        "nap",
        "import time\ndef fit(task, *, a=1):\n    time.sleep(0.6)\n    return {'x': a}\n"
        "experiment = nf.Experiment(fit=fit, grid=nf.grid(a=[1, 2, 3]))\n",
    )
    path = bench.submit("nap").files.folder / name
    bench.wait("nap", until=lambda counts: counts["running"] == 2)
    path.unlink(missing_ok=True) if content is None else path.write_bytes(content)
    shutil.rmtree(own_home / "cache")
    status = bench.status("nap")
    unneeded = name in ("queue.jsonl", "pool.jsonl") or (name, content) == ("stops/000001.json", None)
    assert unneeded or any(str(path) in problem for problem in status.problems)
    bench.submit("nap")
    deadline = time.monotonic() + 20
    while bench.counts("nap") != {"done": 3}:
        assert time.monotonic() < deadline, bench.counts("nap")
        bench.submit("nap")
        time.sleep(0.2)
    assert {record["attempt"] for record in bench.outcomes("nap")} == {1}


def test_a_damaged_index_is_built_again(bench, own_home):
    bench.script("quick", QUICK)
    bench.run("quick")
    (index,) = (own_home / "cache" / "neurofit").iterdir()
    whole = index.read_bytes()
    other = whole.replace(b'"submissions":{', b'"submissions":[],"x":{')
    flipped = whole.replace(b'"done"', b'"gone"', 1)
    assert flipped != whole != other
    text = whole.replace(b'"read":[[', b'"read":[["x",')
    for content in (b"", b"\xff", b"[]", whole[: len(whole) // 2], other, flipped, text):
        index.write_bytes(content)
        assert bench.counts("quick") == {"done": 6}


@pytest.mark.parametrize("home", ["~", "relative", "/proc/none"])
def test_a_user_without_a_home_needs_none(bench, monkeypatch, home):
    monkeypatch.setenv("HOME", home)
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    monkeypatch.chdir(bench.root)
    bench.script("quick", QUICK)
    before = sorted(path.name for path in bench.root.iterdir())
    assert bench.run("quick") == {"done": 6}
    assert sorted(path.name for path in bench.root.iterdir()) == sorted([".neurofit", *before])


@pytest.mark.parametrize(
    "stray", ["notes.txt", "zz-backup", "99999999-999999-x", "20261399-000000-local-abcd"]
)
def test_a_stray_name_among_submissions_does_not_prevent_submitting(bench, stray):
    bench.script(
        "tiny", "def fit(task):\n    return {'m': 1}\nexperiment = nf.Experiment(fit=fit, repetitions=2)\n"
    )
    (bench.study.training_data / "tiny" / "submissions" / stray).mkdir(parents=True)
    assert bench.run("tiny") == {"done": 2}
