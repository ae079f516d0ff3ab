"""The pool's fork server: the slow imports done once, and a worker forked from here for every slot of the
pool.

It speaks lines of JSON over the socket that is its standard input: {"slot": 2, "environment": {…}} with a
socket's descriptor asks for a worker, which then reads job numbers from that socket, a line each, and answers
`done`, `stopped` or `again`. A worker dies with this process, and this process with the pool.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import traceback

from neurofit.worker import child
from neurofit.worker.assignment import Assignment
from neurofit.worker.job import Worker
from neurofit.worker.supervisor import STOP_SIGNALS, Signals


def serve(assignment: Assignment) -> int:
    """Fork workers as asked, until the pool closes its end."""
    child.die_with(os.getppid())
    control = socket.socket(fileno=os.dup(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the pool passes it on
    assignment.load()
    signal.pthread_sigmask(
        signal.SIG_BLOCK, STOP_SIGNALS
    )  # this process ends with the pool, and workers with it
    signal.signal(
        signal.SIGCHLD, signal.SIG_IGN
    )  # the pool sees a worker's end by its socket; nobody waits here
    _say(control, {"ready": True, "problem": assignment.problem})
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 65536, 1)
        if not message:
            return 0
        request = json.loads(message)
        server = os.getpid()
        pid = os.fork()
        if pid == 0:
            control.close()
            _be_worker(assignment, request, socket.socket(fileno=descriptors[0]), server)
        os.close(descriptors[0])
        _say(control, {"slot": request["slot"], "pid": pid})


def _say(control: socket.socket, record: dict) -> None:
    with contextlib.suppress(BrokenPipeError):
        control.sendall(json.dumps(record).encode() + b"\n")


def _be_worker(assignment: Assignment, request: dict, jobs: socket.socket, server: int) -> None:
    status = 1
    try:
        child.die_with(server)
        signals = Signals()
        signals.listen()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        worker = Worker(assignment, signals, environment=request["environment"])
        worker.forked = lambda pid: jobs.sendall(f"child {pid}\n".encode())
        worker.descriptors = (jobs.fileno(),)
        with jobs.makefile("r") as lines:
            for line in lines:
                end = worker.do_job(int(line))
                over = end == "stopped" and not signals.stop  # by its time limit, and getting no further
                jobs.sendall(f"{'done' if over else end}\n".encode())
                if signals.stop:
                    break
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
