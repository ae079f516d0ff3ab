"""The GPUs of this host, as its driver reports them."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path

ANSWER_SECONDS = 20.0


def gpu_names() -> list[str]:
    """Names of the GPUs in this host, whether or not this job may use them."""
    if shutil.which("nvidia-smi"):
        words = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(words, capture_output=True, text=True, timeout=ANSWER_SECONDS)
            if done.returncode == 0:
                return [line.strip() for line in done.stdout.splitlines() if line.strip()]
    found = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        with contextlib.suppress(OSError):
            lines = dict(line.partition(":")[::2] for line in path.read_text().splitlines())
            found.append(lines.get("Model", "unknown").strip())
    return found


def are_lost() -> bool:
    """Whether NVIDIA's program says that this host has no device, or fails: a fault of the host.

    A host without that program, and one that does not answer in time or says something else, prove nothing.
    """
    if shutil.which("nvidia-smi") is None:
        return False
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=ANSWER_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode != 0 or "No devices were found" in done.stdout + done.stderr
