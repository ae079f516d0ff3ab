"""Profiles for a new study: the commented texts in `profile_texts/` for the queues of this host.

Names of queues and resources are filled in from what the queues' programs answer.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

from neurofit.backends.commands import Answer, ask, has
from neurofit.backends.qsub.qsub import dialect
from neurofit.errors import QueueError

TEXTS = Path(__file__).with_name("profile_texts")
TIMEOUT_SECONDS = 5.0  # for all questions to one queue
FIRST_ANSWER_SECONDS = 1.0  # a queue that has not answered by then is not asked again
PLAIN_WORD = re.compile(r"[A-Za-z][\w.@/-]*")
YAML_WORDS = frozenset(
    {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
)  # that YAML reads as something other than text
SHARED_MEMORY = (
    "smp",
    "shm",
    "threaded",
    "threads",
    "openmp",
    "omp",
    "mp",
)  # usual names of such environments
GPU_COMPLEXES = ("gpu", "gpus", "ngpus", "num_gpu", "cuda")


class _Host:
    """This host's programs of one queue, with one timeout for all of them and a shorter one for the first."""

    def __init__(self, timeout_seconds: float) -> None:
        self.deadline = time.monotonic() + timeout_seconds
        self.has_answered = self.is_late = False

    def ask(self, *words: str) -> Answer | None:
        """The answer of a program; None if it cannot be run or is too slow."""
        left = self.deadline - time.monotonic()
        if not has(words[0]):
            return None
        if not self.has_answered:
            left = min(left, FIRST_ANSWER_SECONDS)
        begun = time.monotonic()
        if left > 0:
            with contextlib.suppress(QueueError):
                return ask(words, timeout_seconds=left, environment={"SGE_SINGLE_LINE": "1"})
        self.is_late = self.is_late or time.monotonic() - begun >= left
        return None

    def lines(self, *words: str) -> list[str] | None:
        """The lines of a program's answer; None also if it failed."""
        answer = self.ask(*words)
        if answer is None or answer.status:
            return None
        self.has_answered = True
        return [line.strip() for line in answer.stdout.splitlines() if line.strip()]


def text(name: str) -> str:
    """The commented profile of that name."""
    return (TEXTS / f"{name}.yaml").read_text(encoding="utf-8")


def for_this_host(timeout_seconds: float = TIMEOUT_SECONDS) -> dict[str, str]:
    """Profiles by name, for the queues of this host. Raises nothing.

    The profiles of a queue that does not answer in time have nothing filled in. If it is not known which queue it
    is, there are none.
    """
    found: list[dict[str, str]] = [{}, {}]

    def ask_queue(number: int, of: Callable[[_Host], dict[str, str]]) -> None:
        found[number] = of(_Host(timeout_seconds))

    threads = [
        threading.Thread(target=ask_queue, args=pair, daemon=True) for pair in enumerate((_slurm, _qsub))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"local": text("local"), **found[0], **found[1]}


def _qsub(host: _Host) -> dict[str, str]:
    """Profiles for the queue to which this host's `qsub` belongs."""
    answer = host.ask("qsub", "--version")
    kind = dialect(answer) if answer else None
    if kind == "sge":
        return _gridengine(host)
    return _pbs(host) if kind == "pbs" else {}


def _slurm(host: _Host) -> dict[str, str]:
    """Profiles for SLURM's default partition and for one with GPUs; both unfilled if the controller is silent."""
    lines = host.lines("sinfo", "--noheader", "-o", "%P|%G") if has("sbatch") else None
    if host.is_late:
        return {name: text(name) for name in ("slurm-cpu", "slurm-gpu")}
    pairs = [line.partition("|")[::2] for line in lines or [] if "|" in line]
    if not pairs:
        return {}
    default = next((name.rstrip("*") for name, _ in pairs if name.endswith("*")), None)
    with_gpus = [name.rstrip("*") for name, devices in pairs if "gpu" in devices.lower()]
    found = {"slurm-cpu": filled(text("slurm-cpu"), queue=default)}
    if with_gpus:
        named = next((name for name in with_gpus if "gpu" in name.lower()), with_gpus[0])
        found["slurm-gpu"] = filled(text("slurm-gpu"), queue=named)
    return found


def _gridengine(host: _Host) -> dict[str, str]:
    """Profiles with Grid Engine's queues, parallel environments and complexes; unfilled if the qmaster is silent."""
    queues = host.lines("qconf", "-sql")
    environments = host.lines("qconf", "-spl") if queues else None
    complex_lines = host.lines("qconf", "-sc") if queues else None
    if not queues:
        return {name: text(name) for name in ("qsub-cpu", "qsub-gpu")}
    complexes = {line.split()[0] for line in complex_lines or [] if not line.startswith("#")}
    gpu_queues = [name for name in queues if "gpu" in name.lower()]
    others = [name for name in queues if name not in gpu_queues] or queues
    gpu_complex = next((name for name in GPU_COMPLEXES if name in complexes), None)
    common = {}
    if environments:
        named = (name for word in SHARED_MEMORY for name in environments if word in name.lower())
        common["parallel_environment"] = next(named, environments[0])
    found = {
        "qsub-cpu": _with_memory(filled(text("qsub-cpu"), queue=_preferred(others), **common), complexes)
    }
    if gpu_queues or gpu_complex:
        gpu = {
            "queue": _preferred(gpu_queues or others),
            **({"gpu_complex": gpu_complex} if gpu_complex else {}),
        }
        found["qsub-gpu"] = _with_memory(filled(text("qsub-gpu"), **gpu, **common), complexes)
    return found


def _preferred(queues: list[str]) -> str:
    return next((name for name in ("cpu.q", "gpu.q", "all.q") if name in queues), queues[0])


def _with_memory(profile: str, complexes: set[str]) -> str:
    """The profile without complexes that the site does not have, since jobs that ask for them are refused."""
    if not complexes:
        return profile
    for key in ("memory_complexes", "memory_per_slot"):
        line = re.search(rf"^{key}: \[(.*?)\]", profile, re.MULTILINE)
        if line is None:
            continue
        named = [name.strip() for name in line[1].split(",") if name.strip()]
        profile = filled(profile, **{key: [name for name in named if name in complexes]})
    return profile


def _pbs(host: _Host) -> dict[str, str]:
    """Profiles with a queue for GPUs, if one has such a name; otherwise the site's default."""
    lines = host.lines("qstat", "-Q") or []
    queues = [line.split()[0] for line in lines if not line.startswith(("Queue", "-"))]
    gpu = next((name for name in queues if "gpu" in name.lower()), None)
    return {"pbs-cpu": text("pbs-cpu"), "pbs-gpu": filled(text("pbs-gpu"), queue=gpu)}


def filled(profile: str, **values: str | list[str] | None) -> str:
    """The profile with these values instead of its own; comments stay in place."""
    for key, value in values.items():
        line = re.search(rf"^{key}: (?P<old>.*?)(?P<comment> +#.*)?$", profile, re.MULTILINE)
        if line is None:
            continue
        new = f"{key}: {_yaml(value)}"
        if line["comment"]:
            new = new.ljust(line.start("comment") - line.start() + line["comment"].index("#") - 1)
            new += f" {line['comment'].strip()}"
        profile = profile[: line.start()] + new + profile[line.end() :]
    return profile


def _yaml(value: str | list[str] | None) -> str:
    if value is None:
        return "null"
    if isinstance(value, list):
        return f"[{', '.join(map(_yaml, value))}]"
    return value if PLAIN_WORD.fullmatch(value) and value.lower() not in YAML_WORDS else json.dumps(value)
