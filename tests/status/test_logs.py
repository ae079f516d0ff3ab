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


START = "I0000 00:00:1795957478.358441    6886 cudart_stub.cc:31] Could not find cuda drivers\n"
SCRIPT = f"""
    import sys

    def fit(task):
        sys.stderr.write("before\\n" + {START!r} * 30)
        raise ValueError("no")

    experiment = nf.Experiment(fit)
"""


def test_lines_of_tensorflows_start_are_in_the_file_and_with_all_only(bench):
    bench.script("noisy", SCRIPT)
    bench.run("noisy")
    shown = bench.command("logs", "noisy:0/0", "--tail", "8")
    assert "cudart_stub" not in shown.stdout
    assert "before" in shown.stdout
    assert "30 lines of TensorFlow's start left out; to see all, add --all." in shown.stderr
    assert bench.command("logs", "noisy:0/0", "--all").stdout.count("cudart_stub") == 30
    assert bench.command("logs", "noisy:0/0", "--raw").stdout.count("cudart_stub") == 30
    assert bench.command("logs", "noisy:0/0", "--json").stdout.count("cudart_stub") == 30
    assert "cudart_stub" not in bench.command("failures", "noisy").stdout
