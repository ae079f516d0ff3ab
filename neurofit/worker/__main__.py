"""`python -m neurofit.worker SUBMISSION INDEX…`: the command that every queue runs.

Exit status: 0 if the job has ended, however its tasks ended; 99 to be started again, because its time limit is near,
the queue interrupted it, or it waits for another experiment; 93 if that experiment will not get done; 95 if the disk is
too full for an outcome; 94 if a file that it needs is damaged; 96 if the node has lost its GPUs; any other status is an
error. With `--serve`, it is the fork server of the local pool.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import logging
import os
import socket
import sys
from pathlib import Path

from neurofit import environment, transient
from neurofit.errors import NeurofitError
from neurofit.exit_codes import DAMAGED, NO_DEVICE, NO_ROOM, START_AGAIN
from neurofit.store.journal import Journal
from neurofit.worker import gpu_sharing, gpus, notices
from neurofit.worker.assignment import Assignment
from neurofit.worker.job import Worker, is_damage
from neurofit.worker.supervisor import Signals
from neurofit.worker.waiting import wait

NO_GPU = "neurofit: this job asked for a GPU, and nvidia-smi finds none on %s, so no task was started."
JOB_STARTED = "NEUROFIT_JOB_STARTED"  # set by the job's script: when it started, in seconds since 1970


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m neurofit.worker", description=__doc__)
    parser.add_argument("submission", type=Path, help="the submission's folder")
    parser.add_argument("jobs", type=int, nargs="*", help="numbers of the jobs to run, one after the other")
    parser.add_argument("--serve", action="store_true", help="run the fork server of a local pool")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="neurofit: %(message)s")
    environment.enter()
    gpu_sharing.forget()
    try:
        with transient.patience(transient.worker(options.submission)):
            assignment = Assignment.read(options.submission)
            if options.serve:
                from neurofit.worker.fork_server import serve

                return serve(assignment)
            if assignment.record.resources.gpus and gpus.are_lost():
                print(NO_GPU % socket.gethostname(), file=sys.stderr)
                return NO_DEVICE
            signals = Signals()
            signals.listen()
            journal = None
            if assignment.record.needs and options.jobs:
                journal = Journal(assignment.submission, options.jobs[0], host=socket.gethostname())
                status = wait(assignment.submission, journal, signals, _limit_seconds(assignment))
                if status is not None:
                    notices.tell(assignment.submission, assignment.record)
                    return status
            assignment.load()
        end = "done"
        worker = Worker(assignment, signals, started=float(os.environ.get(JOB_STARTED) or 0) or None)
        for job in options.jobs:
            end, journal = worker.do_job(job, journal), None
            if end != "done":
                break
        notices.tell(assignment.submission, assignment.record)
        return START_AGAIN if end == "again" else 0
    except (NeurofitError, OSError) as error:
        with contextlib.suppress(OSError):  # the log is on the same disk
            print(f"neurofit: {error}", file=sys.stderr)
        if is_damage(error):
            return DAMAGED
        full = getattr(error.__cause__ or error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        if full:  # otherwise Python writes what is left at exit, fails, and changes the exit status
            sys.stdout = sys.stderr = None
        return NO_ROOM if full else 1
    return 0


def _limit_seconds(assignment: Assignment) -> float | None:
    minutes = assignment.record.resources.walltime_minutes
    return 60.0 * minutes if minutes else None


def forget_current_folder() -> None:
    """Remove the current folder from Python's path, where `python -m` has put it.

    It is the study as it is now; tasks import the code as it was submitted.
    """
    os.environ.pop("PYTHONSAFEPATH", None)  # programs that a task starts run an ordinary Python
    if not getattr(sys.flags, "safe_path", False):
        del sys.path[0]


if __name__ == "__main__":
    forget_current_folder()
    sys.exit(main(sys.argv[1:]))
