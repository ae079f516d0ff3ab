"""Metrics in the files and in the output of programs."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, strategies as st

from neurofit.errors import GridError, ProgramError
from neurofit.programs import metrics

STEPS = metrics.compiled(metrics.STEP, "progress")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("m.json", '{"r": 0.4, "test": {"ev": 1, "by": {"x": 2}}}', {"r": 0.4, "test/ev": 1, "test/by/x": 2}),
        ("m.yaml", "r: 1e-3\ntest:\n  ev: 2\n", {"r": 1e-3, "test/ev": 2}),
        ("m.csv", "epoch,r\n1,0.2\n2,0.4\n\n", {"epoch": 2, "r": 0.4}),
        ("m.csv", "\ufeffev,r\r\n1, 3 \r\n", {"ev": 1, "r": 3}),
    ],
)
def test_a_file_gives_names_and_values(tmp_path, name, text, expected):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert metrics.read(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.json", b'{"r": 0.', "m.json cannot be read as JSON: .* Did the program write all of it"),
        ("m.json", b"[" * 100_000, "nested too deeply"),
        ("m.json", b"[1]", "holds list, expected names and numbers"),
        ("m.json", b"\xff\xff", "cannot be read as JSON"),
        ("m.json", b" " * 1_000_001, "more than 1,000,000 bytes"),
        ("m.yaml", b"a: [", "cannot be read as YAML"),
        ("m.yaml", b"", "holds NoneType"),
        ("m.json", b'{"test": {"r": "low"}}', r"'test/r' is text \('low'\), expected a number"),
        ("m.json", b'{"r": [0.1]}', "'r' is a list"),
        ("m.yaml", b"r: true\n", "'r' is true or false"),
        ("m.json", b'{"r": null}', "'r' is null"),
        ("m.csv", b"name,r\nlast,3\n", r"'name' is text \('last'\)"),
        ("m.csv", b"r,ev\n", "1 rows, expected a row of names"),
        ("m.csv", b"r,ev\n0.1,0.2\n0.3\n", "2 names and 1 values in the last row"),
    ],
)
def test_a_file_that_holds_no_metrics_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ProgramError, match=message):
        metrics.read(tmp_path / name)


def test_a_missing_file_is_named_with_the_way_to_write_it(tmp_path):
    with pytest.raises(ProgramError, match=r"wrote no m\.json .* \{folder\}/m\.json"):
        metrics.read(tmp_path / "m.json")


@given(st.binary(max_size=60), st.sampled_from(metrics.SUFFIXES))
def test_any_bytes_are_metrics_or_an_error_that_says_so(tmp_path_factory, content, suffix):
    path = tmp_path_factory.mktemp("metrics") / f"m{suffix}"
    path.write_bytes(content)
    try:
        assert isinstance(metrics.read(path), dict)
    except ProgramError as error:
        assert path.name in str(error)


@given(st.dictionaries(st.text(min_size=1).filter(lambda name: "/" not in name), st.floats(allow_nan=False)))
def test_what_python_writes_is_what_is_read(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("metrics") / "m.json"
    path.write_text(json.dumps(values))
    assert metrics.read(path) == values


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("step 12: loss 0.3", 12),
        ("Epoch 3/10", 3),
        ("epoch: 4", 4),
        ("global_step=7 step=8", 8),
        ("iteration 900", 900),
        (" 45%|####      | 45/100 [00:03<00:04, 12.0it/s]", 45),
        ("missteps 3", None),
        ("nothing here 5", None),
    ],
)
def test_usual_words_for_progress_are_known(line, step):
    found = metrics.in_line(STEPS, line)
    assert found.get("step", found.get("count")) == step


def test_of_several_numbers_in_a_line_the_last_counts_and_words_are_passed_over():
    pattern = metrics.compiled(r"r=(?P<r>\S+)", "pattern")
    assert metrics.in_line(pattern, "r=0.1 r=0.2") == {"r": 0.2}
    assert metrics.in_line(pattern, "r=none") == {}
    assert math.isnan(metrics.in_line(pattern, "r=nan")["r"])


@pytest.mark.parametrize("pattern", ["(", "no group", 3])
def test_a_pattern_without_named_groups_is_refused(pattern):
    with pytest.raises(GridError, match="Command\\(pattern="):
        metrics.compiled(pattern, "pattern")
