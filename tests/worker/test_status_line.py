"""The line that says how far a task in the foreground is, at the end of a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time

import pytest
from hypothesis import given, strategies as st

from neurofit.text import cell_width
from neurofit.worker.status_line import StatusLine, _cut

SCRIPT = """
    import time

    def fit(task, *, epochs=5):
        for epoch in range(1, 4):
            task.log(epoch, **{"validation/loss": 1 / epoch})
        while not (task.study / "go").exists():
            time.sleep(0.02)
        print("one line")
        return {"validation/loss": 1}

    experiment = nf.Experiment(fit)
    if __name__ == "__main__":
        nf.main(experiment)
"""


@pytest.fixture
def terminal():
    """The two ends of a terminal of 60 columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    yield master, slave
    os.close(master)
    os.close(slave)


def shown(master: int) -> str:
    data = b""
    while select.select([master], [], [], 0)[0]:
        data += os.read(master, 65536)
    return data.decode()


def test_the_line_is_removed_before_output_and_not_drawn_within_a_line(terminal):
    master, slave = terminal
    line = StatusLine(lambda: "epoch 1/5", slave)
    line.draw()
    assert shown(master) == "\r\x1b[Kepoch 1/5"
    line.remove()
    line.printed(b"a bar of its own: 50 %")
    assert shown(master) == "\r\x1b[K"
    line._looked = float("-inf")
    line.draw()
    assert shown(master) == "", "the program's own line is incomplete"
    line.printed(b"\n")
    line.draw()
    assert shown(master) == "\r\x1b[Kepoch 1/5"


def test_a_line_is_cut_to_the_width_of_the_terminal(terminal):
    master, slave = terminal
    StatusLine(lambda: "x" * 200, slave).draw()
    assert shown(master) == "\r\x1b[K" + "x" * 58 + "…"


@given(st.text(), st.integers(2, 40))
def test_a_cut_line_fits(text, room):
    assert cell_width(_cut(text, room)) <= room


def test_a_script_shows_its_progress_on_a_terminal(bench, terminal):
    master, slave = terminal
    bench.script("slow", SCRIPT)
    environment = {**os.environ, "TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path)}
    script = subprocess.Popen(
        [sys.executable, "jobs/slow.py"],
        cwd=bench.root,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment,
    )
    text, end = "", time.monotonic() + 60
    while "epoch 3/5  validation/lo" not in text and time.monotonic() < end:
        time.sleep(0.05)
        text += shown(master)
    (bench.root / "go").touch()
    script.wait(60)
    text += shown(master)
    assert "slow:0/0  0:0" in text
    assert "epoch 3/5  validation/lo" in text
    assert "\r\x1b[Kone line\r\n" in text
    assert script.returncode == 0
    logs = list(bench.study.training_data.glob("slow/runs/*/rep-00/attempt-01/std*.log"))
    assert "".join(log.read_text() for log in logs) == "one line\n", "the line is on the terminal only"
