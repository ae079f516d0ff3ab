"""Studies with small experiments, and the command line as a user meets it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

QUICK = '''"""Does x matter?"""
import neurofit as nf

def fit(task, *, x=1, kind="a"):
    print(f"x is {x}")
    task.log(1, loss=0.5)
    return {"test/correlation": x / 10 + task.repetition / 100}

experiment = nf.Experiment(fit, grid=nf.grid(x=[1, 2], kind=["a", "b"]), repetitions=2)

if __name__ == "__main__":
    experiment.main()
'''
MIXED = """
import sys
import neurofit as nf

def fit(task, *, x=1):
    if x == 2:
        print("before", file=sys.stderr)
        raise ValueError(f"x={x} is too much")
    return {"m": x}

experiment = nf.Experiment(fit, grid=nf.grid(x=[1, 2]), repetitions=2)
"""
SLOW = """
import time
import neurofit as nf

def fit(task, *, x=1):
    start = int((task.checkpoints[0] / "step").read_text()) if task.checkpoints else 0
    if start:
        task.resume(task.checkpoints[0])
    for step in range(start + 1, 41):
        time.sleep(0.1)
        while (task.study / "hold").exists() and not task.should_stop():
            time.sleep(0.05)
        task.log(step, loss=1 / step)
        print("step", step)
        if task.should_stop():
            with task.save_checkpoint(step) as folder:
                (folder / "step").write_text(str(step))
            task.stop(step)
    return {"m": start}

experiment = nf.Experiment(fit, grid=nf.grid(x=[1, 2]))
"""
VARYING = [
    (re.compile(r"\d{8}-\d{6}-([\w-]+?)-\w{4}\b"), r"SUBMISSION-\1"),
    (re.compile(r"after (\d+\.\d s|\d+ s|\d+:\d\d)"), "after TIME"),
    (re.compile(re.escape(sys.executable)), "PYTHON"),
    (re.compile(r"\b[0-9a-f]{8}\b"), "RUN-ID"),
]


class Study:
    """A folder with jobs/ and runners/, and commands in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("jobs", "runners"):
            (root / name).mkdir(parents=True)
        (root / "runners" / "local.yaml").write_text("backend: local\nworkers: 2\n")

    def script(self, name: str, text: str) -> Path:
        path = self.root / "jobs" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def __call__(self, *words: str, code: int | None = 0, **options) -> subprocess.CompletedProcess[str]:
        """`neurofit WORDS`, which must end with this exit code."""
        return self.run([sys.executable, "-m", "neurofit", *words], code=code, **options)

    def run(self, command: list[str], *, code: int | None = 0, env: dict[str, str] | None = None, **options):
        options = {"cwd": self.root, "stdin": subprocess.DEVNULL, "timeout": 120, **options}
        environment = {**os.environ, **(env or {})}
        answer = subprocess.run(
            command, capture_output=True, text=True, encoding="utf-8", env=environment, **options
        )
        said = f"{command} gave {answer.returncode}\n--- stdout\n{answer.stdout}\n--- stderr\n{answer.stderr}"
        assert code is None or answer.returncode == code, said
        assert "Traceback" not in answer.stderr or "jobs" in answer.stderr, said
        return answer

    def start(self, *words: str) -> subprocess.Popen[str]:
        """`neurofit WORDS`, which is not waited for."""
        return subprocess.Popen(
            [sys.executable, "-m", "neurofit", *words],
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    @staticmethod
    def steady(text: str) -> str:
        """The output without what varies between two runs of one command."""
        for pattern, word in VARYING:
            text = pattern.sub(word, text)
        return "\n".join(line.rstrip() for line in text.strip().splitlines())


@pytest.fixture
def study(tmp_path, processes) -> Study:
    return Study(tmp_path / "study")


@pytest.fixture
def quick(study) -> Study:
    """With an experiment of 4 instant runs × 2 repetitions."""
    study.script("quick", QUICK)
    return study


@pytest.fixture
def mixed(study) -> Study:
    """With an experiment of which half fails."""
    study.script("mixed", MIXED)
    return study


@pytest.fixture
def slow(study) -> Study:
    """With two tasks of four seconds that can be stopped and go on. They wait while there is a file `hold`."""
    study.script("slow", SLOW)
    return study


@pytest.fixture(scope="session")
def make_study(processes):
    """Makes a study in a folder."""
    return Study
