"""The only use of submitit: the script that it makes for an array, and the callable that it starts per element.

The pickle of an array holds the submission's folder and the number of the array's first job, and is written before
the queue is asked. The script links it to the name that submitit looks for. So nothing has to be done between the
queue's answer and the start of a job, and a submit writes two files per array, however many jobs it has.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import submitit
from submitit.core.utils import DelayedSubmission

from neurofit.backends import commands, job_script
from neurofit.backends.slurm import answers
from neurofit.errors import QueueError
from neurofit.exit_codes import NO_FOLDER, NO_LOG, START_AGAIN
from neurofit.files import write_whole

FOLDER = "slurm"  # in the submission's folder, for submitit
PASSED_ON = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)

OPENING = """\
cd -- {folder} || exit {no_folder}
job=$(printf %06d $(({first} + SLURM_ARRAY_TASK_ID)))
submission=$PWD number=$job
{remove_record}
left() {{
    status=$?
{write_record}
    exit "$status"
}}
trap left EXIT
shopt -s execfail  # a program that cannot be started ends the script in its own way
{{ : >>"logs/$job.log"; }} || exit {no_log}
exec >>"logs/$job.log" 2>&1
trap '' USR1 USR2  # until the worker listens
export NEUROFIT_JOB_STARTED=$(date +%s) SUBMITIT_LOG_LEVEL=100 PYTHONSAFEPATH=1"""
CLOSING = """\
cd -- {folder} || exit {no_folder}
ln -sfn {first:06d}.pkl "{inside}/${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}_submitted.pkl\""""


class Job:
    """What an element of an array runs: the submission's job.sh with the number of the job."""

    def __init__(self, folder: str, first: int) -> None:
        self.folder = folder
        self.first = first

    def __call__(self) -> NoReturn:
        element = int(os.environ["SLURM_ARRAY_TASK_ID"])
        job = self.first + element
        early: list[int] = []
        pass_on = early.append
        for number in PASSED_ON:
            signal.signal(number, lambda received, frame: pass_on(received))
        worker = subprocess.Popen(
            ["/bin/bash", str(Path(self.folder, job_script.SCRIPT)), self.folder, str(job)]
        )
        pass_on = worker.send_signal
        for received in early:
            worker.send_signal(received)
        status = worker.wait()
        array = os.environ["SLURM_ARRAY_JOB_ID"]
        self._tidy(f"{array}_{element}", job)
        if status == START_AGAIN:
            _requeue(f"{array}_{element}")
        status = status if status >= 0 else 128 - status
        job_script.write_record(Path(self.folder), job, status)
        sys.exit(status)

    def _tidy(self, name: str, job: int) -> None:
        with contextlib.suppress(OSError):
            Path(self.folder, FOLDER, f"{name}_submitted.pkl").unlink()
            log = Path(self.folder, "logs", f"{job:06d}.log")
            if log.stat().st_size == 0:
                log.unlink()


def _requeue(element: str) -> None:
    """Ask SLURM to start this element again, which ends this start of it.

    A controller that is busy, or has not noted the start yet, refuses for a moment.
    """
    for pause in (1, 2, 4, None):
        try:
            answer = commands.ask(["scontrol", *_elsewhere(), "requeue", element])
            if not answer.status:
                return
            problem: object = answer.explained()
        except QueueError as error:
            problem = error
        if pause is None:
            print(problem, file=sys.stderr, flush=True)
        else:
            time.sleep(pause)


def _elsewhere() -> list[str]:
    """The option that names this job's cluster, if the programs of this node would ask another one.

    On another cluster, this job's id may belong to another job.
    """
    name = os.environ.get("SLURM_CLUSTER_NAME")
    if not name:
        return []
    own = answers.read_config(commands.ask(["scontrol", "show", "config"]))["ClusterName"]
    return [] if own == name else answers.of(name)


class _Executor(submitit.SlurmExecutor):
    @classmethod
    def affinity(cls) -> int:
        return 2  # even if there is no srun, which is not used


def script(
    folder: Path,
    first: int,
    last: int,
    *,
    parameters: Mapping[str, Any],
    setup: tuple[str, ...] = (),
    directives: tuple[str, ...] = (),
    python: str = sys.executable,
) -> str:
    """The script for sbatch for jobs `first` to `last`, which is started in the submission's folder.

    Parameters
    ----------
    folder : Path
        The submission's folder.
    first, last : int
        Numbers of the array's jobs.
    parameters : mapping
        Parameters of submitit's executor.
    setup : tuple of str
        Shell lines that run before the job.
    directives : tuple of str
        More options of sbatch.
    python : str
        The interpreter that runs submitit.
    """
    # the user's paths are in no option, where SLURM and submitit would replace %A and %j
    executor = _Executor(f"/proc/self/cwd/{FOLDER}", python=f"exec {shlex.quote(python)}")
    places = {"folder": shlex.quote(str(folder)), "first": first, "inside": FOLDER}
    shell = {"remove_record": job_script.REMOVE_RECORD, "write_record": job_script.WRITE_RECORD}
    opening = OPENING.format(**places, **shell, no_folder=NO_FOLDER, no_log=NO_LOG)
    closing = CLOSING.format(**places, no_folder=NO_FOLDER)
    executor.update_parameters(
        **parameters, setup=[opening, *setup, closing], use_srun=False, stderr_to_stdout=True, wckey=None
    )
    executor.parameters["map_count"] = last - first + 1
    text = executor._make_submission_file_text(executor._submitit_command_str, "")
    own = "".join(f"#SBATCH {line}\n" for line in directives)
    return text.replace("\n# setup\n", f"{own}\n# setup\n", 1)


def write(folder: Path, first: int, text: str) -> Path:
    """Write an array's script and pickle; return the script's path."""
    inside = folder / FOLDER
    inside.mkdir(exist_ok=True)
    delayed = DelayedSubmission(Job(str(folder), first))
    partial = inside / f".{first:06d}.pkl"
    delayed.dump(partial)
    partial.replace(inside / f"{first:06d}.pkl")
    path = inside / f"{first:06d}.sh"
    write_whole(path, text)
    return path
