"""Tasks that were done with other code or data than the study has now are counted, and said."""

from __future__ import annotations

import json
import os
import time

import pytest

from neurofit.errors import GridError
from neurofit.experiments.experiment import Experiment
from neurofit.orchestrate.plan import SubmitOptions, load, make

SCRIPT = """
    def fit(task, *, x=1):
        {uses}
        return {{"score": len((task.study / "data" / "cells.npz").read_bytes())}}
    experiment = nf.Experiment(fit, grid=nf.grid(x=[1, 2]), repetitions=2{declared})
"""
USED, DECLARED = 'task.uses("data/cells.npz")', ', inputs=["data/cells.npz"]'
FILE = "data/cells.npz"


def data(bench, content: str) -> None:
    path = bench.root / FILE
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    os.utime(path, (time.time() - 60,) * 2)


def script(bench, uses: str = "pass", declared: str = "") -> None:
    bench.script("read", SCRIPT.format(uses=uses, declared=declared))


def planned(bench):
    return make(bench.study, load(bench.study, "read"), SubmitOptions())


@pytest.mark.parametrize("how", [{"uses": USED}, {"declared": DECLARED}])
def test_replaced_data_is_seen_whether_used_or_declared(bench, how):
    data(bench, "one")
    script(bench, **how)
    assert bench.run("read") == {"done": 4}
    assert list(bench.outcomes("read")[0]["facts"]["inputs"]) == [FILE]
    assert planned(bench).outdated.either == 0
    assert "other" not in bench.command("status", "read").stderr
    data(bench, "two")
    assert (planned(bench).outdated.data, planned(bench).outdated.code, planned(bench).tasks) == (4, 0, [])
    told = (
        "4 of 4 tasks that are done used other data than the study has now (changed: data/cells.npz). "
        "`neurofit submit read --rerun` runs them again."
    )
    for words in (["status"], ["status", "read"], ["results", "read"], ["list"]):
        assert told in bench.command(*words).stderr, words
    dry = bench.command("submit", "read", "--dry-run").stdout
    assert "4 of them with other data than now; kept (add --rerun" in dry
    record = json.loads(bench.command("status", "--json").stdout)["experiments"][0]
    assert (record["done_other_code"], record["done_other_data"]) == (0, 4)


def test_data_is_not_part_of_a_runs_id(bench):
    data(bench, "one")
    script(bench)
    ids = [run.id for run in load(bench.study, "read").runs()]
    script(bench, declared=DECLARED)
    assert [run.id for run in load(bench.study, "read").runs()] == ids


def test_other_code_and_other_data_are_reported_together(bench):
    data(bench, "one")
    script(bench, USED)
    bench.run("read")
    script(bench, USED + "  # changed")
    data(bench, "two")
    told = bench.command("results", "read").stderr
    assert (
        "4 of 4 tasks that are done used other code or data than the study has now (changed: data/cells.npz)"
        in told
    )


def test_data_that_is_not_there_now_says_nothing(bench):
    data(bench, "one")
    script(bench, USED)
    bench.run("read")
    (bench.root / FILE).unlink()
    assert planned(bench).outdated.either == 0


def test_data_that_a_task_cannot_read_is_an_error_that_names_it(bench):
    script(bench, declared=DECLARED)
    assert bench.run("read") == {"failed": 4}
    assert "data/cells.npz" in bench.outcomes("read")[0]["error"]["message"]


def test_a_path_alone_is_not_a_list_of_inputs():
    with pytest.raises(GridError, match="inputs must be a list of paths"):
        Experiment(lambda task: {"x": 1}, inputs="data/cells.npz")
