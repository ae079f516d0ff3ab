"""A storage that is away for a moment costs time and nothing else."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from neurofit import transient
from neurofit.files import read_json
from neurofit.process import Process
from neurofit.store.attempts import Claimant, claim, publish
from neurofit.store.history import History
from neurofit.store.layout import SubmissionFiles, TaskFiles
from neurofit.store.records import CheckpointRecord, JournalLine, Outcome
from neurofit.worker import checkpoints

WALK = """
    import time
    def fit(task, *, a=0):
        for step in range(30):
            task.log(step, value=step)
            if step == 15:
                with task.save_checkpoint(step):
                    pass
            time.sleep(0.05)
        return {"x": a}
    experiment = nf.Experiment(fit=fit, grid=nf.grid(a=list(range(%d))))
"""


def test_tasks_go_on_while_the_whole_tree_is_away(bench):
    bench.script("walk", WALK % 6)
    bench.submit("walk")
    bench.wait("walk", until=lambda counts: counts["running"] == 2)
    tree, away = bench.study.training_data, bench.root / "away"
    for pause in (0.8, 0.3, 1.2):
        tree.rename(away)
        time.sleep(pause)
        assert not tree.exists(), "nobody made another tree in its place"
        away.rename(tree)
        time.sleep(0.4)
    assert bench.wait("walk") == {"done": 6}
    for record in bench.outcomes("walk"):
        assert record["attempt"] == 1
        history = (tree / "walk" / record["log"] / "history.csv").read_text().splitlines()
        assert history == ["step,value", *(f"{step},{float(step)}" for step in range(30))]


def test_a_pool_whose_diary_and_cancellations_cannot_be_reached_goes_on(bench):
    bench.script("walk", WALK % 4)
    submitted = bench.submit("walk")
    bench.wait("walk", until=lambda counts: counts["running"] == 2)
    (folder,) = bench.study.training_data.glob("walk/submissions/*-local-*")
    (folder / "left_out").mkdir()
    (folder / "left_out" / ".DS_Store").touch()
    diary, kept, other = (folder / name for name in ("pool.jsonl", "kept", "other"))
    kept.hardlink_to(diary)
    other.symlink_to(bench.root)
    other.replace(
        diary
    )  # a folder, so that no line can be added; at once, or the pool would begin a new file
    time.sleep(2.5)
    assert Path(f"/proc/{submitted.ids[0]}").exists()
    kept.replace(diary)
    assert bench.wait("walk") == {"done": 4}
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and (folder / "pool.jsonl").read_text().count("ended") < 4:
        time.sleep(0.05)
    lines = [json.loads(line) for line in (folder / "pool.jsonl").read_text().splitlines()]
    assert sorted(line["ended"] for line in lines if "ended" in line) == [0, 1, 2, 3]


@pytest.fixture
def task(tmp_path) -> TaskFiles:
    (tmp_path / "exp" / "submissions" / "s" / "journal").mkdir(parents=True)
    return TaskFiles(tmp_path / "exp" / "runs" / "000-abcdefgh" / "rep-00")


@pytest.fixture
def claimant(tmp_path) -> Claimant:
    return Claimant(SubmissionFiles(tmp_path / "exp" / "submissions" / "s"), 0, 1, Process.here())


def lose_an_answer(monkeypatch, name: str, *, repeated: bool = False, where: str = "") -> None:
    """The next `os.NAME` is carried out, and fails; or is carried out twice, as a network does that lost its
    answer.
    """
    real = getattr(os, name)

    def once(*arguments, **options):
        if where not in str(arguments[-1]):
            return real(*arguments, **options)
        monkeypatch.setattr(os, name, real)
        real(*arguments, **options)
        if repeated:
            return real(*arguments, **options)
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(arguments[0]))

    monkeypatch.setattr(os, name, once)


@pytest.mark.parametrize("repeated", [False, True])
def test_a_claim_whose_answer_was_lost_is_ours(task, claimant, monkeypatch, repeated):
    lose_an_answer(monkeypatch, "rename", repeated=repeated)
    attempt = claim(task, 0, claimant)
    assert attempt.number == 1 and read_json(attempt.claim)["process"]["pid"] == os.getpid()
    assert os.listdir(task.folder) == ["attempt-01"]


@pytest.mark.parametrize("repeated", [False, True])
def test_an_outcome_whose_answer_was_lost_is_ours(task, claimant, monkeypatch, repeated):
    attempt = claim(task, 0, claimant)
    lose_an_answer(monkeypatch, "link", repeated=repeated)
    assert publish(attempt, Outcome(state="done", attempt=1))
    assert not publish(attempt, Outcome(state="abandoned", attempt=1))
    assert read_json(attempt.outcome)["state"] == "done"


def test_no_outcome_is_published_into_the_attempt_of_another_worker(task, claimant):
    attempt = claim(task, 0, claimant)
    record = {**read_json(attempt.claim), "job": 7}
    attempt.claim.write_text(json.dumps(record))
    mine = Outcome(
        state="done", attempt=1, submission="s", job=0, host=claimant.process.host, pid=os.getpid()
    )
    assert not publish(attempt, mine) and not attempt.outcome.exists()
    assert publish(attempt, replace(mine, job=7))


def test_a_storage_that_is_away_is_not_replaced_by_a_new_tree(task, claimant):
    root = task.folder.parents[3]
    (root / "exp").rename(root / "away")
    with pytest.raises(FileNotFoundError):
        claim(task, 0, claimant)
    assert os.listdir(root) == ["away"]


@pytest.mark.parametrize("repeated", [False, True])
def test_a_checkpoint_whose_answer_was_lost_is_published(task, claimant, monkeypatch, repeated):
    attempt = claim(task, 0, claimant)
    lose_an_answer(monkeypatch, "rename", repeated=repeated, where="000003")
    record = CheckpointRecord(step=3, attempt=attempt.number)
    with checkpoints.publishing(task, attempt, record) as folder:
        (folder / "state").write_text("x")
    assert [path.name for path in checkpoints.published(task)] == ["000003"]
    assert (task.checkpoints / "000003" / "state").read_text() == "x"
    assert os.listdir(task.checkpoints) == ["000003"]


def test_a_row_of_history_that_failed_half_way_is_there_once(tmp_path):
    (tmp_path / "tree").mkdir()
    history = History(tmp_path / "tree" / "history.csv")
    history.add(0, {"a": 0.5})
    with open(history.path, "a") as file:
        file.write("1,0.")  # as a failed write leaves it
    history._close_file()
    history.add(1, {"a": 0.25})
    assert history.path.read_text() == "step,a\n0,0.5\n1,0.25\n"


def test_a_row_whose_answer_was_lost_is_there_once_also_where_cutting_it_off_fails_first(
    tmp_path, monkeypatch
):
    history = History(tmp_path / "history.csv")
    history.add(0, {"a": 0.5})
    cut, tries = os.ftruncate, []

    def fails_once(descriptor, size):
        tries.append(size)
        if len(tries) == 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        cut(descriptor, size)

    lose_an_answer(monkeypatch, "write")
    monkeypatch.setattr(os, "ftruncate", fails_once)
    history.add(1, {"a": 0.25})
    history.add(2, {"a": 0.125})
    assert len(tries) == 2
    assert history.path.read_text() == "step,a\n0,0.5\n1,0.25\n2,0.125\n"


def test_a_worker_that_waits_beats_on(bench):
    """Another host tells by the journal's time alone that it lives."""
    from neurofit import transient
    from neurofit.store.journal import Journal
    from neurofit.worker.job import _Waiting
    from neurofit.worker.lanes import Lanes
    from neurofit.worker.supervisor import Signals

    signals = Signals()
    submission = SubmissionFiles(bench.study.training_data / "exp" / "submissions" / "s")
    submission.journals.mkdir(parents=True)
    journal = Journal(submission, 0)
    os.utime(journal.path, (0, 0))
    away = submission.folder.with_name("away")
    submission.folder.rename(away)
    threading.Timer(0.3, away.rename, [submission.folder]).start()
    with transient.patience(
        transient.worker(submission.folder, _Waiting(journal, signals, Lanes(signals)).beat)
    ):
        journal._failed = True
        journal.write(JournalLine(end="done"))
    assert journal.path.stat().st_mtime > time.time() - 100
    journal.close()


@pytest.mark.parametrize("seen", [None, "step,value\n0,1.0\n"])
def test_a_history_that_is_seen_late_goes_on_whole(tmp_path, seen):
    """Another host wrote it: at first it is not there, or not all of it."""
    files = TaskFiles(tmp_path / "task")
    first, second = files.attempt(1), files.attempt(2)
    for attempt in (first, second):
        attempt.folder.mkdir(parents=True)
    whole = "step,value\n0,1.0\n1,2.0\n2,3.0\n"
    checkpoint = files.checkpoints / "000002"
    checkpoint.mkdir(parents=True)
    lengths = {"events.bin": 4}
    (checkpoint / "checkpoint.json").write_text(
        json.dumps({"step": 2, "attempt": 1, "rows": 3, "lengths": lengths})
    )
    if seen is not None:
        first.history.write_text(seen)
        (first.folder / "events.bin").write_bytes(b"ab")

    def appear():
        time.sleep(0.2)
        first.history.write_text(whole + "3,4.0\n")
        (first.folder / "events.bin").write_bytes(b"abcdef")

    writer = threading.Thread(target=appear)
    writer.start()
    with transient.patience(transient.worker(tmp_path)):
        rows = checkpoints.take_up(checkpoint, files, second)
        history = History(second.history)
        history.take_up(rows)
        history.add(3, {"value": 9.0, "other": 1.0})
    writer.join()
    history.close()
    assert second.history.read_text() == "step,value,other\n0,1.0,\n1,2.0,\n2,3.0,\n3,9.0,1.0\n"
    assert (second.folder / "events.bin").read_bytes() == b"abcd"
