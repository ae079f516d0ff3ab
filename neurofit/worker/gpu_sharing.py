"""How many tasks of a job share its GPU, and what each of them gets: a share of its memory, and of the job's cores.

`tasks_per_gpu: auto` is decided by a measurement (`gpu_probe.py`): the first task runs alone for a while.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping
from typing import Any

from neurofit.store.records import SubmissionRecord
from neurofit.worker import gpus
from neurofit.worker.gpu_probe import USABLE, Probe

TASKS = "NEUROFIT_TASKS_PER_GPU"  # in the environment of a task, as the names below
MEMORY_GB = "NEUROFIT_GPU_MEMORY_GB"
JAX_SHARE, JAX_RESERVES = "XLA_PYTHON_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_PREALLOCATE"
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
)


class Sharing:
    """The tasks of one worker on one GPU.

    Parameters
    ----------
    record : SubmissionRecord
        The submission, whose runner says how many tasks share a GPU.
    environment : mapping of str to str
        What the tasks get in addition to this process's environment, for example their GPU.
    """

    def __init__(self, record: SubmissionRecord, environment: Mapping[str, str]) -> None:
        wanted = record.tasks_at_a_time
        self.cpus = record.resources.cpus or 1
        self.memory_gb = record.gpu_memory_gb  # of one task; None: a share
        self.probe: Probe | None = None
        self.tasks = record.tasks_per_gpu if isinstance(record.tasks_per_gpu, int) else 1
        self.lanes = wanted if isinstance(wanted, int) else 1
        self._visible = {**os.environ, **environment}.get("CUDA_VISIBLE_DEVICES")
        self._device: gpus.Device | None = None
        self._is_told = False
        self._is_auto = wanted == "auto"

    def begin(self) -> None:
        """Look at the GPU before the first task of a job starts, if tasks share it."""
        if self._is_told or (self.tasks == 1 and self.memory_gb is None and not self._is_auto):
            return
        self._is_told = True
        self._device = gpus.device(self._visible)
        if self._is_auto:
            self.probe = Probe(self._device, self.cpus, task_gb=self.memory_gb)
            self.look(())
        elif self.tasks > 1:
            self._say(f"{self.tasks} tasks share this GPU, {self._each()}")

    def look(self, pids: Collection[int]) -> None:
        """Go on measuring, while the first task runs alone; called about every second."""
        if self.probe is None:
            return
        self.probe.look(pids)
        if (found := self.probe.found) is not None:
            self.probe = None
            self.tasks = self.lanes = found.tasks
            self._say(
                f"{found.why}: {found.tasks} at a time" + (f", {self._each()}" if found.tasks > 1 else "")
            )

    def share_gb(self) -> float | None:
        """What a task may use of the GPU's memory, in GB; None if that is not limited."""
        if self.memory_gb is not None:
            return self.memory_gb
        if self.tasks == 1 or self._device is None or self._device.memory_gb is None:
            return None
        return round(USABLE * self._device.memory_gb / self.tasks, 3)

    def environment(self) -> dict[str, str]:
        """What a task gets that starts now."""
        if not self._is_told:
            return {}
        share = self.share_gb()
        found = {TASKS: str(self.tasks)}
        if share is not None:
            found[MEMORY_GB] = f"{share:g}"
            if self._device is not None and self._device.memory_gb:
                found[JAX_SHARE] = f"{min(share / self._device.memory_gb, USABLE):.4f}"
        elif self.probe is not None:
            found[JAX_RESERVES] = "false"  # otherwise JAX takes three quarters at once, whatever it needs
        if self._is_auto:
            found |= dict.fromkeys(THREADS, str(max(1, self.cpus // self.tasks)))
        own = (JAX_SHARE, JAX_RESERVES)  # what the script or the runner has set counts
        return {name: value for name, value in found.items() if name not in own or name not in os.environ}

    def _each(self) -> str:
        share = self.share_gb()
        if share is None:
            return "without a limit of memory, because nvidia-smi does not say how much it has"
        total = self._device.memory_gb if self._device is not None else None
        more = f", together more than its {total:.3g} GB" if total and self.tasks * share > total else ""
        return f"{share:.3g} GB of its memory each{more}"

    def _say(self, text: str) -> None:
        print(f"neurofit: {text}.", file=sys.stderr, flush=True)


def forget() -> None:
    """Remove what this process has inherited from a task that submitted it, whose share is not its own."""
    if TASKS in os.environ:
        for name in (TASKS, MEMORY_GB, JAX_SHARE, JAX_RESERVES):
            os.environ.pop(name, None)


def memory_gb() -> float | None:
    """What this task may use of its GPU's memory, in GB; None if that is not limited."""
    try:
        return float(os.environ[MEMORY_GB])
    except (KeyError, ValueError):
        return None


def limit_tensorflow() -> None:
    """Limit TensorFlow to the share of a task, now or as soon as the task has imported it."""
    share = memory_gb()
    if share is None:
        return
    if (loaded := sys.modules.get("tensorflow")) is not None:
        _limit(loaded, share)
    else:
        sys.meta_path.insert(0, _AfterImport(share))


class _AfterImport:
    """Limits TensorFlow when its module has been executed.

    It stays until then: an import may fail, and `importlib.util.find_spec` only asks.
    """

    def __init__(self, share_gb: float) -> None:
        self.share_gb = share_gb

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != "tensorflow":
            return None
        spec = self._found(name, path, target)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            if self in sys.meta_path:  # otherwise another import was first
                sys.meta_path.remove(self)
                _limit(module, self.share_gb)

        vars(spec.loader)["exec_module"] = exec_module  # of this loader alone
        return spec

    def _found(self, name: str, path: Any, target: Any) -> Any:
        """What the finders after this one find; those before it have found nothing."""
        finders = list(sys.meta_path)
        after = finders[finders.index(self) + 1 :] if self in finders else []
        specs = (finder.find_spec(name, path, target) for finder in after if hasattr(finder, "find_spec"))
        return next((spec for spec in specs if spec is not None), None)


def _limit(tensorflow: Any, share_gb: float) -> None:
    """Give TensorFlow's GPU this much memory. A process that has used its GPU already keeps what it has."""
    megabytes = int(share_gb * 1024)
    try:
        for device in tensorflow.config.list_physical_devices("GPU"):
            limit = tensorflow.config.LogicalDeviceConfiguration(memory_limit=megabytes)
            tensorflow.config.set_logical_device_configuration(device, [limit])
    except (RuntimeError, ValueError, AttributeError) as error:
        why = "this version has no such setting" if isinstance(error, AttributeError) else error
        print(f"neurofit: TensorFlow's memory could not be limited: {why}", file=sys.stderr, flush=True)
