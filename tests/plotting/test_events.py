"""Event files as TensorFlow 1 and 2 wrote them, made here byte by byte."""

from __future__ import annotations

import struct

import pytest

from neurofit.errors import DataError, UsageError
from neurofit.plotting import events

TAG = "loss/correlation/correlation"
protocol = pytest.importorskip("tensorboard.compat.proto.event_pb2")


def write(folder, values, tag=TAG, name="events.out.tfevents.1.host", form="simple_value", torn=b""):
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("wb") as file:
        for step, value in values:
            event = protocol.Event(step=step)
            one = event.summary.value.add(tag=tag)
            if form == "simple_value":
                one.simple_value = value
            elif form == "float_val":
                one.tensor.float_val.append(value)
            else:
                one.tensor.tensor_content = struct.pack("<f", value)
            text = event.SerializeToString()
            file.write(struct.pack("<Q", len(text)) + b"\0" * 4 + text + b"\0" * 4)
        file.write(torn)


@pytest.mark.parametrize("form", ["simple_value", "float_val", "tensor_content"])
def test_scalars_by_tag_however_they_are_written(tmp_path, form):
    write(tmp_path, [(100, 0.25), (200, 0.5)], form=form, torn=struct.pack("<Q", 900) + b"\0" * 10)
    steps, values = events.read_events(tmp_path)[TAG]
    assert steps.tolist() == [100, 200] and values.tolist() == [0.25, 0.5]


def test_a_step_that_was_written_again_counts_once(tmp_path):
    write(tmp_path, [(1, 0.0), (2, 0.5)], name="events.out.tfevents.1.host")
    write(tmp_path, [(2, 0.75), (3, 1.0)], name="events.out.tfevents.2.host")
    steps, values = events.read_events(tmp_path)[TAG]
    assert steps.tolist() == [1, 2, 3] and values.tolist() == [0, 0.75, 1]


def test_repetitions_of_ndns_folders(tmp_path):
    for repetition in (0, 1):
        for part in ("train", "test"):
            write(
                tmp_path / f"01-02_03-04-05_exp1x12__{repetition}" / "summaries" / part, [(1, repetition / 2)]
            )
    write(tmp_path / "01-02_03-04-06_exp1x3__0" / "summaries" / "test", [(1, 0.125)])
    tag, runs = events.repetitions(tmp_path)
    assert tag == TAG
    assert {
        name: [(one.repetition, one.values.tolist()) for one in found] for name, found in runs.items()
    } == {
        "exp1x12": [(0, [0.0]), (1, [0.5])],
        "exp1x3": [(0, [0.125])],
    }


def test_what_is_missing_is_reported(tmp_path):
    with pytest.raises(DataError, match="no event files"):
        events.repetitions(tmp_path)
    with pytest.raises(DataError, match="no event files"):
        events.read_events(tmp_path / "nowhere")
    write(tmp_path, [(1, 0)])
    with pytest.raises(UsageError, match=f"Did you mean '{TAG}'"):
        events.repetitions(tmp_path, TAG + "s")
    (tmp_path / "events.out.tfevents.3.host").write_bytes(
        struct.pack("<Q", 3) + b"\0" * 4 + b"\xff\xff\xff" + b"\0" * 4
    )
    with pytest.raises(DataError, match="damaged"):
        events.read_events(tmp_path)
