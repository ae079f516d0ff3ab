"""How many tasks a job gets: a run's repetitions, more runs if its tasks share a GPU, less if workers would be idle.

`processes` counts the processes that do some tasks: repetitions that are trained together are one.
"""

from __future__ import annotations

from collections.abc import Callable

from neurofit.backends import sharing
from neurofit.backends.base import Backend, Finding
from neurofit.errors import SubmissionError
from neurofit.store.submissions import Planned

Processes = Callable[[list[Planned]], int]


def filled(
    runs: list[list[Planned]], backend: Backend, processes: Processes, *, most_runs: int | None
) -> list[list[Planned]]:
    """Tasks by job: so many runs that a job has as many processes as share its GPU.

    Parameters
    ----------
    runs : list of list of Planned
        The tasks of each run.
    backend : Backend
    processes : callable
    most_runs : int or None
        Of a job: a search has only so many trials at once.
    """
    least = _wanted(backend)
    if least == 1:
        return runs
    found: list[list[Planned]] = []
    held = 0  # runs of the last job
    for run in runs:
        is_room = most_runs is None or held < most_runs
        if found and is_room and processes(found[-1]) < least:
            found[-1] += run
            held += 1
        else:
            found.append(list(run))
            held = 1
    return found


def leave_workers_idle(jobs: list[list[Planned]], backend: Backend) -> bool:
    """Whether a pool of this machine has more workers than these jobs, and each worker runs one task at a time."""
    if not backend.runs_here() or _wanted(backend) > 1:
        return False
    try:
        return len(jobs) < (backend.jobs_at_a_time() or 1)
    except SubmissionError:  # said where the jobs are queued
        return False


def trials_at_a_time(jobs: list[list[Planned]], backend: Backend) -> int:
    """How many trials of a search a job may run at a time."""
    most = max((len({task.run for task in job}) for job in jobs), default=1)
    return min(_wanted(backend), most)


def sentences(jobs: list[list[Planned]], backend: Backend, processes: Processes) -> list[str]:
    """What the plan of a submit says about tasks that share a GPU."""
    shared = sharing.sentence(backend.tasks_per_gpu, backend.gpu_memory_gb)
    found = [] if shared is None else [f"{shared[0].upper()}{shared[1:]}."]
    few = shortfall(jobs, backend, processes)
    return found if few is None else [*found, few]


def shortfall(jobs: list[list[Planned]], backend: Backend, processes: Processes) -> str | None:
    """A sentence if some jobs have too few tasks for the GPU that they share; None if all have enough."""
    wanted = backend.tasks_at_a_time()
    if not isinstance(wanted, int) or wanted == 1:
        return None
    # the last job has what is left
    few = sum(processes(job) < wanted for job in jobs[:-1])
    if not few:
        return None
    together = any(processes(job) < len(job) for job in jobs)
    what = "groups of repetitions that train together" if together else "tasks"
    return (
        f"{few:,} of {len(jobs):,} jobs have fewer than {wanted} {what}, and {wanted} share a GPU (tasks_per_gpu): a "
        "part of it stays unused. Give a job more with tasks_per_job."
    )


def findings(backend: Backend) -> list[Finding]:
    """What `runners check` says about tasks that share a GPU."""
    shared = sharing.sentence(backend.tasks_per_gpu, backend.gpu_memory_gb)
    if shared is None:
        return []
    in_one_job = backend.tasks_at_a_time() != 1
    return [
        Finding(
            True,
            shared,
            sharing.few_cores(backend.tasks_per_gpu, backend.resources.cpus) if in_one_job else "",
        )
    ]


def _wanted(backend: Backend) -> int:
    """How many processes a job needs to fill its GPU."""
    at_a_time = backend.tasks_at_a_time()
    return at_a_time if isinstance(at_a_time, int) else sharing.MOST
