"""Numbers are given once."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from neurofit.errors import StoreError
from neurofit.store.records import RegisteredRun
from neurofit.store.registry import read_registry, register


def run(number: int, **derived) -> RegisteredRun:
    return RegisteredRun(number, f"id{number}", "hsm", {"filters": number}, derived)


def test_runs_are_appended_once_and_a_changed_derived_value_supersedes(tmp_path):
    path = tmp_path / "runs.jsonl"
    register(path, read_registry(path), [run(0), run(1)])
    register(path, read_registry(path), [run(0), run(1, epochs=5), run(2)])
    registry = read_registry(path)
    assert registry.pairs() == [(0, "id0"), (1, "id1"), (2, "id2")]
    assert registry.runs[1].derived == {"epochs": 5}
    assert len(path.read_text().splitlines()) == 4


def test_a_damaged_line_is_counted_the_rest_is_read_and_nothing_is_added(tmp_path):
    path = tmp_path / "runs.jsonl"
    register(path, read_registry(path), [run(0), run(1), run(2)])
    lines = path.read_text().splitlines()
    lines[1] = lines[1][:20]
    path.write_text("\n".join(lines) + "\n")
    registry = read_registry(path)
    assert list(registry.runs) == [0, 2] and registry.damaged == 1
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"1 damaged line\(s\)"):
        register(path, registry, [run(3)])
    assert path.read_bytes() == before


def test_a_torn_last_line_is_followed_by_a_fresh_one(tmp_path):
    from neurofit.files import append_lines, parse_lines

    path = tmp_path / "lines.jsonl"
    path.write_text('{"a":1}\n{"a":')
    append_lines(path, [{"a": 2}])
    assert parse_lines(path.read_bytes()) == ([{"a": 1}, {"a": 2}], 1)


def test_half_a_last_line_after_a_full_disk_was_never_used_and_blocks_nothing(tmp_path):
    path = tmp_path / "runs.jsonl"
    register(path, read_registry(path), [run(0), run(1)])
    whole = path.read_bytes()
    with open(path, "ab") as file:
        file.write(b'{"run":2,"id":"id2","archi')
    registry = read_registry(path)
    assert (registry.pairs(), registry.damaged) == ([(0, "id0"), (1, "id1")], 0)
    register(path, registry, [run(0), run(1), run(2, again=True)])
    assert path.read_bytes().startswith(whole + b'{"run":2,"id":"id2","architecture"')
    assert read_registry(path).runs[2].derived == {"again": True}


def test_a_whole_last_line_that_lost_only_its_newline_keeps_its_number(tmp_path):
    path = tmp_path / "runs.jsonl"
    register(path, read_registry(path), [run(0), run(1)])
    path.write_bytes(path.read_bytes()[:-1])  # as an editor saves it
    registry = read_registry(path)
    assert registry.pairs() == [(0, "id0"), (1, "id1")]
    register(path, registry, [run(2)])
    assert read_registry(path).pairs() == [(0, "id0"), (1, "id1"), (2, "id2")]


@given(st.integers(0, 400), st.integers(0, 400))
def test_wherever_two_writes_are_torn_every_run_keeps_the_number_it_had(tmp_path_factory, first, second):
    path = tmp_path_factory.mktemp("registry") / "runs.jsonl"
    given = {}
    for cut, news in ((first, [run(0), run(1)]), (second, [run(2), run(3)])):
        before = path.stat().st_size if path.exists() else 0
        register(path, read_registry(path), news)
        with open(path, "ab") as file:
            file.truncate(min(before + cut, file.tell()))
        for number, one in given.items():
            assert read_registry(path).runs[number] == one
        given |= read_registry(path).runs
    register(path, read_registry(path), [run(number) for number in range(5)])
    registry = read_registry(path)
    assert registry.damaged == 0 and list(registry.runs) == [0, 1, 2, 3, 4]
