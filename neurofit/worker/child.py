"""The process that runs one group of tasks: it writes one outcome per task, and leaves nothing running behind."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from msgspec.structs import replace

from neurofit import environment
from neurofit.experiments import import_path
from neurofit.experiments.fits import FitAdapter
from neurofit.store.attempts import publish
from neurofit.store.records import ErrorRecord, Outcome
from neurofit.store.suggestions import PRUNED_AT
from neurofit.worker import teardown
from neurofit.worker.checkpoints import Superseded
from neurofit.worker.outcome import (
    BadMetrics,
    checked_metrics,
    exception_record,
    must_have,
    timestamp,
    users_part,
)
from neurofit.worker.stopping import stop_reason
from neurofit.worker.task_context import Stopped, StopRequest, TaskContext

PR_SET_PDEATHSIG = 1
DURABLE_FROM_SECONDS = 1.0  # syncing the outcome of a shorter task would cost more than repeating the task

try:
    _prctl: Any = ctypes.CDLL(None, use_errno=True).prctl  # loaded before any fork
except (OSError, AttributeError):
    _prctl = None


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends."""
    if _prctl is not None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


@dataclass
class Work:
    """A group of tasks, and their outcomes as far as they are known before the tasks start."""

    fit: FitAdapter | None
    problem: str | None
    tasks: list[TaskContext]
    records: list[Outcome]
    code: Path
    versions: Callable[[], dict[str, str]]
    timeout_error: ErrorRecord  # the error of a task that exceeds its time limit
    modules: list[ModuleType]  # of the study, loaded with the experiment
    asked: Callable[[], str | None] = lambda: None  # why these tasks were asked to stop
    inputs: Sequence[str | Path] = ()  # files that every task reads
    own_process: bool = True  # False: in the worker's own process, for a debugger
    metric: str | None = None  # that a search improves, and the fit must return


def do(work: Work) -> None:
    """Run the tasks and publish an outcome for each. Raises nothing.

    A task that another worker has taken over publishes nothing.
    """
    end = teardown.Teardown(work.modules) if work.own_process else None
    stop = StopRequest()
    stop.listen()
    process, started, clock = os.getpid(), time.time(), time.monotonic()
    for task in work.tasks:
        task.stop_request = stop
    try:
        outcomes = _outcomes(work, stop, end)
    except Superseded:
        return
    if os.getpid() != process:
        return  # a process that the fit has forked: the task belongs to its parent
    if end is not None:
        outcomes = _after(end.finish(stopped=stop.made), work.tasks, outcomes)
    for task, outcome in zip(work.tasks, outcomes):
        task.close()
        outcome = replace(outcome, versions=work.versions(), environment=environment.record())
        usage = _with_usage(outcome, started, clock, len(work.tasks))
        finish(task, usage, own_process=work.own_process)


def _outcomes(work: Work, stop: StopRequest, end: teardown.Teardown | None) -> list[Outcome]:
    """Run the tasks. Stop requests are ignored afterwards."""
    try:
        if work.fit is None:
            raise BadScript(work.problem or "The experiment could not be loaded.")
        import_path.hide_standard_library()
        _seed_global_generators(work.tasks[0].seed)
        for task in work.tasks:
            for path in work.inputs:
                task.uses(path)
        if len(work.tasks) > 1:
            assert work.fit.together is not None  # otherwise a group is one task
            returned = work.fit.together(work.tasks)
            if not isinstance(returned, (list, tuple)) or len(returned) != len(work.tasks):
                raise BadMetrics(
                    f"together(tasks) must return a list of {len(work.tasks)} dicts, one per task; an exception in "
                    "place of a dict is why that task failed."
                )
        else:
            returned = [work.fit.call(work.tasks[0])]
        _over(stop, end)
        return [
            _failed(task, record, found, work.code)
            if isinstance(found, Exception) and len(work.tasks) > 1
            else _done(task, record, found, work)
            for task, record, found in zip(work.tasks, work.records, returned)
        ]
    except Stopped as stopped:
        _over(stop, end)
        return [
            _stopped(
                task,
                record,
                stopped,
                work.asked() or stop.by,
                late=work.timeout_error if stop.time_is_over else None,
            )
            for task, record in zip(work.tasks, work.records)
        ]
    except Superseded:
        raise
    except BaseException as error:
        _over(stop, end)
        return [_failed(task, record, error, work.code) for task, record in zip(work.tasks, work.records)]


def _over(stop: StopRequest, end: teardown.Teardown | None) -> None:
    """Ignore stop requests from now on, and release spare descriptors: the fit has ended."""
    stop.ignore()
    if end is not None:
        end.give_descriptors_back()


def _after(ended: teardown.Ended, tasks: list[TaskContext], outcomes: list[Outcome]) -> list[Outcome]:
    """The outcomes after the process has been cleaned up: a task whose file could not be written has failed."""
    for task in tasks:
        if ended.problems:
            task.facts["warnings"] = [*task.facts.get("warnings", []), *ended.problems]
    if ended.lost is None:
        return [  # a thread may have logged after the fit returned
            replace(outcome, progress=task.progress) if outcome.state == "done" else outcome
            for task, outcome in zip(tasks, outcomes)
        ]
    name, error = ended.lost
    lost = ErrorRecord(
        kind="exception",
        type=type(error).__name__,
        message=f"{name} could not be written at the end of the task: {error.strerror or error}.",
        frames=[],
        traceback="",
    )
    return [
        replace(outcome, state="failed", metrics={}, error=lost) if outcome.state == "done" else outcome
        for outcome in outcomes
    ]


class BadScript(Exception):
    """The submitted script cannot be loaded on this machine."""


def _done(task: TaskContext, record: Outcome, returned: Any, work: Work) -> Outcome:
    try:
        metrics = checked_metrics(returned)
        if work.metric is not None and PRUNED_AT not in task.facts:
            must_have(work.metric, metrics)
        return replace(record, state="done", metrics=metrics, facts=task.facts, progress=task.progress)
    except BadMetrics as error:
        return _failed(task, record, error, work.code)


def _stopped(
    task: TaskContext, record: Outcome, stopped: Stopped, asked: str | None, *, late: ErrorRecord | None
) -> Outcome:
    """The outcome of a task that stopped: it has failed if it was stopped because its time limit is exceeded.

    `asked` is the worker's reason, or else the signal: a queue may signal every process of a job, so that a task may
    stop before its worker asks it.
    """
    progress = task.progress if stopped.step is None else stopped.step
    record = replace(record, facts=task.facts, progress=progress)
    if late is not None:
        return replace(record, state="failed", error=late)
    return replace(record, state="stopped", reason=stop_reason(asked))


def _failed(task: TaskContext, record: Outcome, error: BaseException, code: Path) -> Outcome:
    with contextlib.suppress(Exception):  # a fit may have closed its standard error
        traceback.print_exception(type(error), error, users_part(error, code))
    why = exception_record(error, code)
    return replace(record, state="failed", error=why, facts=task.facts, progress=task.progress)


def _seed_global_generators(seed: int) -> None:
    """Seed `random` and `numpy.random`, for fits that use them directly."""
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed)


def finish(task: TaskContext, outcome: Outcome, *, own_process: bool) -> None:
    """Publish the outcome, with retries if the disk is full, and remove the checkpoints of a task that is done."""
    wall = outcome.wall_seconds or 0.0
    for pause in (1, 4, 10, 15, None):
        try:
            won = publish(task.attempt, outcome, durable=wall >= DURABLE_FROM_SECONDS)
            break
        except OSError as error:
            if pause is None:
                raise
            if error.errno in (errno.EMFILE, errno.ENFILE) and own_process:
                os.closerange(3, 1 << 20)  # all files are written and no longer needed
                continue
            time.sleep(pause)
    if won and outcome.state == "done" and task.files.checkpoints.exists():
        shutil.rmtree(task.files.checkpoints, ignore_errors=True)


def _with_usage(outcome: Outcome, started: float, clock: float, tasks: int) -> Outcome:
    """The outcome with what its process has used: a task of several has an equal share, so that sums are right."""
    own, below = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return replace(
        outcome,
        started=timestamp(started),
        ended=timestamp(time.time()),
        # not from the system's clock, which may be changed meanwhile
        wall_seconds=round((time.monotonic() - clock) / tasks, 4),
        cpu_seconds=round((own.ru_utime + own.ru_stime + below.ru_utime + below.ru_stime) / tasks, 4),
        peak_memory_gb=round(max(own.ru_maxrss, below.ru_maxrss) / 2**20, 4),
    )


def leave(status: int) -> NoReturn:
    """End this process without the exit handlers, which belong to the process that it was forked from."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # a fit may have replaced or closed it
            stream.flush()
    os._exit(status)
