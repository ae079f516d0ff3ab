"""Numbers are given once."""

from __future__ import annotations

import pytest

from neurofit.errors import StoreError
from neurofit.experiments.store.registry import RegisteredRun, read_registry, register


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
    from neurofit.files import append_lines, read_lines

    path = tmp_path / "lines.jsonl"
    path.write_text('{"a":1}\n{"a":')
    append_lines(path, [{"a": 2}])
    assert read_lines(path) == ([{"a": 1}, {"a": 2}], 1)
