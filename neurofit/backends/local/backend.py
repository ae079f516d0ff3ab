"""The local pool: this machine's cores as a queue, with one supervisor process per submission (`pool.py`)."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from neurofit import process
from neurofit.backends.base import Backend, Ending, Finding, JobKey, Limits, Queued, QueueState, Submission
from neurofit.backends.job_script import SCRIPT, thread_environment
from neurofit.errors import SubmissionError
from neurofit.files import append_lines, read_file, to_json, write_whole
from neurofit.process import Process, is_process
from neurofit.structure import Record, structured_lines
from neurofit.transient import retry

SETTINGS = "pool.json"
EVENTS = "pool.jsonl"
LEFT_OUT = "left_out"  # a folder with one file per job that was cancelled while it waited
LOG = Path("logs") / "pool.log"
START_SECONDS = 15.0
END_SECONDS = 10.0  # within which a pool notices that its submitter has died


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, by their names for CUDA_VISIBLE_DEVICES."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name for name in given.split(",") if name.strip() not in ("", "-1")]
    try:
        return [str(number) for number in range(len(os.listdir("/proc/driver/nvidia/gpus")))]
    except OSError:
        return []


@dataclass(frozen=True)
class LocalBackend(Backend):
    """Runs jobs on this machine, `workers` at a time."""

    workers: int | None = None  # None: as many as the cores allow, or the GPUs if `resources.gpus` is set

    grace_seconds: float = 0.0  # a process exists or it does not

    def runs_here(self) -> bool:
        return True

    def waits_for_needs(self) -> bool:
        return True

    def misfit(self) -> str | None:
        tasks, workers = self.tasks_per_gpu, self.workers
        if isinstance(tasks, int) and workers is not None and workers < tasks:
            return (
                f"'workers' is {workers}, so that {tasks} tasks (tasks_per_gpu) never share a GPU. Leave workers out, "
                f"or give at least {tasks}."
            )
        return super().misfit()

    def tasks_at_a_time(self) -> int | Literal["auto"]:
        """A job runs its tasks in turn, and several jobs share a GPU, unless each job measures what fits."""
        return 1 if isinstance(self.tasks_per_gpu, int) else self.tasks_per_gpu

    def jobs_at_a_time(self) -> int | None:
        return len(self.slots())

    def with_workers(self, workers: int) -> LocalBackend:
        return replace(self, workers=workers)

    def slots(self) -> list[dict[str, str]]:
        """The environment of each worker, one per job that can run at a time.

        Raises
        ------
        SubmissionError
            A job asks for more GPUs than this machine has.
        """
        gpus, wanted = visible_gpus(), self.resources.gpus
        cores = len(os.sched_getaffinity(0))
        number = self.workers or max(1, cores // max(1, self.resources.cpus))
        if self.max_running:
            number = min(number, self.max_running)
        if wanted:
            parts = [gpus[start : start + wanted] for start in range(0, len(gpus) - wanted + 1, wanted)]
            if not parts:
                raise SubmissionError(
                    f"resources.gpus is {wanted}, but this machine has {len(gpus)} GPU(s) for this process. Ask for "
                    "fewer, or use another runner."
                )
            shared = self.tasks_per_gpu if isinstance(self.tasks_per_gpu, int) else 1
            if shared > 1 and self.workers is None:  # asked for, however many cores there are
                number = min(shared * len(parts), self.max_running or shared * len(parts))
            # a GPU gets its second task after each has its first
            return [{"CUDA_VISIBLE_DEVICES": ",".join(part)} for part in (parts * shared)[:number]]
        if wanted == 0:
            return [{"CUDA_VISIBLE_DEVICES": ""} for _ in range(number)]
        return [{"CUDA_VISIBLE_DEVICES": gpus[slot % len(gpus)]} if gpus else {} for slot in range(number)]

    def script(self, submission: Submission) -> str:
        lines = ["#!/bin/bash", "# What the local pool runs; it adds the submission's folder."]
        worker = f'exec {self.command()} "$@"'
        if self.setup:  # its commands must not read the worker's standard input
            lines, worker = [*lines, "exec 3<&0 </dev/null", *self.setup], f"{worker} <&3 3<&-"
        return "\n".join([*lines, worker]) + "\n"

    def preview(self, submission: Submission) -> str:
        return f"# {len(self.slots())} at a time on this machine\n{self.script(submission)}"

    def submit(self, submission: Submission) -> Iterator[Queued]:
        """Start the pool. It begins when its record is saved, and ends if this process dies before that."""
        folder = submission.folder
        settings = {
            "jobs": submission.jobs,
            "slots": self.slots(),
            "environment": thread_environment(self.threads()),
            "study": str(submission.study),
        }
        if self.tasks_at_a_time() != 1:
            settings["several"] = True
        if submission.at_end:
            settings["at_end"] = submission.at_end
        if submission.gate:
            settings["gate"] = {
                "command": submission.gate.command,
                "report": str(submission.gate.report),
                "broken": submission.gate.broken,
            }
        write_whole(folder / SCRIPT, self.script(submission))
        write_whole(folder / SETTINGS, to_json(settings))
        with retry(lambda: open(folder / LOG, "ab")) as log:
            pool = subprocess.Popen(
                [sys.executable, "-m", "neurofit.backends.local.pool", str(folder)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # not the study, where `python -m` would import a json.py instead of the standard library's
                cwd=folder,
            )
        process, start = Process.of(pool.pid), pool.stdin
        assert start is not None  # a pipe, as asked above
        try:
            _wait_until_started(folder, pool)
            yield Queued(folder, str(pool.pid), 0, submission.jobs - 1, process.record())
            with contextlib.suppress(BrokenPipeError):  # it has already ended
                os.write(start.fileno(), b"\n")
        finally:
            start.close()

    def find(self, submissions: Iterable[Submission]) -> list[Queued]:
        pools = {submission: _pool_of(submission.folder) for submission in submissions}
        return [
            Queued(submission.folder, str(pool.pid), 0, submission.jobs - 1, pool.record())
            for submission, pool in pools.items()
            if pool is not None and _diary_of(submission.folder, pool) is not None
        ]

    def poll(self, queued: Iterable[Queued]) -> Mapping[JobKey, QueueState]:
        live: dict[JobKey, QueueState] = {}
        for entry in queued:
            process = _process_of(entry)
            if process is None or not process.is_alive():
                continue
            diary = _diary_of(entry.folder, process)
            if diary is not None:
                jobs = set(range(entry.first, entry.last + 1)) - _endings(diary).keys()
                live |= {(entry.token, job): QueueState("pending") for job in sorted(jobs)}
        return live

    def can_ask(self, queued: Queued) -> bool:
        process = _process_of(queued)
        return process is None or process.is_alive() is not None

    def endings(self, queued: Iterable[Queued]) -> Mapping[JobKey, Ending]:
        return {
            (entry.token, job): Ending(cause)
            for entry in queued
            for job, cause in _endings(_events(entry.folder)).items()
            if entry.first <= job <= entry.last
        }

    def cancel(self, queued: Iterable[Queued], jobs: Iterable[JobKey]) -> None:
        """End the pool if all its jobs are cancelled. Otherwise it skips those of the jobs that still wait.

        The workers of running jobs find the cancellation in the submission's files.
        """
        cancelled = set(jobs)
        for entry in queued:
            process = _process_of(entry)
            if process is None or not process.is_alive():
                continue
            gone, whole = entry.among(cancelled)
            if whole:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGTERM)
            elif gone:
                _leave_out(entry.folder, gone)

    def limits(self) -> Limits:
        room = process.memory_total()
        return Limits(running=len(self.slots()), memory_gb=None if room is None else room / 2**30)

    def check(self) -> list[Finding]:
        answer = subprocess.run([self.python, "-c", "import neurofit"], capture_output=True, text=True)
        error = next(iter(answer.stderr.strip().splitlines()[-1:]), "")
        advice = f"install neurofit for {self.python}: {error}"
        width = f"{len(self.slots())} job(s) at a time, {self.resources.cpus} core(s) each"
        return [
            Finding(
                answer.returncode == 0,
                f"{self.python} can import neurofit",
                advice if answer.returncode else "",
            ),
            Finding(True, f"{width}, {len(visible_gpus())} GPU(s) visible"),
        ]


def _process_of(entry: Queued) -> Process | None:
    """The pool that has these jobs, if its process was recorded."""
    record = entry.process
    return Process.from_record(dict(record)) if record is not None and is_process(record) else None


def left_out(folder: Path) -> set[int]:
    """Numbers of the jobs that were cancelled while they waited."""
    try:
        return {int(name) for name in os.listdir(folder / LEFT_OUT) if name.isdecimal()}  # .DS_Store, .nfs…
    except FileNotFoundError:
        return set()


def _leave_out(folder: Path, jobs: Iterable[int]) -> None:
    retry(lambda: (folder / LEFT_OUT).mkdir(exist_ok=True))
    for job in jobs:
        retry((folder / LEFT_OUT / str(job)).touch)


def _wait_until_started(folder: Path, pool: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if _pool_of(folder) is not None:
            return
        if pool.poll() is not None:
            output = (folder / LOG).read_text(errors="replace").strip()[-2000:]
            raise SubmissionError(
                f"The local pool exited with status {pool.returncode} at its start:\n{output}"
            )
        time.sleep(0.01)


class PoolEvent(Record, frozen=True, kw_only=True):
    """A line of a pool's diary, `pool.jsonl`."""

    what: ClassVar[str] = "an event of a pool"

    pool: Process | None = None
    begun: Any = None
    ended: Annotated[int, Meta(ge=0, description="the number of a job")] | None = None
    cause: str | None = None


def _events(folder: Path) -> list[PoolEvent]:
    try:
        return structured_lines(read_file(folder / EVENTS), PoolEvent)[0]
    except FileNotFoundError:
        return []


def _pool_of(folder: Path) -> Process | None:
    return next((event.pool for event in _events(folder) if event.pool is not None), None)


def _diary_of(folder: Path, pool: Process) -> list[PoolEvent] | None:
    """The events of a pool; None if it ends because its submitter died before letting it begin.

    A task in the foreground has no pool, and has begun.
    """
    deadline = time.monotonic() + END_SECONDS
    while True:
        events = _events(folder)
        started = any(event.pool is not None for event in events)
        begun = any(event.begun is not None or event.ended is not None for event in events)
        if begun or not started or time.monotonic() >= deadline:
            return events
        if not pool.is_alive():
            return None
        time.sleep(0.01)


def _endings(events: Iterable[PoolEvent]) -> dict[int, str | None]:
    """Job → why it ended; None if it completed."""
    return {event.ended: event.cause for event in events if event.ended is not None}


def append_event(folder: Path, **event: object) -> None:
    """Add an event to the pool's diary."""
    append_lines(folder / EVENTS, [event], durable=False)
