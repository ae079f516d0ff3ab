"""The memory that this process may take."""

from __future__ import annotations

from pathlib import Path

import pytest

from neurofit import process


@pytest.fixture
def kernel(tmp_path):
    """kernel(cgroup=…, meminfo=…, limits={file: text}): folders that say what `/proc` and `/sys/fs/cgroup` do."""

    def write(cgroup: str, limits: dict[str, str], meminfo: str = "") -> dict[str, Path]:
        proc, groups = tmp_path / "proc", tmp_path / "groups"
        (proc / "self").mkdir(parents=True)
        (proc / "self" / "cgroup").write_text(cgroup)
        (proc / "self" / "statm").write_text("9000 1000 10 1 0 100 0\n")
        (proc / "meminfo").write_text(meminfo)
        for name, text in limits.items():
            (groups / name).parent.mkdir(parents=True, exist_ok=True)
            (groups / name).write_text(text)
        return {"proc": proc, "groups": groups}

    return write


def test_the_least_limit_of_a_job_and_of_what_it_is_in_counts(kernel):
    limits = {"job_7/step_0/memory.max": "max\n", "job_7/memory.max": "4000000000\n"}
    assert process.memory_limit(**kernel("0::/job_7/step_0\n", limits)) == 4_000_000_000


def test_the_older_hierarchy_of_groups_is_read_too(kernel):
    cgroup = "4:memory:/slurm/job_7\n3:cpuset:/\n"
    limits = {
        "memory/slurm/job_7/memory.limit_in_bytes": "3000000000",
        "memory/memory.limit_in_bytes": str(2**63 - 4096),
    }
    assert process.memory_limit(**kernel(cgroup, limits)) == 3_000_000_000


def test_a_group_without_a_limit_has_none(kernel):
    limits = {"memory/memory.limit_in_bytes": str(2**63 - 4096)}
    assert process.memory_limit(**kernel("4:memory:/\n", limits)) is None


def test_available_is_what_the_limit_leaves_and_never_more_than_the_host_has_free(kernel):
    folders = kernel(
        "0::/job\n", {"job/memory.max": "4000000000"}, "MemTotal: 9 kB\nMemAvailable: 99000000 kB\n"
    )
    used = process.memory_used(folders["proc"])
    assert used % 1000 == 0 and used > 0
    assert process.memory_available(**folders) == 4_000_000_000 - used
    (folders["proc"] / "meminfo").write_text("MemAvailable:    2000 kB\n")
    assert process.memory_available(**folders) == 2_048_000


def test_a_host_that_does_not_say_has_no_known_memory(kernel, tmp_path):
    assert process.memory_available(**kernel("", {})) is None
    assert process.memory_limit(tmp_path / "none", tmp_path / "none") is None


def test_this_process_uses_some_memory():
    assert process.memory_used() > 2**20
