"""The index of journals: commands with it and without it agree, and it is written seldom."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings, strategies as st

from neurofit.files import encoded, to_json
from neurofit.process import Process
from neurofit.status.experiment_status import ExperimentStatus, read_status
from neurofit.store import index
from neurofit.store.evidence import Facts, TaskFacts
from neurofit.store.layout import ExperimentFiles, SubmissionFiles
from neurofit.store.records import (
    JournalLine,
    Outcome,
    RegisteredRun,
    ResourcesRecord,
    SubmissionRecord,
    TaskOutcome,
)
from neurofit.store.registry import Registry, register
from neurofit.store.state import State
from neurofit.store.submissions import Planned, write_submission
from neurofit.study import Study

NAME, QUEUED = "exp", "20260101-000000-queue-abcd"


def submitted(root: Path, jobs: int, tasks: int) -> tuple[Study, SubmissionFiles]:
    """A submission with a job per run, and so many repetitions in each."""
    files = ExperimentFiles(Study(root), NAME)
    files.folder.mkdir(parents=True)
    runs = [
        RegisteredRun(number=run, id=f"{run:08x}", architecture="fit", params={"x": run}, derived={})
        for run in range(jobs)
    ]
    register(files.registry, Registry({}, 0), runs)
    record = SubmissionRecord(
        experiment=NAME,
        study=str(root),
        script="jobs/exp.py",
        repetitions=tasks,
        fresh=False,
        code="0123456789ab",
        code_hash="0123456789ab",
        runner="queue",
        backend="slurm",
        resources=ResourcesRecord(),
    )
    planned = [[Planned(run, repetition, 0) for repetition in range(tasks)] for run in range(jobs)]
    return files.study, write_submission(files, QUEUED, record, planned)


def line(**fields) -> bytes:
    return encoded(to_json(JournalLine(**fields).as_object()) + "\n")


def start(job: int) -> bytes:
    return line(start=Process("elsewhere", "boot", 1, 1), job=job, t=1.0)


def task(run: int, repetition: int, state: str = "done", attempt: int = 1) -> bytes:
    """A task that was claimed and ended."""
    facts = {"inputs": {"data/cells.npz": "3f9a"}} if run else {}
    outcome = TaskOutcome(
        run=run, repetition=repetition, attempt=attempt, state=state, facts=facts, code="0123456789ab"
    )
    return line(claim=(run, repetition), attempt=attempt) + line(outcome=outcome)


def append(submission: SubmissionFiles, job: int, start: int, content: bytes) -> None:
    with open(submission.journal(job, start), "ab") as file:
        file.write(content)


def look(study: Study, cache: Path) -> ExperimentStatus:
    return read_status(study, NAME, cache=cache, asking=False)


# Readers agree

TORN = b'{"outcome":{"run":2,"repe'  # the disk was full; the worker then starts a new line
JOURNALS = {
    (0, 1): start(0) + task(0, 0) + task(0, 1, "stopped") + line(end="again"),
    (0, 2): start(0) + task(0, 1, attempt=2) + line(end="done"),
    (1, 1): start(1) + task(1, 0, "failed") + task(1, 1) + line(end="done"),
    (2, 1): start(2) + task(2, 0) + TORN + b"\n" + task(2, 1) + line(end="done"),
}
STEPS = st.lists(
    st.tuples(st.sampled_from(sorted(JOURNALS)), st.integers(1, 500), st.booleans()), min_size=1, max_size=12
)


def known(status: ExperimentStatus) -> tuple:
    (submission,) = status.submissions
    facts = submission.facts
    journals = (facts.read, facts.ended_jobs, facts.workers)
    return status.tasks, status.problems, facts.tasks, None if facts.settled else journals


@pytest.fixture(scope="module")
def growing(tmp_path_factory):
    return submitted(tmp_path_factory.mktemp("growing") / "study", 3, 2)


@pytest.mark.parametrize("share", [0.0, index._SHARE])  # 0: whatever is new is saved
@given(steps=STEPS, finish=st.booleans())
@settings(max_examples=50)
def test_commands_with_and_without_the_index_agree_while_journals_grow(
    growing, tmp_path_factory, share, steps, finish
):
    study, submission = growing
    shutil.rmtree(submission.journals)
    submission.journals.mkdir()
    caches = tmp_path_factory.mktemp("caches")
    rest = dict(JOURNALS)
    fresh = (caches / f"fresh-{number}" for number in itertools.count())
    last = [(by, len(content), True) for by, content in JOURNALS.items()] if finish else []
    with mock.patch.object(index, "_SHARE", share):
        for by, size, sometimes in [*steps, *last]:
            append(submission, *by, rest[by][:size])  # often half of a line
            rest[by] = rest[by][size:]
            expected = known(look(study, next(fresh)))
            assert known(look(study, caches / "always")) == expected
            if sometimes:
                assert known(look(study, caches / "sometimes")) == expected
    if finish:
        states = {key: task.state for key, task in look(study, caches / "always").tasks.items()}
        assert states.pop((1, 0)) is State.FAILED and set(states.values()) == {State.DONE}
        assert index.load(ExperimentFiles(study, NAME), caches / "sometimes")[QUEUED].settled


# The index is written seldom


def written(folder: Path, looks: int) -> list[int]:
    """The sizes of the index each time it is written, if status is asked so often while 300 tasks of a job end."""
    study, submission = submitted(folder / "study", 1, 301)
    sizes, before = [], None
    append(submission, 0, 1, start(0))
    for number in range(looks):
        ended = range(300 * number // looks, 300 * (number + 1) // looks)
        append(submission, 0, 1, b"".join(task(0, repetition) for repetition in ended))
        done = look(study, folder / "cache").counts()[State.DONE]
        assert done == ended.stop
        with contextlib.suppress(StopIteration):
            status = next((folder / "cache").glob("*.json")).stat()
            if status.st_ino != before:
                before = status.st_ino
                sizes.append(status.st_size)
    return sizes


def test_how_often_the_index_is_written_depends_on_what_is_new_and_not_on_who_looks(tmp_path):
    often, very_often = written(tmp_path / "often", 75), written(tmp_path / "very-often", 300)
    assert len(very_often) <= len(often) + 3 and len(very_often) < 30
    assert sum(very_often) < 15 * very_often[-1]


def test_a_command_reads_a_small_part_of_journals_again(tmp_path):
    study, submission = submitted(tmp_path / "study", 1, 1001)
    append(submission, 0, 1, start(0))
    for first in range(0, 1000, 10):
        tasks = range(first, first + 10)
        append(submission, 0, 1, b"".join(task(0, repetition) for repetition in tasks))
        look(study, tmp_path / "cache")
        size = submission.journal(0, 1).stat().st_size
        saved = index.load(ExperimentFiles(study, NAME), tmp_path / "cache")
        lacking = size - (saved[QUEUED].read[0, 1] if saved else 0)
        assert lacking < max(8000, size // 2)


def test_a_submission_is_saved_once_all_its_tasks_have_ended(tmp_path):
    study, submission = submitted(tmp_path / "study", 1, 400)
    append(submission, 0, 1, start(0) + b"".join(task(0, repetition) for repetition in range(399)))
    look(study, tmp_path / "cache")
    append(submission, 0, 1, line(claim=(0, 399), attempt=1))
    look(study, tmp_path / "cache")
    (path,) = (tmp_path / "cache").glob("*.json")
    before = path.read_bytes()
    append(submission, 0, 1, task(0, 399).partition(b"\n")[2])
    look(study, tmp_path / "cache")
    assert path.read_bytes() != before
    shutil.rmtree(submission.journals)  # is not looked at again
    assert look(study, tmp_path / "cache").counts() == {State.DONE: 400}


def test_a_submission_without_a_journal_is_not_saved(tmp_path):
    study, _ = submitted(tmp_path / "study", 3, 2)
    look(study, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_since_when_a_queue_is_quiet_is_saved():
    """No file has it except the index."""
    facts = {QUEUED: Facts({(0, number): TaskFacts(1, "done") for number in range(1000)})}
    assert not index.is_worth_saving(facts, index.extents(facts))
    saved = index.extents(facts)
    facts[QUEUED].quiet = 1.0
    assert index.is_worth_saving(facts, saved)
    saved = index.extents(facts)
    assert not index.is_worth_saving(facts, saved)
    facts[QUEUED].quiet = None
    assert index.is_worth_saving(facts, saved)


def test_what_was_read_in_folders_of_attempts_is_saved_too(tmp_path):
    study, submission = submitted(tmp_path / "study", 1, 60)
    files = ExperimentFiles(study, NAME)
    for repetition in range(59):
        attempt = files.task(0, "00000000", repetition).attempt(1)
        attempt.folder.mkdir(parents=True)
        outcome = Outcome(run=0, repetition=repetition, attempt=1, state="done", submission=submission.name)
        attempt.outcome.write_text(to_json(outcome.as_object()) + "\n")
    assert look(study, tmp_path / "cache").counts()[State.DONE] == 59
    shutil.rmtree(files.folder / "runs")  # is not looked at again
    assert look(study, tmp_path / "cache").counts()[State.DONE] == 59
