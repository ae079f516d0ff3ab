"""A worker sees every cancellation, whatever else comes and goes in `stops/`."""

from __future__ import annotations

from hypothesis import given, strategies as st

from neurofit.process import Process
from neurofit.store.attempts import Claimant
from neurofit.store.layout import SubmissionFiles
from neurofit.store.submissions import Planned, write_stop
from neurofit.worker.job import _Job

TASK = Planned(3, 1, 0)


def job_of(folder) -> _Job:
    files = SubmissionFiles(folder)
    files.stops.mkdir(parents=True, exist_ok=True)
    return _Job(None, None, Claimant(files, 0, 1, Process.here()), None, None, None)


def test_a_cancellation_that_replaces_a_half_written_file_is_seen(tmp_path):
    job = job_of(tmp_path)
    half = job.claimant.submission.stops / ".000001.json.77-0a0b0c0d.partial"
    half.touch()  # as `write_new` makes it, before it gives it its name
    assert not job._cancelled(TASK)
    write_stop(job.claimant.submission, [TASK.key], "mara")
    half.unlink()
    assert job._cancelled(TASK)


@given(st.lists(st.sampled_from(["look", "junk", "tidy", "stop"]), max_size=12))
def test_a_look_after_a_cancellation_always_sees_it(tmp_path_factory, acts):
    job = job_of(tmp_path_factory.mktemp("stops"))
    stops, cancelled = job.claimant.submission.stops, False
    for number, act in enumerate(acts):
        if act == "junk":
            (stops / f".junk-{number}").touch()
        elif act == "tidy":
            for path in stops.glob(".junk-*"):
                path.unlink()
        elif act == "stop":
            write_stop(job.claimant.submission, [TASK.key], "mara")
            cancelled = True
        assert act != "look" or job._cancelled(TASK) == cancelled
    assert job._cancelled(TASK) == cancelled
