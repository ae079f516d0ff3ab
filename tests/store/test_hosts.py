"""Hosts on which jobs died because of the host."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from neurofit.store.hosts import EXCLUDED_SECONDS, HostRecord, note_deaths, read_hosts
from neurofit.store.layout import host_deaths
from neurofit.store.records import HostDeathRecord
from neurofit.study import Study

HOUR = 3600.0


def death(job: int = 0, t: float = 0.0, host: str = "node07", start: int = 0) -> HostDeathRecord:
    name = "20261120-183012-slurm-k3f9"
    fields = {"experiment": "exp3", "submission": name, "job": job, "start": start}
    return HostDeathRecord(host=host, cause="its node failed (node07)", backend="slurm", t=t, **fields)


def record(*times: float) -> HostRecord:
    return HostRecord("node07", "slurm", tuple(death(job, t) for job, t in enumerate(times)))


@pytest.mark.parametrize(
    ("times", "until"),
    [
        ([], None),
        ([0, HOUR], None),
        ([0, HOUR, 2 * HOUR], 2 * HOUR + EXCLUDED_SECONDS),
        ([0, 20 * HOUR, 40 * HOUR], None),  # never three within a day
        ([0, 20 * HOUR, 40 * HOUR, 41 * HOUR], 41 * HOUR + EXCLUDED_SECONDS),
        ([0, 1, 2, 100 * HOUR], 2 + EXCLUDED_SECONDS),  # the fourth is alone
    ],
)
def test_a_host_is_left_out_for_a_day_after_three_deaths_within_a_day(times, until):
    assert record(*times).excluded_until == until


@given(st.lists(st.floats(0, 1e6), max_size=8).map(sorted))
def test_whoever_is_left_out_had_three_deaths_within_two_days(times):
    host = record(*times)
    for now in (0.0, 5e5, 1e6):
        if host.is_excluded(now):
            assert sum(t > (host.excluded_until or 0) - 2 * EXCLUDED_SECONDS - 1 for t in times) >= 3


def test_a_death_counts_once_however_often_it_is_heard_of(tmp_path):
    study = Study(tmp_path)
    study.training_data.mkdir()
    assert read_hosts(study) == []
    note_deaths(study, [death(1, 5.0), death(2, 6.0)])
    note_deaths(study, [death(1, 9.0), death(1, 10.0, start=1), death(3, 11.0, host="node08")])
    host_deaths(study).write_bytes(host_deaths(study).read_bytes() * 2 + b'{"host": "a b"}\n{"host\n')
    found = read_hosts(study)
    assert [(host.name, [one.t for one in host.deaths]) for host in found] == [
        ("node07", [5.0, 6.0, 10.0]),
        ("node08", [11.0]),
    ]


def test_a_storage_that_refuses_the_line_costs_only_the_line(tmp_path):
    study = Study(tmp_path)
    note_deaths(study, [death()])  # there is no training_data
    assert read_hosts(study) == []
