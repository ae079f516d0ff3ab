"""Files are whole or not there."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from hypothesis import given, strategies as st

from neurofit.errors import StoreError
from neurofit.files import (
    encoded,
    explain_os_errors,
    from_json,
    parse_lines,
    read_json,
    to_json,
    write_new,
    write_whole,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(), JSON, max_size=3), max_size=5))
def test_lines_come_back_as_they_went(records):
    data = b"".join(encoded(to_json(record) + "\n") for record in records)
    assert parse_lines(data) == (records, 0)


@given(st.lists(st.dictionaries(st.text(), JSON, max_size=3), min_size=1, max_size=5), st.data())
def test_a_file_cut_anywhere_loses_at_most_its_last_line(records, data):
    whole = b"".join(encoded(to_json(record) + "\n") for record in records)
    cut = data.draw(st.integers(0, len(whole)))
    found, damaged = parse_lines(whole[:cut])
    assert found == records[: len(found)] and damaged <= 1


def test_a_lone_surrogate_survives(tmp_path):
    write_whole(tmp_path / "a.json", to_json({"text": "\udcff"}))
    assert read_json(tmp_path / "a.json") == {"text": "\udcff"}


def test_only_one_makes_a_new_file(tmp_path):
    assert write_new(tmp_path / "a", "1") and not write_new(tmp_path / "a", "2")
    assert (tmp_path / "a").read_text() == "1"
    assert os.listdir(tmp_path) == ["a"]


@pytest.fixture
def small_disk(tmp_path, processes):
    if os.geteuid():
        pytest.skip("only root can mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)]).returncode:
        pytest.skip("this machine lets nobody mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_the_old_file_and_no_partial_one(small_disk):
    write_whole(small_disk / "a", "old")
    with (
        pytest.raises(StoreError, match=r"No space left on device\. The disk or your quota is full"),
        explain_os_errors(small_disk / "a", "write it"),
    ):
        write_whole(small_disk / "a", json.dumps("x" * 200_000))
    assert (small_disk / "a").read_text() == "old"
    assert os.listdir(small_disk) == ["a"]


@pytest.mark.parametrize(
    "text",
    ["1e999", "-1E+400", "[1e999]", '{"a":2.5e400}', '{"a":[1,1e999 ]}', "1e0999\n", '{"a":1e999,"b":1}'],
)
def test_a_number_that_a_float_cannot_hold_is_refused(text):
    with pytest.raises(ValueError, match="too large"):
        from_json(text.encode())


@pytest.mark.parametrize("value", [["0e1234", "e999"], {"1e999": "1e999, 1e999"}, 1e300, 1e-300])
def test_other_values_with_such_digits_are_read(value):
    assert from_json(json.dumps(value).encode()) == value
