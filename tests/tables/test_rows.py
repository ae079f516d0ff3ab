"""Rows of a part of an experiment: from the journals of its own tasks, and the same as in the whole table."""

from __future__ import annotations

import pytest

from neurofit.experiments.selector import parse
from neurofit.status.experiment_status import read_status
from neurofit.tables.rows import read_rows

pytestmark = pytest.mark.process
FIT = """
    def fit(task, *, x=0):
        return {"m": x + task.repetition}
    experiment = nf.Experiment(fit, nf.grid(x=[1, 2, 3]), repetitions=2)
"""
PARTS = {"exp:1": [(1, 0), (1, 1)], "exp:2/1": [(2, 1)], "exp:0-1/0": [(0, 0), (1, 0)]}


def rows_of(bench, selector):
    status = read_status(bench.study, "exp")
    return read_rows(status, parse(selector)), status.problems


@pytest.fixture
def ran(bench):
    bench.script("exp", FIT)
    bench.run("exp")
    return bench


def test_a_part_has_the_rows_of_the_whole(ran):
    whole, _ = rows_of(ran, "exp")
    assert len(whole) == 6
    for selector, keys in PARTS.items():
        assert rows_of(ran, selector)[0] == [row for row in whole if (row["run"], row["repetition"]) in keys]


def test_journals_without_a_selected_task_are_not_read(ran):
    read_status(ran.study, "exp")  # the index knows which journal has which task
    journals = sorted(ran.study.training_data.glob("exp/submissions/*/journal/*"))
    unread = [path for path in journals if b'"run":1' not in path.read_bytes()]
    assert unread and len(unread) < len(journals)
    for path in unread:  # reading one of them would be an error
        path.unlink()
        path.mkdir()
    found, problems = rows_of(ran, "exp:1")
    assert [row["metrics"] for row in found] == [{"m": 2}, {"m": 3}] and not problems


def test_a_task_whose_journal_is_gone_has_the_row_of_its_outcome(ran):
    whole, _ = rows_of(ran, "exp")
    for path in ran.study.training_data.glob("exp/submissions/*/journal/*"):
        path.unlink()
    assert rows_of(ran, "exp:1")[0] == [row for row in whole if row["run"] == 1]
