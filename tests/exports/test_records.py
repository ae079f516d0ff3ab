"""What is read of tasks for an export, whatever their arguments, facts and histories are."""

from __future__ import annotations

import itertools
import json
import math

import pytest
from hypothesis import given, settings, strategies as st

from neurofit.exports import tensorboard_logs
from neurofit.exports.records import TaskRecord, _clean, _places, by_step

names = st.text(min_size=1, max_size=8)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
curves = st.dictionaries(
    names, st.lists(st.tuples(st.integers(0, 2**53), st.floats()), min_size=1, max_size=4), max_size=3
)


@given(values)
def test_texts_can_be_written_in_any_encoding_and_all_else_stays(value):
    cleaned = _clean(value)
    json.dumps(cleaned, ensure_ascii=False).encode("utf-8")
    if json.dumps(value).isascii() and "\\ud" not in json.dumps(value):
        assert cleaned == value


@given(st.sets(st.floats(allow_nan=False), max_size=8))
def test_places_of_steps_are_whole_and_in_order(steps):
    places = _places(steps)
    assert set(places) == steps and all(type(one) is int and one >= 0 for one in places.values())
    ordered = sorted(steps)
    assert all(places[one] < places[other] for one, other in itertools.pairwise(ordered))


def record(arguments, metrics, curves, facts) -> TaskRecord:
    origin = {"experiment": "e", "state": "done", "id": "a", "code": "c"}
    return TaskRecord("e", 1, 0, 1, "a", "done", arguments, metrics, curves, facts, origin, 1.0, 2.0)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.dictionaries(names, values, max_size=3), min_size=1, max_size=3),
    st.dictionaries(names, st.floats(allow_nan=False, allow_infinity=False), max_size=2),
    curves,
    st.dictionaries(names, values, max_size=2),
)
def test_tensorboard_takes_arguments_metrics_and_curves_of_any_kind(
    tmp_path_factory, arguments, metrics, curves, facts
):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    folder = tmp_path_factory.mktemp("logs")
    tasks = [record(_clean(one), _clean(metrics), _clean(curves), _clean(facts)) for one in arguments]
    done = []
    tensorboard_logs.write(folder, tasks, folder, done.append)
    assert done == list(range(1, len(tasks) + 1))
    assert list(folder.rglob("events.out.tfevents*"))


def test_numbers_of_one_step_are_together():
    task = record({}, {}, {"a": [(2, 1.0), (1, 3.0)], "b": [(2, math.inf)]}, {})
    assert by_step(task) == [(1, {"a": 3.0}), (2, {"a": 1.0, "b": math.inf})]
