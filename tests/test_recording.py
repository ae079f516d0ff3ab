"""With recording off, a study and the caches stay as they are, whatever is read."""

from __future__ import annotations

import json
import os

import pytest
from fakes import Fakes

from neurofit import files, recording
from neurofit.errors import StoreError
from neurofit.status.experiment_status import read_status
from neurofit.store.records import JournalLine

NOTHING = json.dumps({"timestamp": 1, "pbs_version": "23.06.06"})


def times(folder) -> dict[str, tuple[int, int]]:
    found = [folder, *folder.rglob("*")]
    return {str(path): (path.lstat().st_mtime_ns, path.lstat().st_size) for path in found}


@pytest.mark.parametrize(
    "write",
    [
        lambda path: files.write_whole(path, "x"),
        lambda path: files.write_new(path, "x"),
        lambda path: files.append_lines(path, [{}]),
    ],
)
def test_no_record_is_written(tmp_path, write):
    with recording.off(), recording.off():
        with pytest.raises(OSError, match="Read-only"), recording.off():
            write(tmp_path / "record")
        with pytest.raises(StoreError, match="cannot be written"), files.explain_os_errors(tmp_path, "write"):
            write(tmp_path / "record")
    assert not os.listdir(tmp_path)
    write(tmp_path / "record")
    assert os.listdir(tmp_path) == ["record"]


def test_what_a_queue_answers_first_is_noted_only_with_recording_on(bench, tmp_path, monkeypatch, own_home):
    fakes = Fakes(tmp_path / "fakes", monkeypatch, ["qsub", "qstat", "qdel", "qselect"])
    fakes.say("qsub", "2[].pbshost\n")
    fakes.say("qsub", "pbs_version = 23.06.06\n", call=1)
    fakes.say("qstat", NOTHING, stderr="qstat: Unknown Job Id 2[].pbshost\n", status=153)
    bench.script("quick", "def fit(task, *, x=0):\n    return {'m': x}\nexperiment = nf.Experiment(fit)\n")
    submitted = bench.submit("quick", bench.runner("queue", "backend: pbs\ngrace_seconds: 100\n"))
    skip = JournalLine(skip=(0, 0), why="a long reason " * 1000)  # enough for the index to be written
    files.write_whole(submitted.files.journal(0, 1), files.to_json(skip.as_object()) + "\n")
    before = times(bench.root), times(own_home)
    with recording.off():
        status = read_status(bench.study, "quick")
    assert (times(bench.root), times(own_home)) == before
    assert status.queues[submitted.files.name].answered
    bench.status("quick")
    assert b"absent" in submitted.files.queue.read_bytes()
    assert (own_home / "cache").exists()
