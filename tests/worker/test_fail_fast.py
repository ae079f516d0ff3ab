"""A submission whose first tasks all fail alike stops by itself."""

from __future__ import annotations

import pytest

from neurofit.store.fail_fast import ENOUGH
from neurofit.store.submissions import read_submission

BROKEN = """
    def fit(task, *, x=1):
        if x != 99:
            raise ValueError(f"no layer {x} in '{task.folder}'")
        return {"m": x}
    experiment = nf.Experiment(fit, grid=nf.grid(x=%s), repetitions=%d)
"""


def test_identical_failures_stop_it_and_the_rest_is_new(bench):
    bench.script("broken", BROKEN % (list(range(20)), 2))
    said = bench.command("submit", "broken", "--workers", "1")
    assert said.returncode == 3
    counts = bench.counts("broken")
    assert counts["failed"] == ENOUGH and counts["new"] == 40 - ENOUGH
    assert "Warning: broken stopped after 5 identical failures: ValueError: no layer 0" in said.stderr
    assert (
        "35 task(s) were not started. Fix the cause, then run `neurofit submit broken --retry`" in said.stderr
    )
    assert "stopped after 5 identical failures" in bench.command("status", "broken").stderr

    bench.script("broken", (BROKEN % (list(range(20)), 2)).replace("x != 99", "False"))
    assert bench.run("broken", retry=True) == {"done": 40}
    assert "identical" not in bench.command("status", "broken").stderr


def test_all_workers_see_it(bench):
    bench.script("broken", BROKEN % (list(range(30)), 2))
    counts = bench.run("broken")
    assert ENOUGH <= counts["failed"] <= ENOUGH + 3 and counts["failed"] + counts["new"] == 60


def test_jobs_of_one_task_stop_it_too(bench):
    bench.script("broken", BROKEN % (list(range(12)), 1))
    bench.submit("broken", bench.runner(text="backend: local\nworkers: 1\n"))
    counts = bench.wait("broken")
    assert counts == {"failed": ENOUGH, "new": 12 - ENOUGH}


def test_keep_going_tries_all(bench):
    bench.script("broken", BROKEN % (list(range(8)), 1))
    assert bench.command("submit", "broken", "--keep-going").returncode == 3
    assert bench.counts("broken") == {"failed": 8}
    (part,) = bench.status("broken").submissions
    assert read_submission(part.files).keep_going is True and not part.files.fail_fast.exists()


@pytest.mark.parametrize(
    ("grid", "repetitions", "wanted"),
    [
        ([1, 2, 3, 4], 1, {"failed": 4}),  # too few in all
        ([1, 2, 3, 4, 5], 1, {"failed": 5}),  # nothing left to spare
        ([99, *range(8)], 1, {"done": 1, "failed": 8}),  # one is done
        ([1, 99], 8, {"failed": 8, "done": 8}),  # one run alone may ask for what cannot be
    ],
)
def test_where_it_goes_on(bench, grid, repetitions, wanted):
    bench.script("broken", BROKEN % (grid, repetitions))
    bench.submit("broken", bench.runner(text="backend: local\nworkers: 1\n"))
    assert bench.wait("broken") == wanted


def test_different_failures_do_not_stop_it(bench):
    bench.script(
        "broken", (BROKEN % (list(range(10)), 1)).replace("ValueError", "(ValueError, KeyError)[x % 2]")
    )
    assert bench.run("broken") == {"failed": 10}
