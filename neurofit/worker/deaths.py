"""Deaths: the outcome of a task whose process ended without one, which its worker writes in its place."""

from __future__ import annotations

import datetime
import signal
import time

from msgspec.structs import replace

from neurofit.store.records import ErrorRecord, Outcome
from neurofit.worker.outcome import timestamp
from neurofit.worker.stopping import stop_reason
from neurofit.worker.supervisor import Ending, Limits


def outcome_of(ending: Ending, record: Outcome, limits: Limits, *, again: bool) -> Outcome:
    """The outcome of a task whose process ended without one.

    Parameters
    ----------
    ending : Ending
    record : Outcome
        What was known of the task when it started.
    limits : Limits
    again : bool
        Whether the task is run again alone.
    """
    now = time.time()
    record = replace(
        record,
        ended=timestamp(now),
        peak_memory_gb=round(ending.peak_gb, 4),
        wall_seconds=round(now - _seconds(record.started or ""), 3),
    )
    if ending.limit:
        error = limit_error(ending.limit, limits, ending.peak_gb, ending.is_shared)
        return replace(record, state="failed", error=error)
    if ending.asked:
        why = stop_reason(ending.asked)
        return replace(
            record, state="stopped", reason=why, facts={**(record.facts or {}), "ended_hard": True}
        )
    error = _error_of_death(ending.status, memory=ending.memory, peak_gb=ending.peak_gb)
    return replace(record, state="abandoned" if again else "failed", error=error)


def _seconds(timestamp: str) -> float:
    return datetime.datetime.fromisoformat(timestamp).timestamp()


def limit_error(kind: str, limits: Limits, peak_gb: float = 0.0, is_shared: bool = False) -> ErrorRecord:
    """The error of a task that exceeded a limit: `timeout` or `memory`."""
    return ErrorRecord(kind=kind, type=kind.capitalize(), message=_beyond(kind, limits, peak_gb, is_shared))


def _beyond(kind: str, limits: Limits, peak_gb: float, is_shared: bool) -> str:
    if kind == "timeout":
        minutes = (limits.task_seconds or 0) / 60
        return (
            f"The task took longer than task_minutes ({minutes:g}). Its last checkpoint is kept; "
            "`submit --retry` gives it twice as long."
        )
    if is_shared:
        return (
            f"The tasks that the job ran at a time used more than resources.memory_gb ({limits.memory_gb:g}) together; "
            f"this one, the largest, used {peak_gb:.2f} GB. `submit --retry` gives the job more."
        )
    return (
        f"The task used {peak_gb:.2f} GB, more than resources.memory_gb ({limits.memory_gb:g}); `submit --retry` "
        "gives it more."
    )


def _error_of_death(status: int, *, memory: bool, peak_gb: float) -> ErrorRecord:
    """The error of a process that ended without an outcome: by a signal, out of memory, or by exiting."""
    if status >= 0:
        message = f"The process exited with status {status} before the fit returned."
        return ErrorRecord(kind="exit", type="Exit", message=message, exit_code=status)
    number = -status
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if memory:
        message = (
            f"The machine ran out of memory and killed the process ({name}); it had used {peak_gb:.1f} GB."
        )
        return ErrorRecord(kind="memory", type=name, message=message, signal=number)
    message = f"The process was killed by {name}{_meaning(number)}; it had used {peak_gb:.1f} GB."
    return ErrorRecord(kind="signal", type=name, message=message, signal=number)


def _meaning(number: int) -> str:
    meanings: dict[int, str] = {
        signal.SIGSEGV: " (a crash in compiled code)",
        signal.SIGABRT: " (compiled code aborted; see the log)",
        signal.SIGBUS: " (a crash in compiled code, or a full disk under a mapped file)",
        signal.SIGILL: " (a library was built for another processor)",
        signal.SIGKILL: " (from outside: a user, the queue, or a memory limit)",
    }
    return meanings.get(number, "")
