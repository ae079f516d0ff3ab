"""The end of files of output, whatever is in them."""

from __future__ import annotations

from hypothesis import given, strategies as st

from neurofit.status import logs

PIECES = st.lists(st.sampled_from([b"\r\n", b"\n", b"\r", b"a", b"bc", b"\xff"]), max_size=25).map(b"".join)


@given(PIECES, st.integers(0, 8), st.integers(1, 7))
def test_the_last_lines_are_those_that_splitting_all_of_the_file_gives(tmp_path_factory, data, lines, block):
    path = tmp_path_factory.getbasetemp() / "log"
    path.write_bytes(data)
    kept, logs._BLOCK = logs._BLOCK, block
    try:
        expected = b"".join(data.splitlines(keepends=True)[-lines:]) if lines else b""
        assert logs.tail(path, lines) == expected
    finally:
        logs._BLOCK = kept
    assert logs.tail(path, None) == data


def test_a_long_log_of_progress_bars_is_read_in_linear_time(tmp_path):
    """Minutes, when each block was put before all others: nobody waits for that unnoticed."""
    path = tmp_path / "stdout.log"
    with open(path, "wb") as file:
        for block in range(64):
            file.write(
                b"".join(b"\r%7d/1000000 [====>    ]" % (block * 40000 + step) for step in range(40000))
            )
    for lines in (20, 10**9):
        assert logs.tail(path, lines).endswith(b"2559999/1000000 [====>    ]")
    assert logs.tail(path, 2).count(b"\r") <= 2


def test_a_line_that_never_ends_is_shown_by_its_end(tmp_path):
    path = tmp_path / "stdout.log"
    path.write_bytes(b"x" * 10_000_000 + b" the end")
    assert logs.last_line(path).endswith("x the end") and len(logs.last_line(path)) <= logs._BLOCK
    assert logs.last_line(tmp_path / "none") == ""
