"""Tables as Parquet files."""

from __future__ import annotations

import io
import json

import pandas as pd
import pytest
from hypothesis import given, strategies as st

from neurofit.tables.parquet import parquet

pytest.importorskip("pyarrow", reason="pyarrow is not installed")
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.lists(st.integers(), max_size=2)
)


def read(data: bytes) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(data))


def test_columns_keep_their_names_types_and_missing_values():
    frame = pd.DataFrame(
        {
            "run": [0, 1],
            "lr": [0.1, None],
            "model": ["a", None],
            "off": [True, False],
            "layers": [[1], [2, 3]],
        }
    )
    found = read(parquet(frame))
    assert list(found) == list(frame)
    assert found["run"].tolist() == [0, 1] and found["off"].tolist() == [True, False]
    assert found["lr"][0] == 0.1 and pd.isna(found["lr"][1]) and pd.isna(found["model"][1])
    assert [json.loads(text) for text in found["layers"]] == [[1], [2, 3]]


@given(st.lists(VALUES, min_size=1, max_size=5))
def test_any_mixture_of_values_is_written_and_read_again(values):
    found = read(parquet(pd.DataFrame({"x": pd.Series(values, dtype=object)})))["x"].tolist()
    for value, after in zip(values, found, strict=True):
        if value is None:
            assert pd.isna(after)
        elif isinstance(value, str):
            assert after in (value, json.dumps(value), value.encode("utf-8", "backslashreplace").decode())
        else:
            assert after == value or json.loads(after) == value


@pytest.mark.process
def test_on_the_command_line_bytes_go_to_a_file_and_not_to_a_terminal(bench):
    bench.script("small", "experiment = nf.Experiment(lambda task, *, x=0: {'m': x}, nf.grid(x=[1, 2]))\n")
    bench.run("small")
    done = bench.command("results", "small", "--format", "parquet", text=False)
    assert done.returncode == 0 and read(done.stdout)["m"].tolist() == [1, 2]
