"""What a canary saw, as findings: compared with what is here, and with what its runner asks for."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from typing import Any

import neurofit
from neurofit.backends.base import Finding
from neurofit.backends.runner import Runner
from neurofit.orchestrate.check.canary import Canary
from neurofit.study import Study
from neurofit.worker.canary import HEAVY_GB, entries

CLOCK_SECONDS = 60.0  # by which clocks may differ


def findings(canary: Canary, runner: Runner, study: Study) -> list[Finding]:
    """What there is to say of it; the advice also explains what is fine but unlike here."""
    if canary.state == "refused":
        return [Finding(False, "the queue takes a job", canary.reason or "")]
    if canary.problem and not canary.facts:
        return [Finding(False, "the queue can be asked", canary.problem, answered=False)]
    if canary.is_waiting:
        return [Finding(False, f"a job is done within {canary.seconds:.0f} s", _waiting(canary))]
    if not canary.facts:
        return [Finding(False, "a job is done", _told(canary, canary.reason or "no cause known"))]
    facts = canary.facts
    return [
        Finding(True, f"a job was done on {facts['host']}, {canary.seconds:.1f} s after its submission"),
        *_programs(facts, runner),
        *_libraries(facts),
        *_granted(facts, runner),
        *_gpus(facts, runner),
        *_files(canary, study),
    ]


def _waiting(canary: Canary) -> str:
    words = canary.reason or ("it is at work" if canary.state == "running" else "the queue gives no reason")
    return _told(canary, words)


def _told(canary: Canary, words: str) -> str:
    return f"it is {canary.state}: {words}" + (f"\n{canary.log}" if canary.log else "")


def _programs(facts: dict[str, Any], runner: Runner) -> Iterator[Finding]:
    same = facts["python"] == sys.executable and facts["python_version"] == platform.python_version()
    what = f"Python {facts['python_version']}, {facts['python']}"
    other = f"here it is {platform.python_version()}, {sys.executable}"
    yield Finding(True, f"{what}, as here" if same else what, "" if same else other)
    version = facts["neurofit"]
    advice = f"here it is {neurofit.__version__}; install the same for {facts['python']}"
    alike = version == neurofit.__version__
    yield Finding(alike, f"neurofit {version} in {facts['neurofit_folder']}", "" if alike else advice)


def _libraries(facts: dict[str, Any]) -> Iterator[Finding]:
    for name, said in facts["imports"].items():
        if "error" in said:
            yield Finding(False, f"{name} can be imported", said["error"])
        elif "version" in said:
            yield Finding(True, f"{name} {said['version']}")
        else:
            yield Finding(
                True, f"{name} was not tried", f"it needs {HEAVY_GB:g} GB, more than resources.memory_gb"
            )


def _granted(facts: dict[str, Any], runner: Runner) -> Iterator[Finding]:
    wanted = runner.backend.resources
    enough = facts["cpus"] >= wanted.cpus
    yield Finding(
        enough, f"{facts['cpus']} core(s)", "" if enough else f"resources.cpus asks for {wanted.cpus}"
    )
    memory = facts["memory_gb"]
    enough = memory is None or wanted.memory_gb is None or memory >= 0.95 * wanted.memory_gb
    what = "no limit to memory" if memory is None else f"{memory:g} GB of memory"
    yield Finding(enough, what, "" if enough else f"resources.memory_gb asks for {wanted.memory_gb:g}")


def _gpus(facts: dict[str, Any], runner: Runner) -> Iterator[Finding]:
    wanted = runner.backend.resources.gpus
    given, names = facts["cuda_visible_devices"], facts["gpus"]
    visible = (
        len(names)
        if given is None
        else len([one for one in given.split(",") if one.strip() not in ("", "-1")])
    )
    there = f"CUDA_VISIBLE_DEVICES={given or ''}" if given is not None else "CUDA_VISIBLE_DEVICES is not set"
    there += f"; on the node: {', '.join(names)}" if names else "; no NVIDIA GPU on the node"
    if wanted is None and not names and given is None:
        return
    fits = wanted is None or visible == wanted
    yield Finding(
        fits, f"{visible} GPU(s) given ({there})", "" if fits else f"resources.gpus asks for {wanted}"
    )
    seen = facts["imports"].get("tensorflow", {}).get("gpus")
    if wanted and seen is not None:
        few = "its CUDA libraries are missing: `pip install 'tensorflow[and-cuda]'`, or a module of your site in setup"
        yield Finding(seen >= wanted, f"TensorFlow sees {seen} GPU(s)", "" if seen >= wanted else few)


def _files(canary: Canary, study: Study) -> Iterator[Finding]:
    facts = canary.facts
    seen = facts["study_seen"]
    yield Finding(seen, f"the study is seen, at {facts['study']}", "" if seen else "its jobs/ is not there")
    yield Finding(
        facts["writable"], "training_data/ can be written", "" if facts["writable"] else "check who owns it"
    )
    there, here = facts["data"], entries(study.data)
    if there == here:
        yield Finding(
            True, "there is no data/, as here" if here is None else f"data/ is seen ({here} entries)"
        )
    else:
        advice = f"{_counted(there)} there, {_counted(here)} here. Is it a link to where nodes cannot see?"
        yield Finding(False, "data/ is as here", advice)
    clocks = facts["clock_seconds"], canary.here.get("clock_seconds")
    if None not in clocks:
        ahead = clocks[0] - clocks[1]
        fine = abs(ahead) <= CLOCK_SECONDS
        yield Finding(
            fine, f"its clock is {ahead:+.1f} s from ours", "" if fine else "times in logs will mislead"
        )


def _counted(entries: int | None) -> str:
    return "it cannot be read" if entries is None else f"{entries} entries"
