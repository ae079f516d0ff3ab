"""Copies of a study: neither it nor a copy runs anything twice, and a copy cancels nothing of the
original.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from neurofit import process
from neurofit.orchestrate.cancel import cancel, ending
from neurofit.process import Process
from neurofit.store.attempts import Claimant, Refusal, claim
from neurofit.store.layout import AttemptFiles, ExperimentFiles, SubmissionFiles, TaskFiles
from neurofit.store.records import ResourcesRecord, SubmissionRecord
from neurofit.store.submissions import Planned, is_at_home, read_submission, write_submission
from neurofit.study import Study

SLOW = """
import time
from pathlib import Path
def fit(task, *, x=1):
    with open(task.study.parent / "began", "a") as file:
        file.write(f"{x}\\n")
    while not (task.study.parent / "go").exists():
        time.sleep(0.05)
    return {"x": x}
experiment = nf.Experiment(fit, grid=nf.grid(x=[1, 2]))
"""


def submission(root: Path, **changes) -> SubmissionFiles:
    """A submission as this host writes it, with these entries of its record changed."""
    files = ExperimentFiles(Study(root), "exp")
    record = SubmissionRecord(
        experiment="exp",
        study=str(root),
        script="jobs/exp.py",
        repetitions=1,
        fresh=False,
        code="c",
        code_hash="h",
        runner="slurm",
        backend="slurm",
        resources=ResourcesRecord(),
        **process.who(),
    )
    written = write_submission(files, "20261128-120000-slurm-aaaa", record, [[Planned(0, 0, 0)]])
    if changes:
        there = {**json.loads(written.record.read_text()), **changes}
        changed = {name: value for name, value in there.items() if value != "gone"}
        written.record.write_text(json.dumps(changed))
    return written


def at_home(files: SubmissionFiles) -> bool:
    return is_at_home(files, read_submission(files))


def copied(root: Path, to: Path) -> SubmissionFiles:
    subprocess.run(["cp", "-a", str(root), str(to)], check=True)
    return ExperimentFiles(Study(to), "exp").submissions()[0]


def aged(files: SubmissionFiles) -> None:
    """As if it had been submitted an hour before anything was copied."""
    record = json.loads(files.record.read_text())
    files.record.write_text(json.dumps({**record, "changed": record["changed"] - 3600}))


def inode(files: SubmissionFiles) -> int:
    return files.folder.stat().st_ino


ELSEWHERE = {"host": "elsewhere", "machine": "0123456789ab"}
OF_0_1_0 = {"changed": "gone", "machine": "gone"}


def test_where_it_was_submitted_it_is_at_home_whatever_became_of_its_inode(tmp_path):
    assert at_home(submission(tmp_path / "a"))
    assert at_home(submission(tmp_path / "b", inode=1)), (
        "a client whose numbers change when it is mounted again"
    )
    assert at_home(submission(tmp_path / "c", inode=1, **OF_0_1_0))


def test_a_client_with_inode_numbers_of_its_own_is_at_home(tmp_path):
    assert at_home(submission(tmp_path / "a", inode=1, **ELSEWHERE))
    assert at_home(submission(tmp_path / "b", inode=1, study="/not/here", **ELSEWHERE)), (
        "at another mount point"
    )


def test_a_client_that_knows_the_inode_is_at_home_although_permissions_were_changed(tmp_path):
    for number, study in enumerate([tmp_path / "0", "/not/here"]):
        files = submission(tmp_path / str(number), study=str(study))
        aged(files)
        assert at_home(files)
    files = submission(tmp_path / "b", **ELSEWHERE)
    aged(files)
    assert at_home(files)


@pytest.mark.process
@pytest.mark.parametrize("changes", [{}, OF_0_1_0], ids=["now", "0.1.0"])
def test_a_copy_beside_the_original_is_none_even_with_the_same_inode(tmp_path, changes):
    original = submission(tmp_path / "study", **changes)
    copy = copied(tmp_path / "study", tmp_path / "copy")
    assert at_home(original) and not at_home(copy)
    copy.record.write_text(
        json.dumps({**json.loads(copy.record.read_text()), "inode": inode(copy)})
    )  # as in a snapshot
    assert not at_home(copy)


def test_a_copy_on_another_machine_is_none_at_the_same_path_or_another(tmp_path):
    files = submission(tmp_path / "a", inode=1, **ELSEWHERE)
    aged(files)
    assert not at_home(files)
    files = submission(tmp_path / "b", inode=1, study="/not/here", **ELSEWHERE)
    aged(files)
    assert not at_home(files)
    assert not at_home(submission(tmp_path / "c", inode=1, study="/not/here", **ELSEWHERE, changed="gone"))


def test_a_study_that_was_moved_is_at_home_and_a_copy_of_it_is_not(tmp_path):
    submission(tmp_path / "study")
    (tmp_path / "study").rename(tmp_path / "moved")
    assert at_home(ExperimentFiles(Study(tmp_path / "moved"), "exp").submissions()[0])


@pytest.mark.process
def test_a_study_that_was_put_back_from_a_copy_is_at_home(tmp_path):
    """Its jobs write to this path."""
    aged(submission(tmp_path / "study"))
    copied(tmp_path / "study", tmp_path / "backup")
    shutil.rmtree(tmp_path / "study")
    assert at_home(copied(tmp_path / "backup", tmp_path / "study"))


def test_a_study_reached_through_a_link_is_at_home(tmp_path):
    submission(tmp_path / "study")
    (tmp_path / "link").symlink_to("study")
    assert at_home(ExperimentFiles(Study(tmp_path / "link"), "exp").submissions()[0])


def claims(
    files: SubmissionFiles, task: TaskFiles, process: Process, *, job: int = 0
) -> AttemptFiles | Refusal:
    return claim(task, 0, Claimant(files, job, 1, process))


@pytest.mark.process
def test_a_living_worker_whose_submission_seems_a_copy_keeps_its_task_while_its_journal_is_fresh(tmp_path):
    program = subprocess.Popen(["sleep", "60"])
    try:
        theirs = submission(tmp_path, study="/not/here", inode=1, changed="gone")
        assert not at_home(theirs)
        task = TaskFiles(tmp_path / "rep-00")
        theirs.journal(0, 1).touch()
        claims(theirs, task, Process.of(program.pid))
        ours = SubmissionFiles(theirs.folder.with_name("20261128-130000-slurm-bbbb"))
        ours.folder.mkdir()
        assert claims(ours, task, Process.here()) == Refusal("another worker is running it")
        os.utime(theirs.journal(0, 1), (0, 0))
        assert claims(ours, task, Process.here()).number == 2, "its worker is at work on the original"
    finally:
        program.kill()
        program.wait()


def test_a_claim_of_a_worker_that_cannot_be_known_goes_by_its_heartbeat(tmp_path):
    here = Process.here()
    theirs, task = submission(tmp_path), TaskFiles(tmp_path / "rep-00")
    boot, _, namespace = here.boot.partition("/")
    theirs.journal(0, 1).touch()
    claims(
        theirs, task, dataclasses.replace(here, boot=f"{boot}/{int(namespace) + 1}")
    )  # a container of this name
    ours = SubmissionFiles(theirs.folder.with_name("20261128-130000-slurm-bbbb"))
    ours.folder.mkdir()
    assert claims(ours, task, here) == Refusal("another worker is running it")
    os.utime(theirs.journal(0, 1), (0, 0))
    assert claims(ours, task, here).number == 2


def test_a_claim_whose_journal_is_gone_goes_by_its_own_age(tmp_path):
    theirs, task = submission(tmp_path), TaskFiles(tmp_path / "rep-00")
    attempt = claims(theirs, task, Process("elsewhere", "b/1", 1, 1))
    ours = SubmissionFiles(theirs.folder.with_name("20261128-130000-slurm-bbbb"))
    ours.folder.mkdir()
    assert claims(ours, task, Process.here()) == Refusal("another worker is running it")
    os.utime(attempt.claim, (0, 0))
    assert claims(ours, task, Process.here()).number == 2


def test_a_copy_of_a_running_study_cancels_nothing_of_it_and_neither_runs_a_task_twice(bench):
    bench.script("slow", SLOW)
    bench.submit("slow")
    bench.wait("slow", until=lambda counts: counts["running"] == 2)
    clone = type(bench)(bench.root.with_name("clone"))
    shutil.rmtree(clone.root)
    subprocess.run(["cp", "-a", str(bench.root), str(clone.root)], check=True)
    assert clone.counts("slow") == {"running": 2}, "a fresh journal is never a copy"
    status = clone.status("slow")
    cancel(clone.study, ending(status, status.all_keys()))
    time.sleep(1.2)  # the original's workers look for cancellations once a second
    assert bench.counts("slow") == {"running": 2}
    for path in (clone.study.training_data / "slow").glob("submissions/*/journal/*"):
        os.utime(path, (0, 0))
    assert clone.counts("slow") == {"cancelled": 2}
    (bench.root.parent / "go").touch()
    assert bench.wait("slow") == {"done": 2}
    assert sorted((bench.root.parent / "began").read_text().split()) == ["1", "2"]
    assert clone.run("slow", retry=True) == {"done": 2}, "from its own files alone"
