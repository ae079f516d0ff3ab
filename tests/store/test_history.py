"""`history.csv`, written and read back."""

from __future__ import annotations

import pytest

from neurofit.errors import StoreError
from neurofit.store.history import History, read_history


def test_what_was_logged_is_read_back_by_column(tmp_path):
    history = History(tmp_path / "history.csv")
    history.add(1, {"loss": 0.5})
    history.add(2, {"loss": 0.25, "test/correlation": float("nan")})
    history.add(4, {"test/correlation": 0.75})
    history.close()
    found = read_history(tmp_path / "history.csv")
    assert found["loss"] == ([1, 2], [0.5, 0.25])
    assert found["test/correlation"][0] == [2, 4] and found["test/correlation"][1][1] == 0.75


def test_a_torn_last_row_is_passed_over(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text("step,a\n1,0.5\n2,0.")
    assert read_history(path) == {"a": ([1], [0.5])}
    path.write_text("")
    assert read_history(path) == {}
    with pytest.raises(FileNotFoundError):
        read_history(tmp_path / "none.csv")


@pytest.mark.parametrize("row", ["2,o.5", "x,0.5"])
def test_a_cell_that_is_not_a_number_is_named_with_its_file(tmp_path, row):
    path = tmp_path / "history.csv"
    path.write_text(f"step,a\n1,0.5\n{row}\n3,0.5\n")
    with pytest.raises(StoreError, match=f"history.csv: damaged row {row}"):
        read_history(path)


def test_a_history_that_is_not_a_text_is_named(tmp_path):
    (tmp_path / "history.csv").write_bytes(b"step,loss\n1,0.\xff\n")
    with pytest.raises(StoreError, match=r"history\.csv: damaged: expected comma-separated numbers"):
        read_history(tmp_path / "history.csv")
