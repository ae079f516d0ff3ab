"""What a scheduler's program is given of our environment."""

from __future__ import annotations

import os
import sys

import pytest

from neurofit.backends.commands import ask, clean_environment


@pytest.mark.parametrize(
    "name",
    ["SLURM_JOB_ID", "SBATCH_PARTITION", "SUBMITIT_X", "PBS_JOBID", "PBS_O_PATH", "SGE_TASK_ID", "JOB_ID"],
)
def test_what_belongs_to_a_job_does_not_leak_into_what_it_submits(name):
    assert clean_environment({name: "1", "HOME": "/h"}) == {"HOME": "/h"}


@pytest.mark.parametrize(
    "name", ["SLURM_CONF", "PBS_CONF_FILE", "PBS_SERVER", "PBS_DEFAULT", "SGE_ROOT", "PATH"]
)
def test_what_says_which_queue_is_meant_stays(name):
    assert clean_environment({name: "1"}) == {name: "1"}


@pytest.mark.process
@pytest.mark.parametrize("own_session", [False, True])
def test_a_program_in_its_own_session_is_out_of_a_terminals_reach(own_session):
    """A Ctrl-C goes to every process of the terminal's session that is in its foreground group."""
    answer = ask([sys.executable, "-c", "import os; print(os.getsid(0))"], own_session=own_session)
    assert (int(answer.stdout) != os.getsid(0)) == own_session
