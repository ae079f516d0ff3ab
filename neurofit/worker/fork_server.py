"""The pool's fork server: it does the slow imports once, and forks a worker for each slot of the pool.

Its standard input is a socket that carries lines of JSON. {"slot": 2, "environment": {…}} with the descriptor of
another socket asks for a worker. The worker reads job numbers from that socket, one per line, and answers `done`,
`stopped` or `again`, or `damaged` and why. Before that it says which children it forks (`child 71`) and, if a job runs
several tasks at a time, which of them have ended (`gone 71`). A worker dies with this process, and this process with
the pool.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import traceback
from typing import Any

from neurofit import job_cache
from neurofit.errors import StoreError
from neurofit.worker import child, teardown
from neurofit.worker.assignment import Assignment
from neurofit.worker.job import Worker, is_damage
from neurofit.worker.supervisor import STOP_SIGNALS, Signals


def serve(assignment: Assignment) -> int:
    """Fork workers on request until the pool closes the socket; return the exit status."""
    child.die_with(os.getppid())
    control = socket.socket(fileno=os.dup(0))
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole process group; the pool passes it on
    assignment.load()
    job_cache.begin()  # one for the workers of all slots
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # this process ends when the pool does
    signal.signal(
        signal.SIGCHLD, signal.SIG_IGN
    )  # no waiting here: the pool sees by its socket that a worker has ended
    _answer(control, {"ready": True, "problem": assignment.problem})
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 65536, 1)
        if not message:
            return 0
        request = json.loads(message)
        server = os.getpid()
        teardown.flush_before_fork()  # what the script left in buffers is written once, not by each process
        pid = os.fork()
        if pid == 0:
            control.close()
            _be_worker(assignment, request, socket.socket(fileno=descriptors[0]), server)
        os.close(descriptors[0])
        _answer(control, {"slot": request["slot"], "pid": pid})


def _answer(control: socket.socket, record: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):
        control.sendall(json.dumps(record).encode() + b"\n")


def _be_worker(assignment: Assignment, request: dict[str, Any], jobs: socket.socket, server: int) -> None:
    status = 1
    try:
        child.die_with(server)
        signals = Signals()
        signals.listen()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        worker = Worker(assignment, signals, environment=request["environment"])
        worker.forked = lambda pid: jobs.sendall(f"child {pid}\n".encode())
        if assignment.record.tasks_at_a_time != 1:
            worker.reaped = lambda pid: jobs.sendall(f"gone {pid}\n".encode())
        worker.descriptors = (jobs.fileno(),)
        with jobs.makefile("r") as lines:
            for line in lines:
                jobs.sendall(f"{_end_of(worker, int(line))}\n".encode())
                if signals.stop:
                    break
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _end_of(worker: Worker, job: int) -> str:
    """Run a job; return the line for the pool."""
    try:
        end = worker.do_job(job)
    except StoreError as error:
        if not is_damage(error):
            raise
        return f"damaged {' '.join(str(error).split())}"
    # stopped, but not by a signal: the time limit is near, and the job makes no progress
    return "done" if end == "stopped" and not worker.signals.stop else end
