"""`nf.results(..., wait=True)`: until the tasks have ended, with a bar where somebody sees it."""

from __future__ import annotations

import io
from collections import Counter
from types import SimpleNamespace

import pytest

import neurofit as nf
from neurofit.errors import UsageError
from neurofit.store.state import State
from neurofit.tables.waiting import show

SCRIPT = """
    import time

    def fit(task, *, x=1):
        while not (task.study / "go").exists():
            time.sleep(0.02)
        return {"validation/loss": x}

    experiment = nf.Experiment(fit, nf.grid(x=[1, 2]))
"""


def watched(done: int, of: int = 4, left: float | None = None):
    counts = Counter({State.DONE: done, State.RUNNING: of - done})
    is_over = done == of
    status = SimpleNamespace(name="exp3")
    return SimpleNamespace(
        status=status, counts=counts, total=of, ended=done, left_seconds=left, is_over=is_over
    )


def test_a_bar_is_drawn_again_in_place_and_removed_at_the_end(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    stream = io.StringIO()
    show(iter([watched(0), watched(2, left=300.0), watched(4)]), stream)
    _, first, second, *_, last = stream.getvalue().split("\r")
    assert first == f"exp3 {'░' * 24} 0 of 4 tasks, 4 running"
    assert second.rstrip() == f"exp3 {'█' * 12}{'░' * 12} 2 of 4 tasks, 2 running, about 5 min left"
    assert last == ""


def test_nothing_is_drawn_if_the_tasks_have_ended_already():
    stream = io.StringIO()
    show(iter([watched(4)]), stream)
    assert stream.getvalue() == ""


def test_results_wait_for_their_tasks_and_print_nothing_in_a_program(bench, capfd):
    bench.script("waits", SCRIPT)
    bench.submit("waits")
    early = nf.results("waits", wait=0.01, study=bench.root)
    assert "done" not in set(early["state"]), "the time was over"
    (bench.root / "go").touch()
    assert nf.results("waits", wait=True, study=bench.root)["state"].tolist() == ["done", "done"]
    assert nf.results("waits:best", wait=True, study=bench.root)["run"].tolist() == [0]
    with pytest.raises(UsageError, match="wait must be True, False or a number of seconds, got 'long'"):
        nf.results("waits", wait="long", study=bench.root)
    assert capfd.readouterr() == ("", "")
