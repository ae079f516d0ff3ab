"""No damaged file gives a traceback, a hang, or a wrong answer without a word; thousands of them:
scripts/hostile.
"""

from __future__ import annotations

import json
import shutil

import msgspec
import pytest
from hypothesis import given, strategies as st

from hostile.oracle import command, faults, tried
from hostile.study import build, records
from neurofit.backends.local.backend import PoolEvent
from neurofit.errors import StoreError
from neurofit.files import from_json, read_json
from neurofit.store import records as records_of
from neurofit.structure import fault

SEEDS = range(24)  # others are tried by scripts/hostile


@pytest.fixture(scope="module")
def used(tmp_path_factory, processes):
    return build(tmp_path_factory.mktemp("hostile") / "study")


@pytest.fixture(autouse=True)
def back_home(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("block", range(4))
def test_a_damaged_file_is_named_and_never_shown_as_something_else(used, tmp_path, block):
    for seed in SEEDS[block::4]:
        case = tried(used, tmp_path / "case", seed, commands=2)
        assert faults(case, used, tmp_path / "case") == [], str(case)
        shutil.rmtree(tmp_path / "case")


def test_the_study_itself_is_shown_without_a_complaint(used, monkeypatch):
    monkeypatch.chdir(used)
    for words in (["status", "exp"], ["results", "exp"], ["failures", "exp"], ["clean", "--dry-run"]):
        said = command(*words)
        assert not said.trace and "Warning" not in said.err and "damaged" not in said.err, said
    assert len(records(used)) > 60


@pytest.mark.parametrize(
    "record",
    [
        "submission.json",
        "runs.jsonl",
        "000000.1.jsonl",
        "queue.jsonl",
        "000001.json",
        "claim.json",
        "outcome.json",
        "alike.json",
        ".lock",
        "pool.jsonl",
    ],
)
def test_what_neurofit_writes_fits_its_record(used, record):
    kind = {
        "submission.json": records_of.SubmissionRecord,
        "runs.jsonl": records_of.RegisteredRun,
        "queue.jsonl": records_of.QueueLine,
        "000000.1.jsonl": records_of.JournalLine,
        "000001.json": records_of.Cancellation,
        "claim.json": records_of.Claim,
        "outcome.json": records_of.TaskOutcome,
        "alike.json": records_of.FailFastStop,
        ".lock": records_of.LockRecord,
        "pool.jsonl": PoolEvent,
    }[record]
    paths = list((used / "training_data").rglob(record))
    assert paths
    for path in paths:
        for line in path.read_text().splitlines():
            value = json.loads(line)
            assert fault(value, kind) is None, path
            fields = {field.encode_name for field in msgspec.structs.fields(kind)}
            known = {*fields, "job", "t", "host", "by"}  # notes that no code reads
            assert value.keys() <= known, path


@given(
    st.binary(max_size=40)
    | st.sampled_from([b"NaN", b"[" * 10**5, b"1e999", b"-1E+400", b"9" * 5000, b"\xff"])
)
def test_bytes_are_json_or_a_value_error(data):
    try:
        value = from_json(data)
    except ValueError:
        return
    assert json.loads(json.dumps(value, allow_nan=False)) == value


def test_a_folder_or_a_loop_in_place_of_a_record_is_damage(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    for name in ("folder", "loop"):
        with pytest.raises(StoreError, match=f"{name}: damaged, this is not a file"):
            read_json(tmp_path / name)
