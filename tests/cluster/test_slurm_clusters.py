"""Two real SLURM clusters on this host: jobs that go to the other one, and other people's odd jobs."""

from __future__ import annotations

import json
import shutil
import subprocess
import time

import pytest
from studies import QUICK, STEPS, attempts, like_an_undisturbed_one, until

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("two_clusters")]

SMALL = "backend: slurm\nresources: {cpus: 1, memory_gb: 0.25}\ngrace_seconds: 1\n"
SMALL_SITE = """
from dataclasses import dataclass
from neurofit.backends.slurm.backend import SlurmBackend
@dataclass(frozen=True)
class Small(SlurmBackend):
    def _config(self, cluster=None):
        return {**super()._config(cluster), "MaxArraySize": "3"}
"""
HELD_AT_BETA = f"{SMALL}directives: ['--clusters=beta', '--hold']\n"


def slurm_says(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout


def calls(submitted) -> list[dict]:
    records = map(json.loads, submitted.files.queue.read_text().splitlines())
    return [record for record in records if "id" in record]


def test_what_waits_on_another_cluster_stays_queued_and_is_released_and_cancelled_there(bench):
    bench.script("quick", QUICK % 4)
    submitted = bench.submit("quick", bench.runner("queue", HELD_AT_BETA))
    (call,) = calls(submitted)
    assert call["process"]["cluster"] == "beta"
    assert bench.counts("quick") == {"queued": 4}
    time.sleep(1.5)
    assert bench.counts("quick") == {"queued": 4}, "the grace is over, and it is not new"
    assert bench.submit("quick", bench.runner("queue", HELD_AT_BETA)) is None
    said = bench.command("cancel", "quick:1", "--yes")
    assert said.returncode == 0 and "Cancelled 1 task" in said.stdout, said.stderr
    (view,) = bench.status("quick").queues.values()
    (reason,) = set(view.reasons.values())
    command = reason.split("`")[1]
    assert command == f"scontrol -M beta release {call['id']}"
    slurm_says(*command.split())
    assert bench.wait("quick") == {"done": 3, "cancelled": 1}


def test_how_a_job_on_another_cluster_ended_is_asked_there(bench):
    bench.script("quick", QUICK % 2)
    submitted = bench.submit(
        "quick", bench.runner("queue", HELD_AT_BETA.replace("grace_seconds: 1", "grace_seconds: 60"))
    )
    slurm_says("scancel", "-M", "beta", submitted.ids[0])
    assert bench.wait("quick") == {"failed": 2}
    assert {task.cause for task in bench.status("quick").tasks.values()} == {"cancelled by root"}


def test_a_note_of_010_and_a_call_that_was_never_noted_are_found_on_the_other_cluster(bench):
    bench.script("quick", QUICK % 2)
    submitted = bench.submit("quick", bench.runner("queue", HELD_AT_BETA))
    (call,) = calls(submitted)
    old = {**call, "process": {"cluster": "neurofit", "user": call["process"]["user"]}}
    for lines in ("", json.dumps(old) + "\n"):
        submitted.files.queue.write_text(lines)
        assert bench.counts("quick") == {"queued": 2}
    time.sleep(1.5)
    assert bench.counts("quick") == {"queued": 2}
    assert bench.command("cancel", "quick", "--yes").returncode == 0
    assert bench.counts("quick") == {"cancelled": 2}
    until(lambda: call["id"] not in slurm_says("squeue", "-M", "beta", "-h", "-o", "%F").split())


def test_the_environment_of_a_submit_chooses_and_of_several_clusters_the_one_that_took_it_is_asked(
    bench, monkeypatch
):
    monkeypatch.setenv("SBATCH_CLUSTERS", "beta,neurofit")
    bench.script("quick", QUICK % 3)
    bench.runner("queue", f"{SMALL}directives: [--hold]\n")
    shown = bench.command("submit", "quick", "--backend", "queue", "--dry-run")
    assert "#SBATCH --clusters=beta,neurofit" in shown.stdout
    said = bench.command("submit", "quick", "--backend", "queue")
    assert said.returncode == 0, said.stderr
    monkeypatch.delenv("SBATCH_CLUSTERS")
    time.sleep(1.2)
    assert bench.counts("quick") == {"queued": 3} == bench.counts("quick")
    assert bench.command("cancel", "quick", "--yes").returncode == 0


def test_a_job_on_another_cluster_is_started_again_there(bench):
    bench.script("steps", STEPS % "0.1")
    submitted = bench.submit("steps", bench.runner("queue", f"{SMALL}directives: ['-M beta']\n"))
    bench.wait("steps", until=lambda counts: counts["running"])
    time.sleep(1)
    slurm_says("scancel", "-M", "beta", "--signal=USR2", "--batch", submitted.ids[0])
    assert bench.wait("steps", seconds=90) == {"done": 1}
    (states,) = attempts(bench, "steps").values()
    assert states == {"stopped": 1, "done": 1}
    like_an_undisturbed_one(bench, "steps")


def test_a_runner_of_another_cluster_can_be_checked(bench):
    bench.runner("queue", f"{SMALL}directives: [--clusters=beta]\n")
    said = bench.command("runners", "check", "queue", "--json")
    findings = {finding["what"]: finding["ok"] for finding in json.loads(said.stdout)["findings"]}
    assert findings["the controller of the cluster beta answers"] and findings["such a job would be accepted"]
    assert any(ok and what.startswith("a job was done on") for what, ok in findings.items()), said.stdout
    bench.runner("queue", f"{SMALL}directives: [--clusters=nowhere]\n")
    said = bench.command("runners", "check", "queue")
    assert said.returncode == 5 and "'nowhere' can't be reached now" in said.stdout


def test_other_jobs_of_several_parts_and_with_difficult_names_hide_nothing(bench, tmp_path):
    parts = tmp_path / "parts.sh"
    parts.write_text("#!/bin/bash\n#SBATCH -n1\n#SBATCH hetjob\n#SBATCH -n1\nsleep 1\n")
    others = [slurm_says("sbatch", "--parsable", "--hold", str(parts)).strip()]
    for name in ("a\n6_0|RUNNING|None|b", "a|b", "c\n\n|", "d\x01\u2028"):
        others.append(
            slurm_says("sbatch", "--parsable", "--hold", f"--job-name={name}", "--wrap", "sleep 1").strip()
        )
    try:
        bench.script("quick", QUICK % 2)
        bench.submit("quick", bench.runner("queue", f"{SMALL}directives: [--hold]\n"))
        assert f"{others[0]}+0" in slurm_says("squeue", "-h", "-o", "%i")
        said = bench.command("status", "quick")
        assert said.returncode == 0 and "could not be asked" not in said.stderr
        assert bench.counts("quick") == {"queued": 2}
        assert bench.command("cancel", "quick", "--yes").returncode == 0
    finally:
        slurm_says("scancel", *others)


def test_a_limit_on_a_users_jobs_takes_some_and_the_rest_is_new_at_once(bench):
    bench.script("many", QUICK % 8)
    (bench.study.runners / "mysite.py").write_text(SMALL_SITE)
    text = HELD_AT_BETA.replace("backend: slurm", "backend: mysite.py:Small").replace(
        "grace_seconds: 1\n", ""
    )
    bench.runner("queue", text)
    limit = ["sacctmgr", "-iQ", "modify", "user", "root", "where", "cluster=beta", "set"]
    slurm_says(*limit, "MaxSubmitJobs=5")
    try:
        said = until(lambda: refused(bench))
        assert said.returncode == 1 and "AssocMaxSubmitJobLimit" in said.stderr
        assert "3 of 8 jobs were queued as" in said.stderr and "the others are not queued" in said.stderr
        assert bench.counts("many") == {"queued": 3, "new": 5}
    finally:
        slurm_says(*limit, "MaxSubmitJobs=-1")
    until(lambda: bench.command("submit", "many", "--backend", "queue").returncode == 0, 30)
    assert bench.counts("many") == {"queued": 8}
    assert bench.command("cancel", "many", "--yes").returncode == 0


def refused(bench):
    """A submit that met the limit, which the controller may hear of a moment late."""
    said = bench.command("submit", "many", "--backend", "queue")
    if said.returncode == 0:
        bench.command("cancel", "many", "--yes")
        shutil.rmtree(bench.study.training_data / "many")
    return said if said.returncode else None
