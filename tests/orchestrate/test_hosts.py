"""Hosts that a submit leaves out."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace

import pytest

from neurofit.backends import runner
from neurofit.backends.base import Ending, Host
from neurofit.backends.qsub.gridengine import SgeBackend
from neurofit.backends.qsub.pbs import PbsBackend
from neurofit.backends.slurm.backend import SlurmBackend
from neurofit.backends.slurm.status_codes import ending
from neurofit.orchestrate.hosts import exclusion
from neurofit.store.hosts import note_deaths
from neurofit.store.records import HostDeathRecord


@dataclass(frozen=True)
class Site(SlurmBackend):
    """A SLURM that lists its nodes without being asked."""

    nodes: tuple[Host, ...] = ()

    def hosts(self):
        return list(self.nodes)


NODES = (Host("node07", "node07.site.edu"), Host("node08", "node08.site.edu"))


@pytest.fixture
def site(bench):
    return runner.Runner("slurm-cpu", "slurm", Site(nodes=NODES), None)


def died(bench, *hosts: str, backend: str = "slurm", ago: float = 60.0) -> None:
    note_deaths(
        bench.study,
        [
            HostDeathRecord(
                host=host,
                cause=f"its node failed ({host})",
                backend=backend,
                experiment="exp3",
                submission=f"20261120-183012-{backend}-k3f9",
                job=job,
                t=time.time() - ago,
            )
            for job, host in enumerate(hosts)
        ],
    )


def test_a_host_is_left_out_after_three_deaths_and_not_before(bench, site):
    died(bench, "node07", "node07", "node08")
    assert exclusion(bench.study, site).runner is site
    died(bench, "node07", "node07", "node08", "node07")
    found = exclusion(bench.study, site)
    assert found.hosts == ("node07",) and found.runner.backend.exclude_hosts == ("node07",)
    assert found.sentences == (
        "3 jobs died on node07: its node failed (node07). It is left out for another 24 h; --no-exclude uses it.",
    )


@pytest.mark.parametrize("name", ["node07", "node07.site.edu", "node07.other.edu"])
def test_the_queues_own_name_of_the_host_is_used(bench, site, name):
    died(bench, *[name] * 3)
    assert exclusion(bench.study, site).hosts == ("node07",)


def test_a_day_later_it_is_used_again(bench, site):
    died(bench, *["node07"] * 3, ago=86500.0)
    assert exclusion(bench.study, site) == replace(exclusion(bench.study, site), runner=site, hosts=())


def test_a_host_of_another_queue_is_not_named_to_this_one(bench, site):
    died(bench, *["far01"] * 3)
    died(bench, *["node07"] * 3, backend="sge")
    assert exclusion(bench.study, site).hosts == ()


def test_a_name_that_several_nodes_have_excludes_none_of_them(bench, site):
    twins = replace(site, backend=Site(nodes=(Host("a1", "vm"), Host("a2", "vm"), Host("b", "other"))))
    died(bench, *["vm"] * 3)
    assert exclusion(bench.study, twins).hosts == ()


def test_not_every_host_is_left_out(bench, site):
    died(bench, *["node07", "node08"] * 3)
    found = exclusion(bench.study, site)
    assert found.runner is site and found.hosts == ()
    assert "on every host of this queue (node07, node08)" in found.sentences[0]


def test_a_queue_that_cannot_leave_out_a_host_says_so(bench):
    died(bench, *["node07"] * 3, backend="pbs")
    found = exclusion(bench.study, runner.Runner("pbs", "pbs", PbsBackend(), None))
    assert found.sentences == (
        "3 jobs died on node07: its node failed (node07). This runner cannot leave out a host.",
    )


def test_hosts_are_left_out_in_the_words_of_the_queue(bench, tmp_path):
    slurm = SlurmBackend(exclude_hosts=("node01",)).without_hosts(["node07", "node01"])
    assert slurm.exclude_hosts == ("node01", "node07")
    profile = bench.runner("cpu", "backend: slurm\nexclude_hosts: [node01, node07]\n")
    assert profile.backend.exclude_hosts == slurm.exclude_hosts
    assert SlurmBackend(directives=("-x node01",)).without_hosts(["node07"]) is None
    assert SgeBackend(directives=("-l h=node0*",)).without_hosts(["node07"]) is None
    assert "-l hostname=!(node01|node07)" in SgeBackend().without_hosts(["node01", "node07"]).options("x")


@pytest.mark.parametrize(
    ("state", "code", "blamed"),
    [
        ("NODE_FAIL", "0:0", True),
        ("BOOT_FAIL", "0:0", True),
        ("FAILED", "66:0", True),  # the folder of the submission is not there
        ("FAILED", "96:0", True),  # no GPU
        ("FAILED", "0:53", True),
        ("FAILED", "1:0", False),
        ("FAILED", "95:0", False),  # a full disk
        ("OUT_OF_MEMORY", "0:125", False),
        ("TIMEOUT", "0:0", False),
        ("PREEMPTED", "0:0", False),
        ("CANCELLED by 0", "0:0", False),
        ("COMPLETED", "0:0", False),
    ],
)
def test_memory_time_and_exceptions_are_never_the_hosts_fault(state, code, blamed):
    found = ending(state, code, "node07")
    assert isinstance(found, Ending) and found.host == ("node07" if blamed else None)
    assert ending(state, code, "None assigned").host is None


def test_the_command_lists_them_and_a_submit_says_what_it_leaves_out(bench):
    answer = bench.command("runners", "hosts")
    assert answer.stdout == "No job died because of its host.\n"
    died(bench, *["node07"] * 3, backend="mysite.py:Site")
    shown = bench.command("runners", "hosts").stdout
    assert "node07" in shown and "its node failed" in shown and "for another 24 h" in shown
    (one,) = json.loads(bench.command("runners", "hosts", "--json").stdout)["hosts"]
    assert one["deaths"] == 3 and 86000 < one["excluded_seconds"] <= 86400
    (bench.study.runners / "mysite.py").write_text(
        "from neurofit.backends.base import Host\n"
        "from neurofit.backends.slurm.backend import SlurmBackend\n"
        "class Site(SlurmBackend):\n"
        "    def hosts(self):\n"
        "        return [Host('node07', 'node07'), Host('node08', 'node08')]\n"
    )
    bench.runner("site", "backend: mysite.py:Site\n")
    bench.script("one", "def fit(task): return {'m': 1}\nexperiment = nf.Experiment(fit)\n")
    said = bench.command("submit", "one", "--backend", "site", "--dry-run")
    assert "#SBATCH --exclude=node07" in said.stdout and "--no-exclude uses it" in said.stderr
    used = bench.command("submit", "one", "--backend", "site", "--dry-run", "--no-exclude")
    assert "--exclude" not in used.stdout and used.stderr.count("node07") == 0
