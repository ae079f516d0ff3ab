"""What 0.1.0 wrote opens unchanged, and what it queued starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from submitit.core.utils import DelayedSubmission

FIXTURES = Path(__file__).parent / "fixtures"


def neurofit(study, *words: str) -> str:
    command = [sys.executable, "-m", "neurofit", *words]
    return subprocess.run(command, cwd=study.root, capture_output=True, text=True, timeout=300).stdout


def printed(name: str):
    return json.loads((FIXTURES / f"study_0_1_0.{name}.json").read_text(encoding="utf-8"))


def test_counts_of_a_study_of_0_1_0_are_what_0_1_0_printed(study_0_1_0):
    then, now = printed("status"), json.loads(neurofit(study_0_1_0, "status", "old", "--json"))
    counts = then["experiments"][0]
    counts |= {"done": counts["done"] + 1, "failed": counts["failed"] - 1}  # 3/0: see below
    assert now["experiments"][0].items() >= counts.items()
    assert now["experiments"][0]["newer"] == {"failed": 1}


def test_results_of_a_study_of_0_1_0_are_what_0_1_0_printed(study_0_1_0):
    then, now = printed("results"), json.loads(neurofit(study_0_1_0, "results", "old", "--format", "json"))
    assert len(now) == len(then) == 13
    displaced = [new for old, new in zip(then, now) if not new.items() >= old.items()]
    assert [(row["run"], row["repetition"], row["state"], row["attempt"]) for row in displaced] == [
        (3, 0, "done", 1)
    ]
    assert displaced[0]["test/correlation"] is not None, "the attempt that was done before 3/0 failed"


@pytest.mark.parametrize(
    "experiment, element",
    [
        ("queued_slurm", {"SLURM_ARRAY_JOB_ID": "6", "SLURM_ARRAY_TASK_ID": "1", "SLURM_JOB_ID": "8"}),
        ("queued_sge", {"SGE_TASK_ID": "2", "JOB_ID": "12"}),
    ],
)
def test_a_job_that_0_1_0_queued_starts(study_0_1_0, experiment, element):
    folder = next((study_0_1_0.training_data / experiment / "submissions").iterdir())
    script = folder / "job.sh"
    if experiment == "queued_slurm":
        script = folder / "slurm" / "000000.sh"
        pickle = script.with_suffix(".pkl")
        delayed = DelayedSubmission.load(pickle)
        delayed.function.folder = str(folder)
        delayed.dump(pickle)
    job = {**os.environ, **element, "SLURM_NODEID": "0", "SLURM_LOCALID": "0", "SLURM_PROCID": "0"}
    subprocess.run(["bash", str(script)], cwd=folder, env=job, timeout=300)  # 1 for the task that fails
    log = (folder / "logs" / "000001.log").read_text() if (folder / "logs" / "000001.log").exists() else ""
    files = study_0_1_0.training_data.glob(f"{experiment}/runs/*/*/*/outcome.json")
    outcomes = [json.loads(path.read_text()) for path in files]
    states = {(one["run"], one["repetition"], one["state"]) for one in outcomes}
    assert states == {(1, 0, "done"), (1, 1, "failed")}, log
