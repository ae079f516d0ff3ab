"""What could not be read, or was damaged for a moment, is no fact: the next command looks again."""

from __future__ import annotations

import os

import pytest

from neurofit.store import index
from neurofit.store.state import Evidence, Heartbeat, Job, State, decide

QUICK = """
    def fit(task, *, x=0):
        return {"m": x}
    experiment = nf.Experiment(fit, grid=nf.grid(x=[0, 1]))
"""


@pytest.fixture
def doubtful(bench):
    """Two tasks that are done, of which nothing but the attempts' own files says so."""
    bench.script("quick", QUICK)
    bench.run("quick")
    for file in [
        *bench.root.glob("training_data/quick/submissions/*/journal/*"),
        *index.cache_folder().glob("*.json"),
    ]:
        file.unlink()
    return bench


def outcome(bench):
    return next(bench.root.glob("training_data/quick/runs/000-*/rep-00/attempt-01/outcome.json"))


def test_an_outcome_that_is_damaged_for_a_moment_counts_once_it_is_whole(doubtful):
    path = outcome(doubtful)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert doubtful.counts("quick") == {"done": 1, "failed": 1}
    assert any(str(path) in problem for problem in doubtful.status("quick").problems)
    path.write_bytes(whole)
    assert doubtful.counts("quick") == {"done": 2}


@pytest.mark.parametrize("what", ["outcome", "task", "runs"])
def test_what_cannot_be_read_is_never_a_failure_and_is_read_later(doubtful, what):
    path = outcome(doubtful)
    where = {"outcome": path, "task": path.parents[1], "runs": path.parents[3]}[what]
    kept = where.with_name("kept")
    where.rename(kept)
    # reading gives EINVAL or EACCES for the first, and ELOOP for folders, whoever asks
    where.symlink_to("/proc/self/clear_refs" if what == "outcome" else where)
    counts = doubtful.counts("quick")
    assert not {"failed", "lost", "new"} & counts.keys(), counts
    assert any("could not be read" in problem for problem in doubtful.status("quick").problems)
    os.unlink(where)
    kept.rename(where)
    assert doubtful.counts("quick") == {"done": 2}


def test_a_journal_line_that_came_too_late_is_read_again(bench):
    bench.script("quick", QUICK)
    bench.run("quick")
    journal = min(bench.root.glob("training_data/quick/submissions/*/journal/*"))
    whole = journal.read_bytes()
    for file in index.cache_folder().glob("*.json"):
        file.unlink()
    run = outcome(bench).parents[2]
    run.rename(run.with_name("away"))
    start = whole.index(b'{"outcome"')
    journal.write_bytes(whole[:start] + bytes(40) + whole[start + 40 :])  # a page that is not there yet
    assert "done" not in bench.counts("quick") or bench.counts("quick")["done"] < 2
    journal.write_bytes(whole)
    assert bench.counts("quick") == {"done": 2}


def test_nothing_is_concluded_of_a_task_whose_files_cannot_be_read():
    for job in Job:
        for heartbeat in (None, *Heartbeat):
            state = decide(Evidence(None, heartbeat, job, True, True, "a cause", unread=True))
            assert state is (State.QUEUED if heartbeat is None else State.RUNNING)
    assert decide(Evidence("done", unread=True)) is State.DONE
