"""The measurement behind `tasks_per_gpu: auto`: how much of its GPU's memory a task needs, while it runs alone.

nvidia-smi is asked every other second, without waiting for its answer, because this process has to watch its child
meanwhile. The measurement begins when the task is first seen on the GPU, and ends after half a minute or with the
task. Whatever cannot be measured means one task at a time, and a sentence says why.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass

from neurofit.worker import gpus

MOST = 8  # tasks on one GPU
MARGIN = 1.25  # of the memory that the first task was seen to use
USABLE = 0.9  # of the GPU's memory: the driver and each program's libraries need some
WATCHED_SECONDS = 30.0  # from when the task is first seen on the GPU
PATIENCE_SECONDS = 300.0  # until then
PAUSE_SECONDS = 2.0


@dataclass(frozen=True)
class Found:
    """How many tasks to run at a time, and why."""

    tasks: int
    why: str


class Probe:
    """Watches the tasks that run alone until it is known how many may run at a time.

    Parameters
    ----------
    device : Device or None
        The GPU; None if nvidia-smi does not show it.
    cpus : int
        Cores of the job: at most one task for each.
    task_gb : float or None, optional
        What a task may use, if that is given: then nothing has to be measured.
    """

    def __init__(
        self,
        device: gpus.Device | None,
        cpus: int,
        *,
        task_gb: float | None = None,
        watched_seconds: float = WATCHED_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.device, self.cpus = device, cpus
        self.watched_seconds, self.patience_seconds = watched_seconds, patience_seconds
        self.found: Found | None = None
        self.peak_gb = 0.0
        self.busy: list[float] = []  # utilisation of the GPU [%]
        self._began = time.monotonic()
        self._seen: float | None = None
        self._asked = float("-inf")
        self._memory: gpus.Question | None = None
        self._use: gpus.Question | None = None
        if cpus == 1:
            self._give_up("resources.cpus is 1, and auto starts at most one task per core")
        elif device is None or device.memory_gb is None:
            self._give_up("nvidia-smi does not say how much memory this job's GPU has")
        elif task_gb is not None:
            self._decide(task_gb, f"a task may use {task_gb:.3g} of the GPU's {device.memory_gb:.3g} GB")

    def look(self, pids: Collection[int]) -> None:
        """Hear what nvidia-smi has answered, and ask it again.

        Parameters
        ----------
        pids : collection of int
            The processes of the tasks that run now.
        """
        if self.found is not None:
            return
        now = time.monotonic()
        self._hear(pids, now)
        is_over = self._seen is not None and (now - self._seen >= self.watched_seconds or not pids)
        if is_over:
            self._decide(MARGIN * self.peak_gb, self._measured())
        elif self.found is None and self._seen is None and now - self._began > self.patience_seconds:
            self._give_up("the first task used no memory of the GPU that nvidia-smi shows")
        elif pids and self._memory is None and now - self._asked >= PAUSE_SECONDS:
            self._asked = now
            self._memory = gpus.Question("--query-compute-apps=pid,used_memory")
            self._use = gpus.Question("--query-gpu=uuid,utilization.gpu")

    def _hear(self, pids: Collection[int], now: float) -> None:
        if self._memory is None or self._use is None:
            return
        rows, use = self._memory.answer(), self._use.answer()
        if isinstance(rows, gpus.NotYet) or isinstance(use, gpus.NotYet):
            return
        self._memory = self._use = None
        if rows is None:
            self._give_up("nvidia-smi did not say which processes use the GPU")
            return
        family = gpus.families(pids)
        used = sum(
            gpus.number(row[1]) or 0.0 for row in rows if len(row) == 2 and gpus.number(row[0]) in family
        )
        if not used:
            return
        self._seen = now if self._seen is None else self._seen
        self.peak_gb = max(self.peak_gb, used / 1024)
        own = [row for row in use or () if len(row) == 2 and self.device and row[0] == self.device.uuid]
        self.busy += [busy for row in own if (busy := gpus.number(row[1])) is not None]

    def _decide(self, task_gb: float, why: str) -> None:
        """As many as have room, if each may need so much."""
        assert self.device is not None and self.device.memory_gb is not None  # otherwise it has given up
        fit = int(USABLE * self.device.memory_gb / task_gb)
        tasks = max(1, min(fit, MOST, self.cpus))
        if tasks < fit:
            why += f"; its cores allow {tasks}" if tasks == self.cpus else f"; at most {tasks} share a GPU"
        self.found = Found(tasks, why)

    def _measured(self) -> str:
        assert self.device is not None  # otherwise it has given up
        used = f"the first task used {self.peak_gb:.3g} of the GPU's {self.device.memory_gb:.3g} GB"
        if not self.busy:
            return used
        return f"{used}, and kept it busy for {sum(self.busy) / len(self.busy):.0f} % of the time"

    def _give_up(self, why: str) -> None:
        for question in (self._memory, self._use):
            if question is not None:
                question.drop()
        self._memory = self._use = None
        self.found = Found(1, f"how many tasks fit on the GPU was not measured, because {why}")
