"""Outcomes that are read for a table: the same as one by one, and what they share is one object."""

from __future__ import annotations

import json

import pytest

from neurofit.store.journal import read_outcomes
from neurofit.store.packed_outcomes import OutcomeReader, fields_of, read_journal


def line(repetition=0, **fields):
    outcome = {
        "run": 0,
        "id": "3f9a1c2e",
        "params": {"x": 1, "y": 1.0, "z": True},
        "repetition": repetition,
        "attempt": 1,
        "state": "done",
        "metrics": {"score": repetition},
        "facts": {},
        "error": None,
        "versions": {"python": "3.11"},
        **fields,
    }
    return json.dumps({"outcome": outcome}, separators=(",", ":"))


def both(path):
    """As the reader gives them, and as they are read one by one."""
    found, is_damaged = OutcomeReader().read(str(path), read_journal(str(path)))
    plain, was_damaged = read_outcomes(str(path))
    assert is_damaged == was_damaged
    assert [one.size for one in found] == [size for _, size in plain]
    expected = [fields_of(outcome) for outcome, _ in plain]
    assert list(map(repr, (one.fields for one in found))) == list(map(repr, expected))
    return found, is_damaged


def test_equal_values_of_several_outcomes_are_one_object_and_unlike_ones_are_not(tmp_path):
    path = tmp_path / "000000.1.jsonl"
    path.write_text("\n".join([line(), line(1), line(2, params={"x": 1.0, "y": 1, "z": 1}), ""]))
    (first, second, third), is_damaged = both(path)
    assert not is_damaged
    assert first.fields["params"] is second.fields["params"] is not third.fields["params"]
    assert first.fields["id"] is third.fields["id"] and first.fields["versions"] is third.fields["versions"]
    assert first.fields["metrics"] is not second.fields["metrics"]


@pytest.mark.parametrize(
    "bad",
    [
        line(1, params=[1]),
        line(1, versions="3.11"),
        line(1, metrics={"score": "high"}),
        line(1).replace('"score":1', '"score":1e999'),
        line(1, facts={"lone": "\ud800"}),
        line(1, error={"type": "ValueError", "frames": [3]}),
        line(1)[:-9],
        '{"outcome":null}',
        '{"outcome":{"run":0}}',
    ],
)
def test_a_line_that_does_not_fit_is_treated_as_if_read_alone(tmp_path, bad):
    path = tmp_path / "000000.1.jsonl"
    path.write_text("\n".join([line(), bad, line(2, reason={"kind": "x", "message": None}), ""]))
    both(path)
