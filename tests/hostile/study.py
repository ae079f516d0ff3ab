"""A small study as neurofit leaves it: done, failed, stopped and cancelled tasks, second attempts, a halt, a
lock.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

EXP = """
import neurofit as nf

def fit(task, *, x=1, kind="a"):
    print("x is", x)
    task.log(1, loss=0.5)
    task.log(2, loss=0.25)
    if x == 3:
        raise ValueError(f"x={x} is too much")
    if x == 4:
        with task.save_checkpoint(2) as folder:
            (folder / "w").write_text("w")
        task.stop(2)
    return {"test/correlation": x / 10 + task.repetition / 100, "test/mse": 1.5}

experiment = nf.Experiment(fit, grid=nf.grid(x=[1, 2, 3, 4]), repetitions=2)
"""
SLOW = """
import time
import neurofit as nf

def fit(task, *, x=1):
    time.sleep(60)
    return {"m": x}

experiment = nf.Experiment(fit, grid=nf.grid(x=[1, 2, 3]))
"""
BROKEN = """
import neurofit as nf

def fit(task, *, x=1):
    raise ValueError("no layer")

experiment = nf.Experiment(fit, grid=nf.grid(x=[1, 2, 3, 4, 5, 6, 7, 8]))
"""


def build(root: Path) -> Path:
    """Make it, with real commands and real processes."""
    for name in ("jobs/group", "runners"):
        (root / name).mkdir(parents=True)
    (root / "runners" / "local.yaml").write_text("backend: local\nworkers: 2\nresources: {cpus: 1}\n")
    for name, text in {"exp": EXP, "group/slow": SLOW, "broken": BROKEN}.items():
        (root / "jobs" / f"{name}.py").write_text(text)
    neurofit(root, "submit", "exp", "--keep-going")
    neurofit(root, "submit", "exp", "--retry", "--keep-going")
    neurofit(root, "submit", "group/slow", "--detach")
    neurofit(root, "cancel", "group/slow", "--yes")
    neurofit(root, "status", "group/slow", "--wait", "30")
    neurofit(root, "submit", "broken")
    lock = {
        "host": os.uname().nodename,
        "boot": "0000",
        "pid": 999_999,
        "started": 1,
        "user": "me",
        "since": "2026",
    }
    (root / "training_data" / "exp" / ".lock").write_text(json.dumps(lock))
    return root


def neurofit(root: Path, *words: str) -> None:
    command = [sys.executable, "-m", "neurofit", *words]
    subprocess.run(command, cwd=root, check=False, capture_output=True, timeout=120, stdin=subprocess.DEVNULL)


def records(root: Path) -> list[Path]:
    """Every file that a command may read, relative to the study."""
    found = [
        path for path in (root / "training_data").rglob("*") if path.is_file() and ".code" not in path.parts
    ]
    found += list((root / "runners").iterdir())
    return sorted(path.relative_to(root) for path in found)
