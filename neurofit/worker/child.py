"""The process that does one group of tasks: captured output, one outcome per task, and an end that leaves
nothing behind.
"""

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
from neurofit.experiments import scripts
from neurofit.experiments.fits import FitAdapter
from neurofit.store.attempts import publish
from neurofit.worker import teardown
from neurofit.worker.checkpoints import Superseded
from neurofit.worker.outcome import BadMetrics, checked_metrics, exception_record, timestamp, users_part
from neurofit.worker.stopping import stop_reason
from neurofit.worker.task_context import Stopped, StopRequest, TaskContext

PR_SET_PDEATHSIG = 1
DURABLE_FROM_SECONDS = 1.0  # syncing the outcome of an instant task would cost more than doing it again

try:
    _prctl = ctypes.CDLL(None, use_errno=True).prctl  # loaded before any fork
except (OSError, AttributeError):
    _prctl = None


def die_with(parent: int) -> None:
    """Have this process killed when its parent ends, however that ends."""
    if _prctl is not None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


@dataclass
class Work:
    """A group of tasks and what their outcomes already say."""

    fit: FitAdapter | None
    problem: str | None
    tasks: list[TaskContext]
    records: list[dict[str, Any]]
    code: Path
    versions: Callable[[], dict[str, str]]
    time_over: dict[str, Any]  # the error of a task that took longer than it may
    modules: list[ModuleType]  # of the study
    asked: Callable[[], str | None] = lambda: None  # why these tasks were asked to stop
    inputs: Sequence[str | Path] = ()  # what every task reads
    own_process: bool = True  # forked for these tasks; not under a debugger


def do(work: Work) -> None:
    """Do the tasks and publish an outcome for each. Never raises; a task taken over by somebody else
    publishes nothing.
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
        return  # the fit forked, and this is what it forked: the task is its parent's
    if end is not None:
        results = _after(end.finish(stopped=stop.made), work.tasks, results)
    for task, record, result in zip(work.tasks, work.records, results):
        task.close()
        loaded = {"versions": work.versions(), "environment": environment.record()}
        finish(task, {**record, **result, **loaded, **_used(started, clock)}, own_process=work.own_process)


def _results(work: Work, stop: StopRequest, end: teardown.Teardown | None) -> list[dict[str, Any]]:
    """What each task's outcome says beyond what was known before it; from then on nothing stops this
    process.
    """
    try:
        if work.fit is None:
            raise BadScript(work.problem or "the experiment could not be loaded")
        scripts.hide_standard_library()
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
            state = {"state": "failed", "error": work.time_over}
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
    """The fit has ended."""
    stop.come_too_late()
    if end is not None:
        end.give_descriptors_back()


def _after(
    ended: teardown.Ended, tasks: list[TaskContext], results: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Results as they are after the end of the process: what could not be written makes a task that was done
    fail.
    """
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


def _latest(task: TaskContext, result: dict[str, Any]) -> int | None:
    """A thread may have logged once more."""
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
    """For functions that use `random` or `numpy.random` directly: the repetition decides them too."""
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed)


def finish(task: TaskContext, outcome: dict[str, Any], *, own_process: bool) -> None:
    """Publish the outcome, trying for a while where the disk is full, and tidy the checkpoints of a task that
    is done.
    """
    wall = outcome["wall_seconds"]
    for pause in (1, 4, 10, 15, None):
        try:
            won = publish(task.attempt, outcome, durable=wall >= DURABLE_FROM_SECONDS)
            break
        except OSError as error:
            if pause is None:
                raise
            if error.errno in (errno.EMFILE, errno.ENFILE) and own_process:
                os.closerange(3, 1 << 20)  # all is written, nobody needs them
                continue
            time.sleep(pause)
    if won and outcome["state"] == "done" and task.files.checkpoints.exists():
        shutil.rmtree(task.files.checkpoints, ignore_errors=True)


def _used(started: float, clock: float) -> dict[str, Any]:
    own, below = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "started": timestamp(started),
        "ended": timestamp(time.time()),
        "wall_seconds": round(time.monotonic() - clock, 4),  # not by the clock, which may be set meanwhile
        "cpu_seconds": round(own.ru_utime + own.ru_stime + below.ru_utime + below.ru_stime, 4),
        "peak_memory_gb": round(max(own.ru_maxrss, below.ru_maxrss) / 2**20, 4),
    }


def leave(status: int) -> NoReturn:
    """End this process at once, past the exit handlers that belong to the process it was forked from."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # whatever a fit made of it
            stream.flush()
    os._exit(status)
