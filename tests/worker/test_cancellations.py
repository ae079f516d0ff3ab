"""A worker sees every cancellation, whatever else comes and goes in `stops/`."""

from __future__ import annotations

from hypothesis import given, strategies as st

from neurofit.store.layout import SubmissionFiles
from neurofit.store.submissions import Planned, write_stop
from neurofit.worker.cancellations import Cancellations

TASK = Planned(3, 1, 0)


def cancellations_in(folder) -> Cancellations:
    files = SubmissionFiles(folder)
    files.stops.mkdir(parents=True, exist_ok=True)
    return Cancellations(files)


def test_a_cancellation_that_replaces_a_half_written_file_is_seen(tmp_path):
    found = cancellations_in(tmp_path)
    half = found.submission.stops / ".000001.json.77-0a0b0c0d.partial"
    half.touch()  # as `write_new` makes it, before it gives it its name
    assert not found.cover(TASK)
    write_stop(found.submission, [TASK.key], "mara")
    half.unlink()
    assert found.cover(TASK)


@given(st.lists(st.sampled_from(["look", "junk", "tidy", "stop"]), max_size=12))
def test_a_look_after_a_cancellation_always_sees_it(tmp_path_factory, acts):
    found = cancellations_in(tmp_path_factory.mktemp("stops"))
    stops, cancelled = found.submission.stops, False
    for number, act in enumerate(acts):
        if act == "junk":
            (stops / f".junk-{number}").touch()
        elif act == "tidy":
            for path in stops.glob(".junk-*"):
                path.unlink()
        elif act == "stop":
            write_stop(found.submission, [TASK.key], "mara")
            cancelled = True
        assert act != "look" or found.cover(TASK) == cancelled
    assert found.cover(TASK) == cancelled
