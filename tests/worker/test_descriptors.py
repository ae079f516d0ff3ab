"""Waiting for input, also in a process that has many files open."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

import pytest

from neurofit.worker import program
from neurofit.worker.descriptors import readable
from neurofit.worker.supervisor import Signals


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


def test_what_has_input_or_has_come_to_its_end_is_readable(pipe):
    read, write = pipe
    began = time.monotonic()
    assert readable([read], 0.05) == [] and time.monotonic() - began >= 0.05
    os.write(write, b"x")
    assert readable([read], 60) == [read]
    os.read(read, 1)
    os.close(write)
    assert readable([read], 60) == [read] and os.read(read, 1) == b""


def test_a_descriptor_that_is_closed_is_an_error(pipe):
    os.close(pipe[0])
    with pytest.raises(OSError, match="Bad file descriptor"):
        readable([pipe[0]], 60)


def test_descriptors_may_have_any_number(many_open_files):
    signals = Signals()
    assert signals.descriptor > 1024 and signals.wait(0.01, []) == []
    signals.close()


@pytest.mark.process
def test_a_program_is_followed_in_a_task_that_has_many_files_open(many_open_files, tmp_path, capfd):
    lines: list[str] = []
    ended = program.run(
        [sys.executable, "-c", "print('hello')"],
        folder=tmp_path,
        environment=dict(os.environ),
        should_stop=lambda: False,
        stop_signal=signal.SIGTERM,
        each_line=lines.append,
    )
    assert (ended.status, lines) == (0, ["hello"])
