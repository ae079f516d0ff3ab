"""The GPUs of this host, as its driver reports them."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

ANSWER_SECONDS = 20.0


class NotYet(Enum):
    """That a program has not answered yet."""

    NOT_YET = "not yet"


NOT_YET = NotYet.NOT_YET


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


@dataclass(frozen=True)
class Device:
    """A GPU that this job may use."""

    uuid: str
    memory_gb: float | None


def device(visible: str | None) -> Device | None:
    """The first GPU that a job may use; None if nvidia-smi does not show it (it lists no parts of a GPU).

    A program that fails is asked a second time: a driver that has to start first may take too long.

    Parameters
    ----------
    visible : str or None
        CUDA_VISIBLE_DEVICES. None: the job sees what nvidia-smi lists.
    """
    query = "--query-gpu=uuid,index,memory.total"
    answer = Question(query).wait() or Question(query).wait() or []
    rows = [row for row in answer if len(row) == 3]
    name = None if visible is None else visible.partition(",")[0].strip()
    for uuid, index, megabytes in rows:
        if name is None or name == index or (name.startswith("GPU-") and uuid.startswith(name)):
            total = number(megabytes)
            return Device(uuid, None if total is None else total / 1024)
    return None


class Question:
    """A query of nvidia-smi, whose answer is fetched later."""

    def __init__(self, query: str) -> None:
        words = ["nvidia-smi", query, "--format=csv,noheader,nounits"]
        self._until = time.monotonic() + ANSWER_SECONDS
        self._asked: subprocess.Popen[str] | None = None
        self._rows: list[list[str]] | None = None
        with contextlib.suppress(OSError):  # there is no such program
            self._asked = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                errors="replace",
            )

    def answer(self) -> list[list[str]] | NotYet | None:
        """The rows of the answer; None if there is none and will be none."""
        if self._asked is None:
            return self._rows
        if (status := self._asked.poll()) is None:
            if time.monotonic() >= self._until:
                self.drop()
            return self._rows if self._asked is None else NOT_YET
        lines = self._asked.communicate()[0].splitlines()  # short, so that it fits into the pipe
        self._asked = None
        if status == 0:
            self._rows = [[cell.strip() for cell in line.split(",")] for line in lines]
        return self._rows

    def wait(self) -> list[list[str]] | None:
        """As `answer`, once it is there."""
        while isinstance(rows := self.answer(), NotYet):
            time.sleep(0.02)
        return rows

    def drop(self) -> None:
        """Do without the answer."""
        if self._asked is not None:
            self._asked.kill()
            self._asked.communicate()
            self._asked = None


def number(text: str) -> float | None:
    """A number in an answer; None for `[N/A]` and the like."""
    try:
        return float(text)
    except ValueError:
        return None


def families(pids: Iterable[int]) -> set[int]:
    """These processes and their descendants."""
    found: set[int] = set()
    for pid in pids:
        found.add(pid)
        with contextlib.suppress(OSError):
            below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            found |= families(int(word) for word in below)
    return found
