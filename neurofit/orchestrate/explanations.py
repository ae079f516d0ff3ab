"""Failures explained: what the failed tasks have in common, the end of a log, and a command that helps."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurofit.errors import StoreError
from neurofit.experiments.grid.params import canonical, short
from neurofit.orchestrate.failures import QUEUE, Failure, failures, kind_of
from neurofit.orchestrate.raises import enough_gb, longer
from neurofit.status.experiment_status import ExperimentStatus
from neurofit.status.logs import quiet_tail
from neurofit.status.submission_status import runner_option, submit_again
from neurofit.store.error_fingerprint import EXCEPTIONS
from neurofit.store.records import ErrorRecord, ResourcesRecord
from neurofit.store.state import UNFINISHED, State
from neurofit.store.submissions import HERE, TaskKey
from neurofit.tables.rows import read_rows
from neurofit.text import command

if TYPE_CHECKING:
    from neurofit.tables.table import TaskRow

LAST_LINES = 6  # of a log, shown
_LINES_READ = 40
# A value is a common factor if at least this share of the failed tasks have it, …
LEAST_SHARE_OF_FAILED = 0.9
# … at most this share of the tasks that are done have it, …
MOST_SHARE_OF_DONE = 1 / 3
# … and a task with it is this many times as likely to fail as a task without it.
LEAST_RISK_RATIO = 3.0
_NO_GPU_MEMORY = re.compile(
    r"CUDA out of memory|CUDA_ERROR_OUT_OF_MEMORY|\bOOM when allocating|RESOURCE_EXHAUSTED|ResourceExhausted"
    r"|C(UBLAS|UDNN)_STATUS_ALLOC_FAILED|(cuda|torch)\S*OutOfMemoryError|^OutOfMemoryError"
)


@dataclass(frozen=True)
class CommonFactor:
    """A value that most tasks of a failure have, and few tasks that are done."""

    name: str
    value: Any
    failed: int
    of_failed: int
    done: int
    of_done: int


@dataclass(frozen=True)
class Remedy:
    """What to do first (may be empty), and the command to run after it."""

    first: str
    command: str


@dataclass(frozen=True)
class Explanation:
    """One failure and what is known about it."""

    failure: Failure
    state: State
    kind: str
    common_factors: list[CommonFactor]
    remedy: Remedy
    last_lines: list[str]  # of the example's log

    def record(self, name: str) -> dict[str, Any]:
        """The explanation as JSON; `name` is the experiment's."""
        failure = self.failure
        return {
            "experiment": name,
            "state": str(self.state),
            "kind": self.kind,
            "message": failure.message,
            "where": failure.where,
            "tasks": [{"run": run, "repetition": repetition} for run, repetition in failure.tasks],
            "shares": [vars(factor) for factor in self.common_factors],
            "log": None if failure.log is None else str(failure.log),
            "last_lines": self.last_lines,
            "first": self.remedy.first,
            "command": self.remedy.command,
        }


def explained(
    status: ExperimentStatus, keys: Collection[TaskKey], known: Collection[TaskRow] | None = None
) -> list[Explanation]:
    """The failures among these tasks, the most frequent first.

    Each is compared with all tasks of the experiment that are done.

    Parameters
    ----------
    known : collection of mapping, optional
        The rows of all tasks, if they have been read already.
    """
    found = failures(status, keys)
    if not found:
        return []
    every = read_rows(status) if known is None else known
    rows = {(row["run"], row["repetition"]): row for row in every}
    done = [_traits(row) for row in rows.values() if row["state"] == str(State.DONE)]
    unfinished = [key for key in status.all_keys() if status.of(key).state in UNFINISHED]
    all_failed = len(unfinished) if all(map(status.is_on_grid, unfinished)) else 0
    return [_explanation(status, failure, rows, done, all_failed) for failure in found]


def factor_lines(common_factors: Iterable[CommonFactor]) -> list[str]:
    """'12 of 14 failed tasks on gpu07, and 3 of 290 that are done', and so on."""
    lines = []
    for one in common_factors:
        what = f"on {one.value}" if one.name == "host" else f"with {one.name}={short(one.value)}"
        number = "all" if one.failed == one.of_failed else f"{one.failed:,} of {one.of_failed:,}"
        done = f"{one.done:,} of {one.of_done:,}" if one.done else f"none of {one.of_done:,}"
        lines.append(f"{number} {what}; of the tasks that are done: {done}")
    return lines


def _explanation(
    status: ExperimentStatus,
    failure: Failure,
    rows: dict[TaskKey, TaskRow],
    done: list[dict[str, Any]],
    all_failed: int,
) -> Explanation:
    task = status.of(failure.example)
    own = [rows[key] for key in failure.tasks if key in rows]
    known_by_queue = failure.error.kind == QUEUE
    submission = status.submission(task.submission)
    shared = submission.record.tasks_per_gpu if submission else 1
    what = remedy(
        status.name,
        failure.error,
        task.state,
        failure.tasks,
        all_failed=all_failed,
        repetitions=status.repetitions,
        runner=submission.record.runner if submission else None,
        resources=submission.record.resources if submission else ResourcesRecord(),
        peak_gb=0.0
        if known_by_queue
        else max((row.get("peak_memory_gb") or 0.0 for row in own), default=0.0),
        tasks_per_gpu=shared,
    )
    hosts = {key: _host(status, key) for key in failure.tasks} if known_by_queue else {}
    traits = [
        _traits({**row, "host": hosts.get((row["run"], row["repetition"]), row.get("host"))}) for row in own
    ]
    last_lines = _last_lines(failure.log) if failure.log else []
    return Explanation(
        failure, task.state, kind_of(failure.error), common_factors(traits, done), what, last_lines
    )


def _last_lines(log: Path) -> list[str]:
    """The last lines of a log without those of TensorFlow's start.

    Each distinct line is there once: a job that is restarted repeats its output.
    """
    try:
        data, _ = quiet_tail(log, _LINES_READ)
    except StoreError as error:  # it was packed, and its archive is damaged
        return [str(error)]
    lines = data.decode("utf-8", "replace").splitlines()
    return list(dict.fromkeys(line for line in reversed(lines) if line.strip()))[:LAST_LINES][::-1]


def _host(status: ExperimentStatus, key: TaskKey) -> str | None:
    """The host that started a task which left no outcome."""
    submission = status.submission(status.of(key).submission)
    if submission is None or (claimed := submission.facts.tasks.get(key)) is None or not claimed.by:
        return None
    worker = submission.facts.workers.get(claimed.by)
    return worker.host if worker else None


def _traits(row: TaskRow) -> dict[str, Any]:
    """What tasks may have in common: arguments, architecture, host."""
    traits = {"architecture": row["architecture"], **row["params"], **row["derived"]}
    return {**traits, "host": row["host"]} if row.get("host") else traits


def common_factors(
    failed: Collection[Mapping[str, Any]], done: Collection[Mapping[str, Any]]
) -> list[CommonFactor]:
    """Values that set failed tasks apart from those that are done, the rarest among the latter first.

    Parameters
    ----------
    failed, done : collection of mappings
        Names and values of each task.

    Returns
    -------
    list of CommonFactor
        Empty if fewer than two tasks failed or none is done.
    """
    if len(failed) < 2 or not done:
        return []
    found = []
    for name in dict.fromkeys(name for traits in failed for name in traits):
        values = [traits[name] for traits in failed if name in traits]
        text, number = _most_frequent(values)
        number_done = sum(name in traits and canonical(traits[name]) == text for traits in done)
        value = next(value for value in values if canonical(value) == text)
        factor = CommonFactor(name, value, number, len(failed), number_done, len(done))
        if _is_telling(factor):
            found.append(factor)
    return sorted(found, key=lambda factor: factor.done)


def _is_telling(factor: CommonFactor) -> bool:
    if (
        factor.failed < LEAST_SHARE_OF_FAILED * factor.of_failed
        or factor.done > MOST_SHARE_OF_DONE * factor.of_done
    ):
        return False
    others_failed, others_done = factor.of_failed - factor.failed, factor.of_done - factor.done
    risk = factor.failed / (factor.failed + factor.done)
    return risk > LEAST_RISK_RATIO * others_failed / (others_failed + others_done)


def _most_frequent(values: Iterable[Any]) -> tuple[str, int]:
    counts: dict[str, int] = {}
    for value in values:
        text = canonical(value)
        counts[text] = counts.get(text, 0) + 1
    return max(counts.items(), key=lambda item: item[1])


def remedy(
    name: str,
    error: ErrorRecord,
    state: State,
    tasks: Collection[TaskKey],
    *,
    all_failed: int,
    repetitions: int,
    runner: str | None,
    resources: ResourcesRecord,
    peak_gb: float,
    tasks_per_gpu: int | str = 1,
) -> Remedy:
    """What helps these tasks.

    Parameters
    ----------
    name : str
        The experiment.
    error : ErrorRecord
        Of the example, as in its outcome.
    all_failed : int
        0 if some of them are off the grid, which `submit` queues only by their numbers.
        Tasks of the experiment that failed, were lost or stopped, whatever the cause.
    repetitions : int
        Per run.
    runner, resources : str or None, ResourcesRecord
        With which the tasks were queued.
    peak_gb : float
        Highest memory use measured for one of them, in GB; 0 if unknown.
    tasks_per_gpu : int or "auto", optional
        How many tasks shared a GPU.
    """
    kind = kind_of(error)
    run, repetition = min(tasks)
    one = f"{name}:{run}/{repetition}"
    log = command("logs", one)
    if runner == HERE and state is not State.STOPPED:
        return Remedy(f"fix the error that `{log}` shows", command("run", one))

    def submit(**options: Any) -> str:
        options |= {"whole": len(tasks) == all_failed, "of": repetitions}
        return submit_again(name, tasks, backend=runner_option(runner), **options)

    minutes = resources.walltime_minutes if kind == "walltime" else None
    enough_minutes = f"{longer(minutes):g}" if minutes else None
    if state is State.STOPPED:
        return Remedy("", submit(minutes=enough_minutes))
    if kind == "memory":
        used = max(peak_gb, resources.memory_gb or 0.0)
        return Remedy("", submit(retry=True, memory=f"{enough_gb(used):g}" if used else None))
    if kind == "walltime":
        return Remedy("", submit(retry=True, minutes=enough_minutes))
    if kind == "timeout":
        return Remedy("", submit(retry=True))
    if kind == "disk":
        return Remedy("free space on the disk, for example with `neurofit clean`", submit(retry=True))
    if state is State.LOST:
        return Remedy("", submit())
    if kind in EXCEPTIONS and tasks_per_gpu != 1 and ran_out_of_gpu_memory(error):
        return Remedy(_smaller_share(tasks_per_gpu, runner), submit(retry=True))
    if kind in EXCEPTIONS:
        return Remedy(f"fix the error that `{log}` shows", submit(retry=True))
    return Remedy(f"find the cause in `{log}`", submit(retry=True))


def ran_out_of_gpu_memory(error: ErrorRecord) -> bool:
    """Whether an exception says that a GPU had too little memory, as TensorFlow, PyTorch and JAX say it."""
    return _NO_GPU_MEMORY.search(f"{error.type}: {error.message}") is not None


def _smaller_share(tasks_per_gpu: int | str, runner: str | None) -> str:
    where = f"in runner '{runner}'" if runner else "in the runner"
    if tasks_per_gpu == "auto":
        return (
            f"give a number as tasks_per_gpu {where}: a task needed more of the GPU's memory than the first one, "
            "by which `auto` decides"
        )
    return f"lower tasks_per_gpu {where}, which was {tasks_per_gpu}: a task's share of the GPU's memory was too small"
