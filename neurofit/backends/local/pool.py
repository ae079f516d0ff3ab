"""The pool's supervisor, a process in a session of its own: it hands jobs to workers, replaces workers that die, and
ends when all jobs have ended.

supervisor (this)  ──►  fork server (imports done once)  ──►  workers, one per slot  ──►  a child per group of tasks

Each lives only as long as the process to its left. The supervisor imports none of the user's code, so the user's code
cannot end it. `pool.jsonl` is its diary: its own process, and each job that ended.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurofit import transient
from neurofit.backends.job_script import SCRIPT
from neurofit.backends.local.backend import SETTINGS, append_event, left_out
from neurofit.exit_codes import DAMAGED, UNMET
from neurofit.files import read_json, write_new
from neurofit.process import Process

MOST_RESTARTS = 10  # of one job that does not end
RESTARTS_AT_ONCE = 2  # of a job, without a pause before them
LONGEST_PAUSE_SECONDS = 30.0
MOST_SERVER_STARTS = 5  # without a job that ends in between
HARD_STOP_SECONDS = 45.0


@dataclass
class Slot:
    """One place where a job can run."""

    number: int
    environment: dict[str, str]
    jobs: socket.socket | None = None
    pid: int | None = None
    job: int | None = None
    children: set[int] = field(default_factory=set)  # process groups that the worker has started
    received: bytes = b""  # an incomplete line


class Pool:
    """Jobs, slots, and the fork server between them."""

    def __init__(self, folder: Path) -> None:
        settings = read_json(folder / SETTINGS, late=True)
        self.folder = folder
        self.environment = {**os.environ, **settings["environment"]}
        self.study = settings["study"]
        self.several = settings.get("several", False)  # whether a job runs several tasks at a time
        self.waiting = collections.deque(range(settings["jobs"]))
        self.slots = [Slot(number, environment) for number, environment in enumerate(settings["slots"])]
        self.slots = self.slots[: max(1, settings["jobs"])]
        self.restarts: collections.Counter[int] = collections.Counter()
        self.not_before: dict[int, float] = {}  # earliest next start of a job that was restarted often
        self.gate_settings: dict[str, Any] | None = settings.get(
            "gate"
        )  # what the jobs wait for, if anything
        self.at_end: list[str] = settings.get("at_end") or []
        self.gate: subprocess.Popen[bytes] | None = None
        self.gate_starts = 0
        self.server: subprocess.Popen[bytes] | None = None
        self.control: socket.socket | None = None
        self.control_received = b""
        self.server_starts = 0
        self.ready = False  # whether the fork server is ready to fork workers
        self.stopping: float | None = None
        self.over = False
        self.gave_up = False
        self.unwritten: list[dict[str, object]] = []  # events that could not be written yet
        self.server_not_before = 0.0
        self.script_seen = time.monotonic()  # when the submission's folder was last seen, by its script
        self.selector = selectors.DefaultSelector()

    def run(self) -> int:
        """Run all jobs; return the exit status."""
        self._listen()
        append_event(self.folder, pool=Process.here().record())
        if not os.read(0, 1):
            print("pool: its submitter died before it had recorded the pool", file=sys.stderr, flush=True)
            return 1
        with transient.patience(transient.at_once(self.folder)):
            try:
                self._serve()
            finally:
                self._close_gate()
        ended = self.stopping is not None or self.over
        with transient.patience(transient.at_once(self.folder) if ended else transient.worker(self.folder)):
            self._write()
        self._start_last()
        return 1 if self.gave_up else 0

    def _start_last(self) -> None:
        """Start what has to see this pool ended: it waits until its standard input ends."""
        if self.at_end:
            with contextlib.suppress(OSError):  # the storage of its folder may be away
                subprocess.Popen(self.at_end, stdin=subprocess.PIPE, cwd=self.folder, start_new_session=True)

    def _serve(self) -> None:
        self._write(begun=True)
        while not self.over and (self.waiting or any(slot.job is not None for slot in self.slots)):
            self._sees_script()
            if self._pass_gate() and self._needs_server():
                self._start_server()
            self._leave_out()
            for slot in self.slots:
                self._occupy(slot)
            if self.stopping is not None:
                if not any(slot.job is not None for slot in self.slots):
                    break
                if time.monotonic() > self.stopping:
                    self._end_now()
            for key, _ in self.selector.select(timeout=1.0):
                key.data()
            self._write()

    def _write(self, **event: object) -> None:
        """Add an event to the diary. If the storage is away, it is written later, and jobs go on."""
        if event:
            self.unwritten.append(event)
        with contextlib.suppress(OSError):
            while self.unwritten:
                append_event(self.folder, **self.unwritten[0])
                del self.unwritten[0]

    def _listen(self) -> None:
        read, write = os.pipe()
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write)
        self.selector.register(read, selectors.EVENT_READ, lambda: os.read(read, 4096))
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the pool continues after logout

    def _stop(self, number: int, frame: object) -> None:
        if self.stopping is not None or not self.ready:
            self._end_now()
            return
        self.stopping = time.monotonic() + HARD_STOP_SECONDS
        self._signal_workers(signal.SIGTERM)

    def _end_now(self) -> None:
        self.over = True
        self._signal_workers(signal.SIGKILL)
        if self.server is not None:
            self.server.kill()

    def _signal_workers(self, number: signal.Signals) -> None:
        for slot in self.slots:
            if slot.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(slot.pid, number)

    # experiments that must be done first

    def _pass_gate(self) -> bool:
        """Whether the jobs may start. While they may not, a process of its own reads the needed experiments."""
        if self.gate_settings is None or self.stopping is not None or self.over:
            return True
        if self.gate is None:
            if time.monotonic() < self.server_not_before:
                return False
            if self._sees_script():
                self._start_gate()
            else:
                self.over = self._is_deleted()
            return False
        status = self.gate.poll()
        if status is None:
            return False
        self._close_gate()
        if status == 0:
            self.gate_settings = None
            return True
        if status != UNMET:  # it was killed, or met something unexpected
            print(f"pool: the gate ended with status {status}", file=sys.stderr, flush=True)
            if self.gate_starts <= MOST_SERVER_STARTS:
                pause = min(2.0**self.gate_starts, LONGEST_PAUSE_SECONDS)
                self.server_not_before = time.monotonic() + pause
                return False
            with contextlib.suppress(OSError):
                write_new(Path(self.gate_settings["report"]), self.gate_settings["broken"])
        while self.waiting:  # none of them has started: their tasks are as they were
            self._write(ended=self.waiting.popleft())
        return False

    def _start_gate(self) -> None:
        assert self.gate_settings is not None  # otherwise there is nothing to wait for
        self.gate_starts += 1
        self.gate = subprocess.Popen(
            self.gate_settings["command"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=self.folder
        )
        assert self.gate.stdout is not None  # a pipe, as asked above
        self.selector.register(self.gate.stdout, selectors.EVENT_READ, self._hear_gate)

    def _hear_gate(self) -> None:
        """The gate writes nothing: its output is readable when it ends."""
        if self.gate is not None:
            self.gate.wait()

    def _close_gate(self) -> None:
        if self.gate is None:
            return
        self.gate.kill()
        self.gate.wait()
        for pipe in (self.gate.stdout, self.gate.stdin):
            assert pipe is not None  # as asked at its start
            with contextlib.suppress(KeyError):
                self.selector.unregister(pipe)
            pipe.close()
        self.gate = None

    # the fork server

    def _needs_server(self) -> bool:
        """Whether to start a fork server now: not too often, and only if its files are there."""
        if self.stopping is not None or self.server is not None or time.monotonic() < self.server_not_before:
            return False
        if self._sees_script():
            return True
        self.over = self._is_deleted()
        return False

    def _sees_script(self) -> bool:
        if os.path.exists(self.folder / SCRIPT):
            self.script_seen = time.monotonic()
            return True
        return False

    def _is_deleted(self) -> bool:
        """Whether the submission's folder was missing for longer than a storage may be away."""
        return time.monotonic() - self.script_seen >= transient.WORKER_SECONDS

    def _start_server(self) -> None:
        self.server_starts += 1
        if self.server_starts > MOST_SERVER_STARTS:
            self._give_up(
                f"the pool's fork server ended {MOST_SERVER_STARTS} times before any job ended; see "
                "logs/pool.log"
            )
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = ["/bin/bash", str(self.folder / SCRIPT), "--serve", str(self.folder)]
        try:
            self.server = subprocess.Popen(
                command, stdin=theirs.fileno(), env=self.environment, cwd=self.study
            )
        except OSError as error:  # the storage of the study may be away
            print(f"pool: the fork server could not be started: {error}", file=sys.stderr, flush=True)
            self._delay_next_server()
            ours.close()
            return
        finally:
            theirs.close()
        self.control = ours
        self.control_received = b""
        self.ready = False
        self.selector.register(ours, selectors.EVENT_READ, self._read_server)

    def _read_server(self) -> None:
        if self.control is None:
            return
        try:
            data = self.control.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self._server_ended()
            return
        *lines, self.control_received = (self.control_received + data).split(b"\n")
        for line in lines:
            answer = json.loads(line)
            self.ready = True
            if "slot" in answer:
                self.slots[answer["slot"]].pid = answer["pid"]
                if self.stopping is not None:
                    self._signal_workers(signal.SIGTERM)

    def _server_ended(self) -> None:
        if self.control is None or self.server is None:
            return
        self.selector.unregister(self.control)
        self.control.close()
        self.control = None
        status = self.server.wait()
        print(f"pool: the fork server ended with status {status}", file=sys.stderr, flush=True)
        self.server = None
        if status == DAMAGED:
            self._give_up("a file of the submission is damaged; see logs/pool.log")
        self._delay_next_server()

    def _delay_next_server(self) -> None:
        self.script_seen = time.monotonic()  # its files are needed again only then
        often = self.server_starts - RESTARTS_AT_ONCE
        if often > 0:
            self.server_not_before = time.monotonic() + min(2.0 ** (often - 1), LONGEST_PAUSE_SECONDS)

    # slots

    def _occupy(self, slot: Slot) -> None:
        """Give the next job to a free slot, and start a worker there if it has none."""
        if (
            slot.job is not None
            or self.stopping is not None
            or self.control is None
            or not self._next_is_ready()
        ):
            return
        jobs = slot.jobs or self._start_worker(slot)
        if jobs is None:
            return
        slot.job = self.waiting.popleft()
        try:
            jobs.sendall(f"{slot.job}\n".encode())
        except OSError:
            self._worker_ended(slot)

    def _leave_out(self) -> None:
        """Remove jobs that were cancelled while they waited."""
        try:
            cancelled = left_out(self.folder)
        except OSError:
            return  # read again within a second
        for job in cancelled.intersection(self.waiting):
            self.waiting.remove(job)
            self._write(ended=job)

    def _next_is_ready(self) -> bool:
        """Whether a job may start now, which is then moved to the front of the waiting ones."""
        now = time.monotonic()
        for _ in range(len(self.waiting)):
            if self.not_before.get(self.waiting[0], 0.0) <= now:
                return True
            self.waiting.rotate(-1)
        return False

    def _start_worker(self, slot: Slot) -> socket.socket | None:
        """Ask the fork server for a worker; return the socket to it, or None if the server is gone."""
        if self.control is None:
            return None
        ours, theirs = socket.socketpair()
        request = json.dumps({"slot": slot.number, "environment": slot.environment}).encode()
        try:
            socket.send_fds(self.control, [request], [theirs.fileno()])
        except OSError:
            ours.close()
            return None
        finally:
            theirs.close()
        slot.jobs, slot.received, slot.pid = ours, b"", None
        self.selector.register(ours, selectors.EVENT_READ, lambda: self._read_worker(slot, ours))
        return ours

    def _read_worker(self, slot: Slot, jobs: socket.socket) -> None:
        if slot.jobs is not jobs:
            return
        try:
            data = jobs.recv(4096)
        except ConnectionError:
            data = b""
        if not data:
            self._worker_ended(slot)
            return
        *lines, slot.received = (slot.received + data).split(b"\n")
        for line in lines:
            self._handle(slot, line.decode())

    def _handle(self, slot: Slot, word: str) -> None:
        if word.startswith("child "):
            if not self.several:
                slot.children.clear()
            slot.children.add(int(word.removeprefix("child ")))
            return
        if word.startswith("gone "):
            slot.children.discard(int(word.removeprefix("gone ")))
            return
        job, slot.job = slot.job, None
        slot.children.clear()
        if job is None:
            return
        if word in ("again", "stopped") and self.stopping is None:
            self.waiting.append(job)
            if word == "stopped":  # not by this pool: that worker takes no more jobs
                self._worker_ended(slot)
            return
        self.server_starts = min(self.server_starts, 1)
        self.restarts.pop(job, None)
        if word.startswith("damaged "):
            self._write(ended=job, cause=word.removeprefix("damaged "))
        else:
            self._write(ended=job)

    def _worker_ended(self, slot: Slot) -> None:
        """Kill what the worker's children have started, and put its job back into the queue."""
        if slot.jobs is not None:
            self.selector.unregister(slot.jobs)
            slot.jobs.close()
        for child in slot.children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child, signal.SIGKILL)
        slot.children.clear()
        job, slot.jobs, slot.pid, slot.job = slot.job, None, None, None
        if not self._sees_script() and self._is_deleted():
            self._end_now()
        if job is None or self.stopping is not None or self.over:
            return
        self.restarts[job] += 1
        if self.restarts[job] > MOST_RESTARTS:
            cause = f"its worker died {self.restarts[job]} times before the job ended; see logs/pool.log"
            self._write(ended=job, cause=cause)
            return
        often = self.restarts[job] - RESTARTS_AT_ONCE
        if often > 0:  # the cause, such as a full disk, may pass
            self.not_before[job] = time.monotonic() + min(2.0 ** (often - 1), LONGEST_PAUSE_SECONDS)
        self.waiting.appendleft(job)

    def _give_up(self, cause: str) -> None:
        """End the pool; no job that is left is started again."""
        self.gave_up = True
        for job in [*self.waiting, *(slot.job for slot in self.slots if slot.job is not None)]:
            self._write(ended=job, cause=cause)
        self._end_now()


def main(folder: Path) -> int:
    return Pool(folder).run()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
