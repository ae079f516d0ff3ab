"""What SLURM's script leaves of its end, for a site without accounting."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from neurofit.backends import job_script
from neurofit.backends.base import Queued, Submission
from neurofit.backends.slurm.backend import SlurmBackend

NODE = os.uname().nodename.partition(".")[0]


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Run the script of an array's jobs 40 to 49 as SLURM would for its third element; gives its status and
    words.
    """
    submission = Submission(tmp_path / "a 'b'", "exp3", 50, tmp_path)
    (submission.folder / "logs").mkdir(parents=True)

    def start(**settings) -> tuple[int, str]:
        script = tmp_path / "part.sh"
        script.write_text(replace(SlurmBackend(), **settings).part(submission, 40, 49, at_once=None))
        environment = {"PATH": os.environ["PATH"], "SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_JOB_ID": "7"}
        status = subprocess.run(
            ["bash", script], env=environment, cwd=submission.folder, timeout=60
        ).returncode
        ended = job_script.endings([Queued(submission.folder, "7", 40, 49)])
        return status, ended[submission.token, 42].cause if ended else ""

    return start


@pytest.mark.process
def test_what_fails_before_slurms_job_is_a_worker_leaves_its_status(start):
    assert start(setup=("exit 3",)) == (3, f"its script exited with status 3 (on {NODE}); see its log")
    status, cause = start(python="/nowhere/python")
    assert status == 127 and cause.startswith("a program was not found, perhaps the Python interpreter")
    assert start(python="/bin/true") == (0, ""), "and the next start takes it away"


def test_a_job_of_slurm_leaves_the_status_of_its_worker(tmp_path):
    for job, status in ((3, 95), (4, 0), (5, 99), (6, 137)):
        job_script.write_record(tmp_path, job, status)
    assert job_script.records(tmp_path) == {
        3: job_script.ExitRecord(95, NODE),
        6: job_script.ExitRecord(137, NODE),
    }
    job_script.write_record(Path("/dev/null"), 1, 1)
    entry = Queued(tmp_path, "7", 0, 5)
    assert {key[1] for key in job_script.endings([entry])} == {3}, "of the jobs that were asked for"
