"""Rounds of bad moments: a small experiment on a storage that fails at random, killed at random, submitted
again until all of it is done; judged by a reader of plain files that shares nothing with neurofit's own.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

RUNS, REPETITIONS, STEPS = 2, 2, 8
SHIM = Path(__file__).with_name("shim.c")
FIT = '''
import json, os, random, time, uuid
import neurofit as nf

def mark(task, what):
    """A file that nobody else makes, on a storage that does not fail."""
    number = int(task.folder.name.removeprefix("attempt-"))
    name = f"{{task.params['run']}}-{{task.repetition}}-{{number}}-{{what}}-{{uuid.uuid4().hex}}"
    os.close(os.open(os.path.join({markers!r}, name), os.O_CREAT | os.O_EXCL))

def fit(task, *, run=0):
    mark(task, "begin")
    value, first = 0, 0
    for folder in task.checkpoints[:1]:
        first, value = json.loads((folder / "state.json").read_text())
        task.resume(folder)
    for step in range(first, {steps}):
        value = 3 * value + step + run
        task.log(step, value=value)
        time.sleep(0.02)
        if step == {steps} // 2:
            with task.save_checkpoint(step + 1) as folder:
                (folder / "state.json").write_text(json.dumps([step + 1, value]))
    mark(task, "end")
    return {{"value": value}}

experiment = nf.Experiment(fit=fit, grid=nf.grid(run=list(range({runs}))), repetitions={repetitions})
'''


def compiled(folder: Path) -> Path | None:
    """The library that makes files fail; None where there is no compiler, or none that can do it."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    library = folder / "shim.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SHIM), "-ldl"]
    return library if subprocess.run(command, capture_output=True).returncode == 0 else None


@dataclass(frozen=True)
class Weather:
    """What the storage of a round is like."""

    kinds: tuple[str, ...]
    probability: float
    late_ms: int

    def environment(self, root: Path, library: Path, seed: int) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(library),
            "FAULTS_ROOT": str(root / "training_data"),
            "FAULTS_KINDS": ",".join(self.kinds),
            "FAULTS_PROBABILITY": str(self.probability),
            "FAULTS_LATE_MS": str(self.late_ms),
            # what the fit writes by itself is its own matter
            "FAULTS_EXCEPT": "state.json,stdout.log,stderr.log",
            "FAULTS_SEED": str(seed),
        }


@dataclass
class Tally:
    """What happened."""

    rounds: int = 0
    tasks: int = 0
    submits: int = 0
    looks: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        for name in ("rounds", "tasks", "submits", "looks"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.kills.update(other.kills)
        self.outcomes.update(other.outcomes)


class Wrong(AssertionError):
    """Something that must never be."""


class Study:
    """A study on such a storage."""

    def __init__(self, root: Path, library: Path) -> None:
        self.root, self.library = root, library
        for name in ("jobs", "runners", "training_data", "markers"):
            (root / name).mkdir(parents=True, exist_ok=True)
        (root / "runners" / "local.yaml").write_text("backend: local\nworkers: 2\n")

    def round(self, name: str, weather: Weather, seed: int, *, kills: int = 4, seconds: float = 300) -> Tally:
        """Do one experiment to its end. Raises Wrong."""
        one = Round(self, name, weather, seed)
        try:
            return one.run(kills, seconds)
        finally:
            one.end_pools()


class Round:
    def __init__(self, study: Study, name: str, weather: Weather, seed: int) -> None:
        self.study, self.name, self.weather, self.seed = study, name, weather, seed
        self.random = random.Random(seed)
        self.markers = study.root / "markers" / name
        self.markers.mkdir()
        text = FIT.format(markers=str(self.markers), runs=RUNS, repetitions=REPETITIONS, steps=STEPS)
        (study.root / "jobs" / f"{name}.py").write_text(text)
        self.folder = study.root / "training_data" / name
        self.submitter: subprocess.Popen[str] | None = None
        self.kill_submitter_at = float("inf")
        self.said: list[str] = []
        self.tally = Tally(rounds=1, tasks=RUNS * REPETITIONS)

    def run(self, kills: int, seconds: float) -> Tally:
        deadline = time.monotonic() + seconds
        while len(self.done()) < RUNS * REPETITIONS:
            if time.monotonic() > deadline:
                raise Wrong(
                    f"{self.where()}: not done after {seconds} s: {self.plain()}\n"
                    + "\n".join(self.said[-6:])
                )
            self.tend_submitter(sum(self.tally.kills.values()) < kills)
            time.sleep(self.random.uniform(0.03, 0.25))
            if sum(self.tally.kills.values()) < kills and self.random.random() < 0.4:
                self.kill()
            if self.random.random() < 0.08:
                self.look()
        if self.submitter is not None:
            self.submitter.kill()
            self.submitter.communicate()
        self.look()
        self.judge()
        for attempts in self.plain().values():
            self.tally.outcomes.update(state or "none" for state in attempts.values())
        return self.tally

    def where(self) -> str:
        return f"{self.name} (seed {self.seed}, {self.weather})"

    # who is at it

    def environment(self) -> dict[str, str]:
        self.seed += 1
        return {**os.environ, **self.weather.environment(self.study.root, self.study.library, self.seed)}

    def tend_submitter(self, may_kill: bool) -> None:
        if self.submitter is not None and self.submitter.poll() is None:
            if time.monotonic() > self.kill_submitter_at:
                self.submitter.kill()
                self.tally.kills["submitter"] += 1
            return
        if self.submitter is not None:
            self.said.append(self.submitter.communicate()[0])
            self.submitter = None
        if self.pools():
            return
        command = [sys.executable, "-m", "neurofit", "submit", self.name, "--detach", "--retry", "--yes"]
        self.submitter = subprocess.Popen(
            command,
            cwd=self.study.root,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.tally.submits += 1
        killed = may_kill and self.random.random() < 0.25
        self.kill_submitter_at = time.monotonic() + self.random.uniform(0.1, 2.0) if killed else float("inf")

    def pools(self) -> list[int]:
        found = []
        for diary in self.folder.glob("submissions/*/pool.jsonl"):
            match = re.match(r'\{"pool":.*"pid":\s*(\d+)', diary.read_text())
            if match and str(diary.parent) in _command(int(match.group(1))):
                found.append(int(match.group(1)))
        return found

    def end_pools(self) -> None:
        for pid in self.pools():
            _kill(pid)

    def kill(self) -> None:
        pools = self.pools()
        servers = [pid for pool in pools for pid in _children(pool)]
        workers = [pid for server in servers for pid in _children(server)]
        family = {"pool": pools, "server": servers, "worker": workers}
        family["child"] = [pid for worker in workers for pid in _children(worker)]
        kind = self.random.choice(["pool", "server", "worker", "worker", "child", "child"])
        if family[kind] and _kill(self.random.choice(family[kind])):
            self.tally.kills[kind] += 1

    # what the files say

    def plain(self) -> dict[tuple[int, int], dict[int, str | None]]:
        """Task → attempt → its outcome's state, None where it has not ended."""
        found: dict[tuple[int, int], dict[int, str | None]] = {}
        for folder in self.folder.glob("runs/*/rep-*/attempt-*"):
            run, repetition = int(folder.parts[-3].split("-")[0]), int(folder.parts[-2].removeprefix("rep-"))
            attempts = found.setdefault((run, repetition), {})
            try:
                state = json.loads((folder / "outcome.json").read_text())["state"]
            except FileNotFoundError:
                state = None
            attempts[int(folder.name.removeprefix("attempt-"))] = state
        return found

    def done(self) -> set[tuple[int, int]]:
        return {task for task, attempts in self.plain().items() if "done" in attempts.values()}

    def look(self) -> None:
        """No state may say what the files do not say, from here or from where the storage fails."""
        before = self.plain()
        environment = self.environment() if self.random.random() < 0.5 else dict(os.environ)
        command = [sys.executable, "-m", "neurofit", "status", self.name, "--json"]
        answer = subprocess.run(command, cwd=self.study.root, env=environment, capture_output=True, text=True)
        after = self.plain()
        self.tally.looks += 1
        if "Traceback" in answer.stderr:
            raise Wrong(f"{self.where()}: {answer.stderr}")
        try:
            states = _states(json.loads(answer.stdout))
        except ValueError:
            if answer.returncode == 0 or not answer.stderr.strip():
                raise Wrong(f"{self.where()}: status said {answer}") from None
            return  # it said that it could not know
        for task, state in states.items():
            was, now = before.get(task, {}), after.get(task, {})
            newest = now[max(now)] if now else None
            wrong = {
                "done": "done" not in now.values(),
                "failed": newest != "failed" and "failed" not in was.values(),
                "running": not now,
                "new": "done" in was.values(),
            }
            if wrong.get(state) or ("done" in was.values() and state != "done"):
                raise Wrong(
                    f"{self.where()}: {task} is called {state}; before {was}, after {now}\n{answer.stderr}"
                )

    def judge(self) -> None:
        """Every task once."""
        begun, ended = Counter(), Counter()
        for path in self.markers.iterdir():
            run, repetition, attempt, what, _ = path.name.split("-")
            (begun if what == "begin" else ended)[int(run), int(repetition), int(attempt)] += 1
        for (run, repetition), attempts in self.plain().items():
            done = [attempt for attempt, state in attempts.items() if state == "done"]
            key = (run, repetition)
            if len(done) != 1:
                raise Wrong(f"{self.where()}: {key} was done {len(done)} times: {attempts}")
            if ended[run, repetition, done[0]] != 1:
                raise Wrong(f"{self.where()}: {key} was done without its fit's end: {ended}")
            if max(attempt for *task, attempt in begun if tuple(task) == key) > done[0]:
                raise Wrong(f"{self.where()}: {key} was begun again after it was done: {begun}")
            self._judge_values(run, repetition, done[0])
        if max(begun.values()) > 1 or max(ended.values()) > 1:
            raise Wrong(f"{self.where()}: an attempt was made twice: {begun} {ended}")

    def _judge_values(self, run: int, repetition: int, attempt: int) -> None:
        (folder,) = self.folder.glob(f"runs/{run:03d}-*/rep-{repetition:02d}/attempt-{attempt:02d}")
        value = 0
        for step in range(STEPS):
            value = 3 * value + step + run
        found = json.loads((folder / "outcome.json").read_text())["metrics"]
        if found != {"value": value}:
            raise Wrong(f"{self.where()}: {folder} has {found}, not {value}")
        steps = [line.split(",")[0] for line in (folder / "history.csv").read_text().splitlines()]
        if steps != ["step", *map(str, range(STEPS))]:
            raise Wrong(f"{self.where()}: the history of {folder} is {steps}")


def _states(answer: object) -> dict[tuple[int, int], str]:
    found = {}
    if isinstance(answer, dict):
        if {"run", "repetition", "state"} <= answer.keys():
            found[answer["run"], answer["repetition"]] = answer["state"]
        answer = list(answer.values())
    if isinstance(answer, list):
        for one in answer:
            found.update(_states(one))
    return found


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
