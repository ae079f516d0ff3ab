"""The fit of the task that `neurofit runners check` submits: it records what a job sees on its node."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import neurofit
from neurofit import process
from neurofit.worker.gpus import gpu_names

CLOCK = ".canary-clock"
IMPORT_SECONDS = 90.0
HEAVY_GB = 1.5  # TensorFlow and what it imports
LIGHT = ("numpy",)
LIBRARIES = (*LIGHT, "tensorflow", "keras")
IMPORTS = """
import importlib, json, sys
for name in sys.argv[1:]:
    try:
        module = importlib.import_module(name)
        record = {"version": getattr(module, "__version__", "unknown")}
        if name == "tensorflow":
            record["gpus"] = len(module.config.list_physical_devices("GPU"))
    except Exception as error:
        record = {"error": f"{type(error).__name__}: {error}"[:300]}
        record["missing"] = isinstance(error, ModuleNotFoundError) and error.name == name
    print("\\n" + json.dumps({name: record}), flush=True)
"""


def look(task: Any, *, job_memory_gb: float | None = None, notify: str = "") -> dict[str, float]:
    """Record what this job sees as facts of the outcome.

    Parameters
    ----------
    job_memory_gb : float or None
        Memory that the job asked for. With too little, TensorFlow is not imported, which would end the job.
    notify : str
        The program of the notify command, if there is one: whether this node has it.
    """
    begun = time.monotonic()
    training_data = task.study.parents[1]  # the canary's own study is training_data/.check/NAME
    task.record(
        host=socket.gethostname(),
        python=sys.executable,
        python_version=".".join(map(str, sys.version_info[:3])),
        neurofit=neurofit.__version__,
        neurofit_folder=str(Path(neurofit.__file__).parent),
        cpus=len(os.sched_getaffinity(0)),
        memory_gb=memory_gb(),
        cuda_visible_devices=os.environ.get("CUDA_VISIBLE_DEVICES"),
        gpus=gpu_names(),
        gpu_memory_gb=task.gpu_memory_gb,
        study=str(training_data.parent),
        study_seen=(training_data.parent / "jobs").is_dir(),
        writable=is_writable(training_data),
        data=entries(training_data.parent / "data"),
        clock_seconds=clock_seconds(task.study),
        imports=imports(Path(task.folder), LIGHT if (job_memory_gb or HEAVY_GB) < HEAVY_GB else LIBRARIES),
    )
    if notify:
        name = os.path.expanduser(notify)
        task.record(notify=shutil.which(str(training_data.parent / name) if "/" in name else name))
    return {"seconds": time.monotonic() - begun}


def clock_seconds(folder: Path) -> float | None:
    """Seconds by which this host's clock is ahead of the file system's, which all hosts share."""
    probe = folder / f"{CLOCK}-{socket.gethostname()}-{os.getpid()}"
    try:
        probe.write_bytes(b".")
        return time.time() - probe.stat().st_mtime
    except OSError:
        return None
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def entries(folder: Path) -> int | None:
    """Number of files and folders in a folder; None if it cannot be read."""
    try:
        return len(os.listdir(folder))
    except OSError:
        return None


def is_writable(folder: Path) -> bool:
    return clock_seconds(folder) is not None


def imports(folder: Path, names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Library → its version, or why it cannot be imported. Tried in a child process, which may crash."""
    try:
        words = [sys.executable, "-c", IMPORTS, *names]
        done = subprocess.run(words, capture_output=True, text=True, timeout=IMPORT_SECONDS, cwd=folder)
        output, end = done.stdout, f"Python exited with status {done.returncode} while importing it"
    except subprocess.TimeoutExpired as error:
        output = (error.stdout or b"").decode(errors="replace")
        end = f"importing it took longer than {IMPORT_SECONDS:g} s"
    found: dict[str, dict[str, Any]] = {name: {"error": end} for name in names}
    for line in output.splitlines():
        with contextlib.suppress(ValueError):
            record = json.loads(line)
            found.update(record if isinstance(record, dict) else {})
    return {**found, **{name: {} for name in LIBRARIES if name not in names}}


def memory_gb() -> float | None:
    """This process's memory limit, its own or that of its control groups; None if there is none."""
    limit = process.memory_limit()
    return None if limit is None else round(limit / 2**30, 3)
