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

from neurofit import environment
from neurofit.experiments import import_path
from neurofit.experiments.fits import FitAdapter
from neurofit.store.attempts import publish
from neurofit.worker import teardown
from neurofit.worker.checkpoints import Superseded
from neurofit.worker.outcome import BadMetrics, checked_metrics, exception_record, timestamp, users_part
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
    records: list[dict[str, Any]]
    code: Path
    versions: Callable[[], dict[str, str]]
    timeout_error: dict[str, Any]  # the error of a task that exceeds its time limit
    modules: list[ModuleType]  # of the study, loaded with the experiment
    asked: Callable[[], str | None] = lambda: None  # why these tasks were asked to stop
    inputs: Sequence[str | Path] = ()  # files that every task reads
    own_process: bool = True  # False: in the worker's own process, for a debugger


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
        results = _results(work, stop, end)
    except Superseded:
        return
    if os.getpid() != process:
        return  # a process that the fit has forked: the task belongs to its parent
    if end is not None:
        results = _after(end.finish(stopped=stop.made), work.tasks, results)
    for task, record, result in zip(work.tasks, work.records, results):
        task.close()
        loaded = {"versions": work.versions(), "environment": environment.record()}
        finish(task, {**record, **result, **loaded, **_used(started, clock)}, own_process=work.own_process)


def _results(work: Work, stop: StopRequest, end: teardown.Teardown | None) -> list[dict[str, Any]]:
    """The entries that running the tasks adds to their outcomes. Stop requests are ignored afterwards."""
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
                    f"together(tasks) must return a list of {len(work.tasks)} dicts, one per task."
                )
        else:
            returned = [work.fit.call(work.tasks[0])]
        _over(stop, end)
        return [_done(task, metrics, work.code) for task, metrics in zip(work.tasks, returned)]
    except Stopped as stopped:
        _over(stop, end)
        state = {"state": "stopped", "reason": stop_reason(work.asked())}
        if stop.time_is_over:
            state = {"state": "failed", "error": work.timeout_error}
        return [
            {
                **state,
                "facts": task.facts,
                "progress": task.progress if stopped.step is None else stopped.step,
            }
            for task in work.tasks
        ]
    except Superseded:
        raise
    except BaseException as error:
        _over(stop, end)
        return [_failed(task, error, work.code) for task in work.tasks]


def _over(stop: StopRequest, end: teardown.Teardown | None) -> None:
    """Ignore stop requests from now on, and release spare descriptors: the fit has ended."""
    stop.ignore()
    if end is not None:
        end.give_descriptors_back()


def _after(
    ended: teardown.Ended, tasks: list[TaskContext], results: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The results after the process has been cleaned up: a task whose file could not be written has failed."""
    for task in tasks:
        if ended.problems:
            task.facts["warnings"] = [*task.facts.get("warnings", []), *ended.problems]
    if ended.lost is None:
        return [{**result, "progress": _latest(task, result)} for task, result in zip(tasks, results)]
    name, error = ended.lost
    lost = {
        "kind": "exception",
        "type": type(error).__name__,
        "message": f"{name} could not be written at the end of the task: {error.strerror or error}.",
        "frames": [],
        "traceback": "",
    }
    kept = {"state": "failed", "metrics": {}, "error": lost}
    return [{**result, **kept} if result["state"] == "done" else result for result in results]


def _latest(task: TaskContext, result: dict[str, Any]) -> int | float | None:
    """The progress of a task, which a thread may have logged after the fit returned."""
    return task.progress if result["state"] == "done" else result["progress"]


class BadScript(Exception):
    """The submitted script cannot be loaded on this machine."""


def _done(task: TaskContext, returned: Any, code: Path) -> dict[str, Any]:
    try:
        return {
            "state": "done",
            "metrics": checked_metrics(returned),
            "facts": task.facts,
            "progress": task.progress,
        }
    except BadMetrics as error:
        return _failed(task, error, code)


def _failed(task: TaskContext, error: BaseException, code: Path) -> dict[str, Any]:
    with contextlib.suppress(Exception):  # a fit may have closed its standard error
        traceback.print_exception(type(error), error, users_part(error, code))
    return {
        "state": "failed",
        "error": exception_record(error, code),
        "facts": task.facts,
        "progress": task.progress,
    }


def _seed_global_generators(seed: int) -> None:
    """Seed `random` and `numpy.random`, for fits that use them directly."""
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed)


def finish(task: TaskContext, outcome: dict[str, Any], *, own_process: bool) -> None:
    """Publish the outcome, with retries if the disk is full, and remove the checkpoints of a task that is done."""
    wall = outcome["wall_seconds"]
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
    if won and outcome["state"] == "done" and task.files.checkpoints.exists():
        shutil.rmtree(task.files.checkpoints, ignore_errors=True)


def _used(started: float, clock: float) -> dict[str, Any]:
    own, below = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "started": timestamp(started),
        "ended": timestamp(time.time()),
        "wall_seconds": round(
            time.monotonic() - clock, 4
        ),  # not from the clock, which may be changed meanwhile
        "cpu_seconds": round(own.ru_utime + own.ru_stime + below.ru_utime + below.ru_stime, 4),
        "peak_memory_gb": round(max(own.ru_maxrss, below.ru_maxrss) / 2**20, 4),
    }


def leave(status: int) -> NoReturn:
    """End this process without the exit handlers, which belong to the process that it was forked from."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # a fit may have replaced or closed it
            stream.flush()
    os._exit(status)
