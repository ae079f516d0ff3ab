"""Fork a child for a group of tasks and watch it: heartbeat, stop requests, limits of time and memory, and its end."""

from __future__ import annotations

import contextlib
import io
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from neurofit.startup_lines import without_loading
from neurofit.transient import retry
from neurofit.worker import child, teardown
from neurofit.worker.descriptors import readable
from neurofit.worker.status_line import StatusLine
from neurofit.worker.stopping import NEAR_LIMIT, SharedReason

GRACE_SECONDS = 30.0  # between asking a task to stop and killing it
POLL_SECONDS = 1.0
DRAIN_SECONDS = 2.0  # for output that comes after a child has ended, from processes that it left behind
CRASHED = 70  # exit status of a child that failed outside the fit
STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT)


class Signals:
    """The signals that this process received, and a descriptor that `select` can wait for."""

    def __init__(self) -> None:
        self.stop: str | None = None  # why this worker should stop
        self.hard = False  # interrupted a second time: stop at once
        self.notice = False  # the queue has announced that it will end or suspend this job
        read, self._write = os.pipe()
        for descriptor in (read, self._write):
            os.set_blocking(descriptor, False)
        self.descriptor = read
        self._before: dict[int, Any] = {}

    def listen(self) -> None:
        self._before = {number: signal.signal(number, self._note) for number in STOP_SIGNALS}
        # without a handler, the wake-up below is not written
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def close(self) -> None:
        """Restore the signal handlers."""
        if self._before:
            signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        for descriptor in (self.descriptor, self._write):
            os.close(descriptor)

    def _note(self, number: int, frame: object) -> None:
        self.hard = self.stop is not None and number == signal.SIGINT
        self.notice = self.notice or number in (signal.SIGUSR1, signal.SIGUSR2)
        self.stop = self.stop or signal.Signals(number).name

    def wait(self, seconds: float, also: list[int]) -> list[int]:
        """Sleep until a signal, input on `also`, or the timeout; return the descriptors that have input."""
        with contextlib.suppress(InterruptedError):
            ready = readable([self.descriptor, *also], seconds)
            if self.descriptor in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self.descriptor, 4096)
                ready.remove(self.descriptor)
            return ready
        return []


@dataclass(frozen=True)
class Limits:
    """Limits of a group of tasks; None means no limit."""

    task_seconds: float | None = None
    memory_gb: float | None = None
    deadline: float | None = None  # of the job, in time.monotonic() seconds


@dataclass
class Capture:
    """Where a child's output goes: two files, and also the terminal if `echo` is set."""

    stdout: Path
    stderr: Path
    echo: bool = False
    status_line: StatusLine | None = None  # below what is echoed
    _pipes: dict[int, tuple[int, int]] = field(default_factory=dict)  # read end → (file, terminal)
    _ends: tuple[int, int] = (-1, -1)

    def open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        files = [retry(partial(os.open, path, flags, 0o666)) for path in (self.stdout, self.stderr)]
        if not self.echo:
            self._ends = (files[0], files[1])
            return
        ends = []
        for file, terminal in zip(files, (1, 2)):
            read, write = os.pipe()
            self._pipes[read] = (file, terminal)
            ends.append(write)
        self._ends = (ends[0], ends[1])

    def in_child(self) -> None:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        for descriptor, end in zip((1, 2), self._ends):
            os.dup2(end, descriptor)
        for descriptor in (nothing, *self._ends, *self._pipes):
            os.close(descriptor)
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # a stream that was a file and is a pipe now: Python would seek in it
                with contextlib.suppress(OSError):
                    stream.reconfigure(errors="backslashreplace")
                stream.reconfigure(line_buffering=True)

    def in_parent(self) -> None:
        for end in self._ends:
            os.close(end)

    def descriptors(self) -> list[int]:
        return list(self._pipes)

    def pass_on(self, ready: list[int]) -> None:
        for read in ready:
            data = os.read(read, 65536)
            if not data:
                self._close(read)
            shown = without_loading(data)
            if shown and self.status_line:
                self.status_line.remove()
                self.status_line.printed(shown)
            for target, text in zip(self._pipes.get(read, ()), (data, shown)):
                with contextlib.suppress(OSError):
                    os.write(target, text)

    def draw(self) -> None:
        """Draw the status line, if there is one."""
        if self.status_line:
            self.status_line.draw()

    def finish(self) -> None:
        if self.status_line:
            self.status_line.remove()
            self.status_line = None
        until = time.monotonic() + DRAIN_SECONDS
        while self._pipes:
            ready = readable(self._pipes, 0.2)
            self.pass_on(ready)
            if not ready or time.monotonic() > until:
                break  # a grandchild keeps the pipe open
        for read in list(self._pipes):
            self._close(read)

    def _close(self, read: int) -> None:
        file, _ = self._pipes.pop(read)
        os.close(read)
        os.close(file)


@dataclass
class Ending:
    """How a child ended, and what this process did to it."""

    status: int  # exit status; negative: the signal that killed it
    peak_gb: float
    memory: bool = False  # whether the kernel killed it because memory ran out
    limit: str | None = None  # "timeout" or "memory" if this process enforced that limit
    asked: str | None = None  # why it was asked to stop
    is_shared: bool = False  # whether it exceeded the limit of memory only together with others


@dataclass
class Watch:
    """What to do and to check while a child runs."""

    signals: Signals
    heartbeat: Callable[[], None]
    cancelled: Callable[[], str | None]
    heartbeat_seconds: float
    forked: Callable[[int], None]
    reason: SharedReason = field(default_factory=SharedReason)
    meanwhile: Callable[[], None] = lambda: None  # called about every second
    ended: Callable[[int], None] = lambda pid: None  # called once the child and its processes are gone
    beside: Callable[[], Collection[int]] = lambda: ()  # other children of the job, which share its memory


@dataclass
class Start:
    """What a child does, and what it inherits."""

    do: Callable[[], None]
    environment: dict[str, str]
    closed: tuple[int, ...]  # descriptors that it has to close


class Wait(NamedTuple):
    """What a watched child waits for."""

    pid: int
    seconds: float  # at most
    descriptors: list[int]  # input that comes from it
    enforce: Callable[[], None]  # ends or kills it if its time is over, also while the storage is away


Watched = Generator[Wait, list[int], Ending]


def run(start: Start, capture: Capture, limits: Limits, watch: Watch) -> Watched:
    """Run it in a forked child, until the child and all its processes have ended.

    A generator, so that one process can watch several children: it yields what it waits for, and is sent the
    descriptors that have input. If it is closed, the child is killed.
    """
    capture.open()
    kills = _kernel_kills()
    parent = os.getpid()
    teardown.flush_before_fork()
    pid = os.fork()
    if pid == 0:
        _be_child(start, capture, parent)
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid)  # parent and child both set it, so that it is set before either goes on
    ending = yield from _Watcher(pid, capture, limits, watch).until_it_ends()
    capture.finish()
    ending.memory = ending.status == -signal.SIGKILL and _kernel_kills() > kills
    return ending


def _be_child(start: Start, capture: Capture, parent: int) -> None:
    status = CRASHED
    try:
        signal.set_wakeup_fd(-1)
        os.setpgid(0, 0)
        child.die_with(parent)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        capture.in_child()
        for descriptor in start.closed:
            os.close(descriptor)
        os.environ.update(start.environment)
        start.do()
        status = 0
    except BaseException:
        with contextlib.suppress(Exception):
            traceback.print_exc()
    finally:  # never return: the frames below belong to the worker
        child.leave(status)


class _Watcher:
    def __init__(self, pid: int, capture: Capture, limits: Limits, watch: Watch) -> None:
        self.pid, self.capture, self.limits, self.watch = pid, capture, limits, watch
        self.process = os.getpid()
        self.began = time.monotonic()
        self.next_beat = self.began + watch.heartbeat_seconds * random.uniform(0.6, 1.0)
        self.kill_at: float | None = None
        self.limit: str | None = None
        self.is_shared = False
        self.asked: str | None = None
        self.is_over = False  # its process number may be another's

    def until_it_ends(self) -> Watched:
        pause = 0.0
        try:
            self.watch.forked(self.pid)
            self.capture.in_parent()
            while os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                self.capture.pass_on(
                    (yield Wait(self.pid, pause, self.capture.descriptors(), self._enforce_now))
                )
                pause = POLL_SECONDS
                self.capture.draw()
                now = time.monotonic()
                if now - self.began > 0.5 * POLL_SECONDS:
                    self._check(now)
        finally:  # also if the job gives it up
            if os.getpid() == self.process:  # a child of the job has a copy of this generator
                # what the child has left behind; its process number is not reused until it is reaped
                self._signal(signal.SIGKILL)
                _, status, usage = os.wait4(self.pid, 0)
                self.is_over = True
                self.watch.ended(self.pid)
        return Ending(
            os.waitstatus_to_exitcode(status),
            usage.ru_maxrss / 2**20,
            limit=self.limit,
            asked=self.asked,
            is_shared=self.is_shared,
        )

    def _check(self, now: float) -> None:
        if now >= self.next_beat:
            self.watch.heartbeat()
            self.next_beat = now + self.watch.heartbeat_seconds * random.uniform(0.6, 1.0)
        self.watch.meanwhile()
        self._enforce(now, self.watch.cancelled)

    def _enforce_now(self) -> None:
        """As in a check, but without a look at files."""
        if not self.is_over:
            self._enforce(time.monotonic(), lambda: None)

    def _enforce(self, now: float, cancelled: Callable[[], str | None]) -> None:
        if self.kill_at is not None:
            if now >= self.kill_at or self.watch.signals.hard:
                self._signal(signal.SIGKILL)
            return
        reason = self.watch.signals.stop or cancelled() or self._limit(now)
        if reason:
            self.asked = reason
            self.watch.reason.write(cancelled() or reason)  # a cancellation may come with a signal
            self.kill_at = now + GRACE_SECONDS
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGXCPU if self.limit == "timeout" else signal.SIGTERM)

    def _limit(self, now: float) -> str | None:
        limits = self.limits
        if limits.task_seconds is not None and now - self.began > limits.task_seconds:
            self.limit = "timeout"
            return "its time limit is exceeded"
        if limits.memory_gb is not None and self._uses_too_much(limits.memory_gb):
            self.limit = "memory"
            self._signal(signal.SIGKILL)
            return "its memory limit is exceeded"
        if limits.deadline is not None and now > limits.deadline:
            return NEAR_LIMIT
        return None

    def _uses_too_much(self, most_gb: float) -> bool:
        """Whether this child exceeds the job's memory, or is the largest of those that do together."""
        own, others = memory_gb(self.pid), [pid for pid in self.watch.beside() if pid != self.pid]
        if not others or own + sum(map(memory_gb, others)) <= most_gb:
            return own > most_gb
        # what they share since they were forked counts once
        own, *rest = (memory_gb(pid, proportional_kb) for pid in (self.pid, *others))
        self.is_shared = own <= most_gb
        return own + sum(rest) > most_gb and own >= max(rest)

    def _signal(self, number: int) -> None:
        """Send a signal to the child and its process group, which a fit can leave."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(self.pid) != self.pid:  # otherwise it would get the signal twice
                os.kill(self.pid, number)


def _kernel_kills() -> int:
    """How many processes the kernel of this machine has killed because memory ran out."""
    try:
        with open("/proc/vmstat") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("oom_kill ")), 0)
    except OSError:
        return 0


def resident_kb(pid: int) -> int:
    """Resident memory of a process."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def proportional_kb(pid: int) -> int:
    """Its share of the memory that it has with other processes, and its own; resident memory if that is not known."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return resident_kb(pid)


def memory_gb(pid: int, kilobytes: Callable[[int], int] = resident_kb) -> float:
    """Memory of a process and its descendants, in GB."""
    total = 0.0
    try:
        total = kilobytes(pid) / 2**20
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            below = [int(word) for word in file.read().split()]
    except OSError:
        return total
    return total + sum(memory_gb(number, kilobytes) for number in below)
