"""Every record: what neurofit writes fits its type, and what does not fit is named with its file and field."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from neurofit.backends.local.backend import PoolEvent
from neurofit.errors import StoreError
from neurofit.files import parse_lines, to_json
from neurofit.store import records
from neurofit.store.layout import SubmissionFiles
from neurofit.store.submissions import read_queue, read_submission
from neurofit.structure import (
    OpenRecord,
    Record,
    fault,
    read_record,
    structured,
    structured_lines,
    structured_or_none,
)

FIXTURES = Path(__file__).parents[1] / "fixtures"
PROCESS = {"host": "node07", "boot": "b/4026531836", "pid": 33, "started": 7, "machine": "m"}
ERROR = {
    "kind": "exception",
    "type": "ValueError",
    "message": "x",
    "traceback": "t",
    "frames": [{"file": "jobs/e.py", "line": 3, "function": "fit", "code": "raise"}],
    "exit_code": 1,
    "signal": 9,
}
OUTCOME = {
    "state": "done",
    "attempt": 2,
    "experiment": "exp3",
    "run": 17,
    "id": "3f9a1c2e",
    "repetition": 3,
    "architecture": "dog",
    "params": {"lr": 0.1},
    "derived": {},
    "defaults": {"n": 1},
    "on_grid": True,
    "repetitions": 10,
    "split_by": "fold",
    "seeds": {"fit": 1},
    "metrics": {"test/correlation": 0.41, "epochs": 12},
    "facts": {"warnings": ["w"]},
    "progress": 12,
    "error": ERROR,
    "reason": {"kind": "signal", "message": "m"},
    "submission": "20261120-183012-local-k3f9",
    "job": 17,
    "host": "node07",
    "pid": 33,
    "started": "2026-11-20T18:30:12+00:00",
    "ended": "2026-11-20T18:31:12+00:00",
    "wall_seconds": 60,
    "cpu_seconds": 59.5,
    "peak_memory_gb": 0.25,
    "code": "5b6d",
    "commit": "c0ffee",
    "dirty": False,
    "versions": {"python": "3.11.7"},
    "environment": {"OMP_NUM_THREADS": "1"},
    "scratch": True,
    "log": "runs/017-3f9a1c2e/rep-03/attempt-02",
}
VALID: dict[type[Record], dict[str, Any]] = {
    records.SubmissionRecord: {
        "format": 1,
        "name": "20261120-183012-local-k3f9",
        "experiment": "group/exp3",
        "study": "/home/ann/study",
        "script": "jobs/group/exp3.py",
        "repetitions": 10,
        "fresh": False,
        "code": "3f9a1c2e5b6d",
        "code_hash": "5b6d",
        "runner": "gpu",
        "backend": "slurm",
        "resources": {"cpus": 2, "gpus": 1, "memory_gb": 4.5, "walltime_minutes": 90},
        "jobs": 3,
        "created": "2026-11-20T18:30:12+00:00",
        "steps": {"epochs": 20},
        "whole_grid": True,
        "keep_going": False,
        "scratch": False,
        "task_minutes": 5,
        "notify": ["scripts/tell.sh", "ann"],
        "needs": [{"experiment": "it/features", "runs": [[0, 3]], "repetitions": 2}],
        "tasks_per_gpu": 3,
        "tasks_at_a_time": "auto",
        "gpu_memory_gb": 12.5,
        "split_by": "fold",
        "commit": "c0ffee",
        "dirty": True,
        "versions": {"numpy": "1.26"},
        "host": "login1",
        "user": "ann",
        "machine": "m",
        "inode": 12345,
        "changed": 1795199412.25,
    },
    records.SuggestionRecord: {
        "trial": 17,
        "group": "72e0bf11da05cecf",
        "values": {"learning_rate": 0.001, "optimizer": "adam"},
        "derived": {"epochs": 20},
        "sampler": "tpe",
        "seed": 986504807,
        "known": {"done": [[0, 13], [15, 15]], "open": [[14, 14], [16, 16]]},
        "search": "7c37da2f0fc2187c",
        "metric": "validation/correlation",
        "direction": "maximize",
        "submission": "20261120-183012-local-k3f9",
        "versions": {"optuna": "5.0.0"},
        "t": 1795199412.25,
    },
    records.NoticeClaim: {"process": PROCESS, "reason": "ended", "t": 1795199412.25},
    records.NoticeResult: {
        "problem": "It failed with exit code 3.",
        "exit_code": 3,
        "seconds": 0.5,
        "host": "node07",
        "t": 1795199412.25,
        "output": "no route to host",
    },
    records.ResourcesRecord: {"cpus": 2, "gpus": 0, "memory_gb": 4, "walltime_minutes": 1.5},
    records.HostDeathRecord: {
        "host": "node07",
        "cause": "its node failed (node07)",
        "backend": "slurm",
        "experiment": "exp3",
        "submission": "20261120-183012-slurm-k3f9",
        "job": 17,
        "start": 0,
        "t": 1795199412.25,
    },
    records.QueueLine: {
        "id": "123",
        "first": 0,
        "last": 3,
        "process": {"host": "login1", "user": "ann", "pid": 4},
        "complete": True,
        "absent": [[0, 2]],
        "back": [[1, 1]],
        "ended": {"out of memory": [[0, 0]]},
        "t": 1795199412.25,
    },
    records.Cancellation: {"tasks": [[1, 0], [17, 3]], "by": "ann"},
    records.Need: {"experiment": "it/features", "runs": [[0, 3]], "repetitions": 2},
    records.NeedStop: {"message": "it/features (0 of 8 done) ended with 8 failed"},
    records.FailFastStop: {"failures": 5, "message": "ValueError: x"},
    records.RegisteredRun: {
        "run": 17,
        "id": "3f9a1c2e",
        "architecture": "dog",
        "params": {"lr": 0.1},
        "derived": {},
        "on_grid": True,
        "trial": 3,
        "group": "72e0bf11da05cecf",
    },
    records.ChoiceRecord: {
        "run": 1,
        "repetition": 0,
        "attempt": 2,
        "newest": 3,
        "by": "ann",
        "t": 1795199412.25,
    },
    records.Claim: {
        "submission": "20261120-183012-local-k3f9",
        "job": 3,
        "start": 1,
        "process": PROCESS,
        "inode": 12345,
        "t": 1795199412.25,
    },
    records.ErrorRecord: ERROR,
    records.Frame: ERROR["frames"][0],
    records.Reason: OUTCOME["reason"],
    records.Outcome: OUTCOME,
    records.Takeover: {
        "state": "abandoned",
        "error": ERROR,
        "by": {"submission": "s", "job": 3, "start": 2, "process": PROCESS, "inode": 1, "t": 1795199412.25},
        "attempt": 2,
    },
    records.TaskOutcome: OUTCOME,
    records.JournalLine: {
        "start": PROCESS,
        "claim": [17, 3],
        "attempt": 2,
        "skip": [17, 4],
        "why": "done",
        "outcome": OUTCOME,
        "end": "done",
        "job": 3,
        "t": 1795199412.25,
        "host": "node07",
    },
    PoolEvent: {"pool": PROCESS, "begun": True, "ended": 3, "cause": "killed"},
    records.LockRecord: {**PROCESS, "user": "ann", "since": "2026-11-20"},
    records.CheckpointRecord: {"step": 400, "attempt": 2, "rows": 40, "lengths": {"log.txt": 12}},
    records.StorageMarker: {"format": 1, "id": "ab12", "place": "/scratch", "host": "h", "user": "ann"},
}
# What no field takes, but for those whose values are the user's.
WRONG = {"a": [{"b": [None]}]}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KINDS = st.sampled_from(list(VALID))


def fields(kind: type[Record]) -> dict[str, msgspec.structs.FieldInfo]:
    found = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    return {name: field for name, field in found.items() if name != "unknown fields"}


def needed(kind: type[Record]) -> list[str]:
    return [name for name, field in fields(kind).items() if field.required]


def test_every_record_has_an_example_with_all_of_its_fields():
    kinds = {
        kind
        for kind in vars(records).values()
        if isinstance(kind, type) and issubclass(kind, Record) and kind not in (Record, OpenRecord)
    }
    assert {*kinds, PoolEvent} == VALID.keys()
    for kind, example in VALID.items():
        assert example.keys() == fields(kind).keys(), kind


@pytest.mark.parametrize("kind", VALID)
def test_a_record_is_written_as_it_was_read(kind):
    assert json.loads(to_json(structured(VALID[kind], kind, "FILE").as_object())) == VALID[kind]


EARLIER = FIXTURES / "study_0_1_0" / "training_data"
FILES = {
    "outcome.json": records.Outcome,
    "claim.json": records.Claim,
    "checkpoint.json": records.CheckpointRecord,
    "queue.jsonl": records.QueueLine,
    "runs.jsonl": records.RegisteredRun,
    "journal/*.jsonl": records.JournalLine,
}


@pytest.mark.parametrize("pattern, kind", FILES.items())
def test_what_was_read_is_written_with_the_same_bytes(pattern, kind):
    paths = sorted(EARLIER.rglob(pattern))
    assert paths
    for line in (line for path in paths for line in path.read_text(encoding="utf-8").splitlines()):
        now = re.sub(r'("boot":[^{}]*"started":\d+)', r'\1,"machine":""', line)  # 0.1.0 did not write it
        assert to_json(structured(json.loads(now), kind, pattern).as_object()) == now


def test_the_fields_of_a_submission_are_in_the_order_of_earlier_versions():
    for path in EARLIER.rglob("submission.json"):
        there = json.loads(path.read_text(encoding="utf-8").replace("@STUDY@", "/home/ana/study"))
        written = structured(there, records.SubmissionRecord, path).as_object()
        assert [(name, value) for name, value in written.items() if name in there] == list(there.items())


@pytest.mark.parametrize(
    "record, text",
    [
        (records.JournalLine(end="again", why="w"), '{"end":"again","why":"w"}'),
        (records.JournalLine(skip=(1, 0), why="done"), '{"skip":[1,0],"why":"done"}'),
        (records.QueueLine(complete=True), '{"complete":true}'),
        (records.QueueLine(back=[(1, 2)], t=1.5), '{"back":[[1,2]],"t":1.5}'),
        (records.QueueLine(id="7", first=0, last=2), '{"id":"7","first":0,"last":2,"process":null}'),
        (records.ErrorRecord(kind="exit", exit_code=3), '{"kind":"exit","exit_code":3}'),
        (records.Cancellation(tasks=None, by="ann"), '{"tasks":null,"by":"ann"}'),
        (
            records.Cancellation(tasks=frozenset({(2, 0), (1, 3)}), by="ann"),
            '{"tasks":[[1,3],[2,0]],"by":"ann"}',
        ),
    ],
)
def test_fields_that_do_not_apply_are_not_written(record, text):
    assert to_json(record.as_object()) == text


@pytest.mark.parametrize(
    "kind, field", [(kind, field) for kind in VALID for field in needed(kind)], ids=lambda one: str(one)[-40:]
)
def test_a_record_without_a_field_is_an_error_that_names_file_and_field(kind, field):
    value = {name: there for name, there in VALID[kind].items() if name != field}
    with pytest.raises(StoreError) as raised:
        structured(value, kind, "exp3/FILE")
    assert str(raised.value) == f"exp3/FILE: damaged: in {kind.what}, '{field}' is missing."


@pytest.mark.parametrize("kind", VALID)
def test_a_field_that_may_be_missing_may_be_missing(kind):
    least = {name: VALID[kind][name] for name in needed(kind)}
    assert structured(least, kind, "FILE").as_object().items() >= least.items()


@given(KINDS, st.data())
def test_a_damaged_field_is_an_error_that_names_file_and_field(kind, data):
    name = data.draw(st.sampled_from(list(VALID[kind])))
    value = data.draw(ANYTHING)
    wrong = fault({**VALID[kind], name: value}, kind)
    if wrong is None:
        structured({**VALID[kind], name: value}, kind, "FILE")
        return
    assert wrong.startswith(f"in {kind.what}, '{name}") and "\n" not in wrong
    with pytest.raises(StoreError, match=rf"FILE: damaged: in {kind.what}, '{name}"):
        structured({**VALID[kind], name: value}, kind, "FILE")


@given(KINDS, ANYTHING)
def test_any_value_is_a_record_or_an_error(kind, value):
    record = structured_or_none(value, kind)
    assert (record is None) == (fault(value, kind) is not None)


@pytest.mark.parametrize(
    "kind, change, message",
    [
        (records.Outcome, {"attempt": 0}, "'attempt' is 0, expected a whole number of at least 1"),
        (records.Outcome, {"attempt": True}, "'attempt' is True, expected a whole number of at least 1"),
        (
            records.Outcome,
            {"log": "../x"},
            "'log' is '../x', expected a name or a relative path without '..'",
        ),
        (records.Outcome, {"metrics": {"r": "1"}}, "'metrics.r' is '1', expected a number"),
        (records.Outcome, {"metrics": {"r": 10**400}}, "'metrics.r' is too large"),
        (records.Outcome, {"state": "new"}, "'state' is 'new', expected one of done, failed, stopped"),
        (records.Outcome, {"error": {"frames": [{}]}}, "'error.frames[0].file' is missing"),
        (records.Claim, {"process": {}}, "'process.host' is missing"),
        (
            records.Claim,
            {"process": {**PROCESS, "pid": "3"}},
            "'process.pid' is '3', expected a whole number",
        ),
        (
            records.SubmissionRecord,
            {"resources": {"memory_gb": 0}},
            "'resources.memory_gb' is 0, expected a number above 0 or null",
        ),
        (
            records.SubmissionRecord,
            {"script": "/etc/x"},
            "'script' is '/etc/x', expected a name or a relative",
        ),
        (records.SubmissionRecord, {"study": "study"}, "'study' is 'study', expected an absolute path"),
        (
            records.QueueLine,
            {"absent": [[3, 2]]},
            "'absent' has a range of jobs that ends before it starts",
        ),
        (records.Claim, {"inode": -1}, "'inode' is -1, expected an inode"),
        (records.JournalLine, {"attempt": None}, "'attempt' is missing"),
    ],
)
def test_an_error_says_what_is_there_and_what_was_expected(kind, change, message):
    assert message in fault({**VALID[kind], **change}, kind)


def test_a_misspelt_field_is_named_beside_the_one_that_is_missing():
    value = {"runer": "gpu", **VALID[records.SubmissionRecord]}
    del value["runner"]
    wrong = fault(value, records.SubmissionRecord)
    assert wrong == "in a submission, 'runner' is missing; 'runer' may be a misspelling of it"


@pytest.mark.parametrize("value", [None, 3, "text", [], [1]])
def test_what_is_not_an_object_is_named_by_its_type(value):
    assert fault(value, records.Claim).startswith("expected a claim, an object, found ")


@pytest.mark.parametrize("kind", [kind for kind in VALID if issubclass(kind, OpenRecord)])
def test_fields_of_a_later_version_are_kept_when_a_record_is_written_again(kind):
    later = {**VALID[kind], "later": {"deep": [1]}}
    assert msgspec.structs.replace(structured(later, kind, "FILE")).as_object() == later


def line_of(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")


LINES = st.lists(
    st.binary(max_size=20)
    | ANYTHING.map(line_of)
    | st.fixed_dictionaries({"outcome": st.fixed_dictionaries({}, optional={"run": ANYTHING})}).map(line_of)
    | st.builds(
        lambda name, value: line_of({**OUTCOME, name: value}), st.sampled_from(list(OUTCOME)), ANYTHING
    )
    | st.builds(lambda value: line_of({"outcome": {**OUTCOME, "facts": {"f": value}}}), ANYTHING)
    | st.sampled_from(
        [b"NaN", b"1e999", b'{"attempt": 1e999}', b'{"end": "\\ud800"}', b'{"end": "\xff"}', b"[" * 9999]
    ),
    max_size=4,
)


@given(LINES)
def test_lines_decoded_at_once_are_the_same_as_lines_decoded_one_by_one(lines):
    data = b"\n".join(line.replace(b"\n", b" ") for line in lines)
    values, damaged = parse_lines(data)
    single = [structured_or_none(value, records.JournalLine) for value in values]
    found, wrong = structured_lines(data, records.JournalLine)
    assert found == [one for one in single if one is not None]
    assert wrong == damaged + single.count(None)


RUN = {"run": 3, "id": "0e123", "architecture": "hsm", "params": {"x": 1}, "derived": {}, "on_grid": True}
RUN_LINES = st.lists(
    st.just(line_of(RUN))
    | st.builds(lambda value: line_of({**RUN, "later": value}), ANYTHING)
    | st.builds(lambda name, value: line_of({**RUN, name: value}), st.sampled_from(list(RUN)), ANYTHING)
    | st.sampled_from([b"{}", b'{"run":', b'{"params": {"x": 1e999}}', b"1e999"]),
    max_size=4,
)


@given(RUN_LINES)
def test_lines_that_keep_unknown_fields_are_the_same_together_and_one_by_one(lines):
    data = b"\n".join(line.replace(b"\n", b" ") for line in lines)
    values, damaged = parse_lines(data)
    single = [structured_or_none(value, records.RegisteredRun) for value in values]
    found, wrong = structured_lines(data, records.RegisteredRun)
    assert found == [one for one in single if one is not None]
    assert wrong == damaged + single.count(None)


def test_an_inode_may_be_as_large_as_a_file_system_makes_it():
    assert fault({**VALID[records.Claim], "inode": 2**64 - 1}, records.Claim) is None
    assert fault({**VALID[records.SubmissionRecord], "inode": 2**64 - 1}, records.SubmissionRecord) is None


def test_a_submission_of_a_later_format_says_so(tmp_path):
    files = SubmissionFiles(tmp_path)
    files.record.write_text(json.dumps({**VALID[records.SubmissionRecord], "format": 2}))
    with pytest.raises(StoreError, match="later version of neurofit"):
        read_submission(files)


def test_a_line_of_the_queue_that_does_not_fit_is_passed_over(tmp_path):
    files = SubmissionFiles(tmp_path)
    call = {"id": "1", "first": 0, "last": 1, "process": None}
    wrong = [{"id": 3}, {"absent": [[2, 1]]}, {"process": {"host": 5}}, {"first": 10**6}]
    files.queue.write_text("\n".join(map(json.dumps, [call, *wrong, {"complete": True}])))
    memory = read_queue(files)
    assert [tuple(one) for one in memory.calls] == [("1", 0, 1, None)] and memory.complete


def test_a_record_is_read_from_its_file(tmp_path):
    path = tmp_path / "claim.json"
    path.write_text(json.dumps(VALID[records.Claim]))
    assert read_record(path, records.Claim).process.host == "node07"
    path.write_text('{"submission": "s"}')
    with pytest.raises(StoreError, match=f"{path}: damaged: in a claim, 'job' is missing."):
        read_record(path, records.Claim)
    with pytest.raises(FileNotFoundError):
        read_record(Path(tmp_path / "gone.json"), records.Claim)
