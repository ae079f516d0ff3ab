"""Settings by which tasks share a GPU: which of them go together, and what `runners check` says about them."""

from __future__ import annotations

from typing import Literal

PerGpu = int | Literal["auto"]
MOST = 8  # tasks on one GPU that `auto` starts


def misfit(tasks: PerGpu, memory_gb: float | None, gpus: int | None) -> str | None:
    """Why these settings do not go together, as a sentence; None if they do.

    Parameters
    ----------
    tasks : int or "auto"
        tasks_per_gpu.
    memory_gb : float or None
        gpu_memory_gb.
    gpus : int or None
        resources.gpus.
    """
    asked = "is not set" if gpus is None else f"is {gpus}"
    if tasks != 1 and gpus != 1:
        return (
            f"'tasks_per_gpu' is {tasks}, but resources.gpus {asked}. The tasks of a job share one GPU: write "
            "`gpus: 1` into resources, or remove tasks_per_gpu."
        )
    if memory_gb is not None and not gpus:
        return (
            f"'gpu_memory_gb' is {memory_gb:g}, but resources.gpus {asked}, so that there is no GPU to limit. Write "
            "`gpus: 1` into resources, or remove gpu_memory_gb."
        )
    return None


def sentence(tasks: PerGpu, memory_gb: float | None) -> str | None:
    """'3 tasks share a GPU, 12 GB of its memory each'; None if a task has its GPU to itself."""
    each = f", {memory_gb:g} GB of its memory each" if memory_gb is not None else ""
    if tasks == "auto":
        each = each or ", after the first one has been measured"
        return f"up to {MOST} tasks share a GPU{each}"
    if tasks > 1:
        return f"{tasks} tasks share a GPU{each or ', 0.9 of its memory in equal parts'}"
    return f"a task may use {memory_gb:g} GB of its GPU's memory" if memory_gb is not None else None


def few_cores(tasks: PerGpu, cpus: int) -> str:
    """Why the cores of a job limit how many of its tasks share the GPU; empty if they do not."""
    if tasks == "auto" and cpus == 1:
        return "auto starts at most one task per core, and resources.cpus is 1: raise it, or give a number"
    if isinstance(tasks, int) and cpus < tasks:
        return f"they share resources.cpus: {cpus}, so that they may wait for the cores"
    return ""
