"""The folder that the attempts of a series share, with the records of a real study."""

from __future__ import annotations

import dataclasses

import pytest

from neurofit.files import read_json, to_json
from neurofit.process import Process
from neurofit.store.layout import ExperimentFiles, TaskFiles
from neurofit.worker import persistent

pytestmark = pytest.mark.process
GONE = dataclasses.replace(Process.here(), started=1)  # this process number belonged to another process
ELSEWHERE = dataclasses.replace(Process.here(), host="elsewhere", boot="another/1", machine="another")


class Attempts:
    """Attempts at the first task of an experiment that was submitted once, and perhaps again."""

    def __init__(self, bench) -> None:
        self.bench = bench
        bench.script("once", 'experiment = nf.Experiment(lambda task: {"x": 1})')
        assert bench.run("once") == {"done": 1}
        self.experiment = ExperimentFiles(bench.study, "once")
        (folder,) = (self.experiment.folder / "runs").glob("*/rep-00")
        self.task = TaskFiles(folder)

    def rerun(self) -> str:
        self.bench.run("once", rerun=True)
        return self.experiment.submissions()[-1].name

    def add(self, process: Process, state: str | None = None, *, job: int = 0, submission: str | None = None):
        """Another attempt by this process, which ended like this."""
        number = self.task.attempts()[-1].number + 1
        attempt = self.task.attempt(number)
        attempt.folder.mkdir()
        first = self.task.attempt(1)
        claim = read_json(first.claim) | {"job": job, "process": process.record()}
        attempt.claim.write_text(to_json(claim | ({"submission": submission} if submission else {})))
        if state is not None:
            attempt.outcome.write_text(
                to_json(read_json(first.outcome) | {"state": state, "attempt": number})
            )
        return attempt

    def folder(self, attempt) -> str:
        return persistent.folder_of(self.task, attempt).name


@pytest.fixture
def attempts(bench) -> Attempts:
    return Attempts(bench)


@pytest.mark.parametrize(
    ("process", "state"), [(ELSEWHERE, "stopped"), (ELSEWHERE, "failed"), (GONE, None), (GONE, "abandoned")]
)
def test_what_follows_an_attempt_that_is_over_gets_its_folder(attempts, process, state):
    first = attempts.add(process, state)
    assert attempts.folder(first) == "persistent-02"
    assert attempts.folder(attempts.add(Process.here(), job=1)) == "persistent-02"


@pytest.mark.parametrize("state", [None, "abandoned"])
def test_what_follows_an_attempt_that_may_only_be_slow_gets_a_copy_and_keeps_it(attempts, state):
    first = attempts.add(ELSEWHERE, state)
    own = persistent.folder_of(attempts.task, first)
    (own / "inner").mkdir()
    (own / "inner" / "state").write_text("7")
    second = attempts.add(Process.here(), job=1)
    copy = persistent.folder_of(attempts.task, second)
    assert copy.name == "persistent-03" and (copy / "inner" / "state").read_text() == "7"
    (copy / "inner" / "state").write_text("8")
    assert (own / "inner" / "state").read_text() == "7"
    assert persistent.folder_of(attempts.task, second) == copy
    assert (copy / "inner" / "state").read_text() == "8", "it is copied once"


def test_a_restart_of_the_same_job_goes_on_in_its_folder(attempts):
    assert attempts.folder(attempts.add(ELSEWHERE, "abandoned")) == "persistent-02"
    assert attempts.folder(attempts.add(ELSEWHERE)) == "persistent-02"


def test_a_rerun_has_a_folder_of_its_own_and_leaves_the_earlier_one(attempts):
    assert attempts.folder(attempts.task.attempt(1)) == "persistent-01"
    rerun = attempts.rerun()
    last = attempts.task.attempts()[-1]
    assert attempts.folder(last) == "persistent-02"
    again = attempts.add(GONE, "stopped", submission=rerun)
    assert attempts.folder(again) == "persistent-02"


def test_what_goes_on_after_a_rerun_that_was_stopped_early_does_not_find_the_earlier_series(attempts):
    assert attempts.folder(attempts.task.attempt(1)) == "persistent-01"
    attempts.rerun()  # has not asked for its folder
    resumed = attempts.add(Process.here())
    assert attempts.folder(resumed) == "persistent-03"
