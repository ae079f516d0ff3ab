"""What may be shown of a damaged study, from a plain reader of its files that knows nothing of neurofit's
own.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import re
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurofit.cli import application
from neurofit.cli.application import group

from .damage import copied, damage
from .study import records

COMMANDS = [
    ["status"],
    ["status", "--json"],
    ["status", "exp:all"],
    ["results", "exp", "--json"],
    ["results", "exp"],
    ["results", "exp", "--by", "run"],
    ["results", "exp", "--compare", "x", "--metric", "test/mse"],
    ["failures", "exp"],
    ["failures", "exp", "--json"],
    ["logs", "exp:0"],
    ["logs", "exp", "--json", "--tail", "2"],
    ["list"],
    ["show", "exp"],
    ["submit", "exp", "--dry-run"],
    ["submit", "exp", "--retry", "--dry-run", "--json"],
    ["cancel", "exp", "--dry-run"],
    ["cancel", "group/slow", "--dry-run"],
    ["clean", "--dry-run"],
    ["clean", "--attempts", "--dry-run", "--json"],
    ["pack", "exp", "--dry-run"],
    ["unpack", "exp", "--dry-run", "--json"],
    ["status", "group/slow"],
    ["failures", "broken"],
    ["plot", "exp", "--json"],
    ["plot", "exp", "--what", "progress", "--json"],
    ["runners"],
    ["plot", "nothing"],
    ["run", "exp:0", "--dry-run"],
]
CODES = {0, 1, 2, 3, 4, 5}
MOST_SECONDS = 10.0


class _Text(io.StringIO):
    encoding = "utf-8"


@dataclass
class Said:
    """What a command did."""

    words: list[str]
    code: int | None
    out: str
    err: str
    seconds: float
    trace: str = ""


@dataclass
class Case:
    """One damaged file, how it was damaged, and what commands then said."""

    seed: int
    file: Path
    how: str
    said: list[Said] = field(default_factory=list)

    def __str__(self) -> str:
        return f"seed {self.seed}: {self.file} {self.how}"


def command(*words: str) -> Said:
    """`neurofit WORDS` in this process, in the current folder."""
    out, err, started = _Text(), _Text(), time.monotonic()
    code, trace = None, ""
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = application.run(group, "neurofit", list(words))
        except BaseException:
            trace = traceback.format_exc()
    return Said(list(words), code, out.getvalue(), err.getvalue(), time.monotonic() - started, trace)


def tried(study: Path, target: Path, seed: int, *, commands: int) -> Case:
    """Damage a file of a copy of the study, and run commands there."""
    dice = random.Random(seed)
    copied(study, target)
    os.chdir(target)
    os.environ["XDG_CACHE_HOME"] = str(target / "cache")
    if dice.random() < 0.5:  # an index of before the damage
        command("status")
    candidates = [
        *records(target),
        *(path.relative_to(target) for path in (target / "cache").rglob("*.json")),
    ]
    file = dice.choice(candidates)
    case = Case(seed, file, damage(target / file, dice))
    first = [["status", "--json"], ["results", "exp", "--json"]]
    others = [words for words in COMMANDS if words not in first]
    for words in [*first, *dice.sample(others, min(commands, len(others)))]:
        case.said.append(command(*words))
    return case


def faults(case: Case, study: Path, target: Path) -> list[str]:
    """All that is wrong with what the commands of a case did; nothing, if all is well."""
    found = []
    for one in case.said:
        name = " ".join(one.words)
        if one.trace:
            found.append(f"{name}: traceback: {one.trace.strip().splitlines()[-1][:200]}")
        elif one.code not in CODES:
            found.append(f"{name}: exit code {one.code}")
        if one.seconds > MOST_SECONDS:
            found.append(f"{name}: {one.seconds:.1f} s")
    said = {" ".join(one.words): one for one in case.said if not one.trace}
    if "results exp --json" in said:
        found += _results(said["results exp --json"], study, target)
    if "status --json" in said:
        found += _status(said["status --json"], study, target)
    if case.file.parent.name == "stops" and case.how == "gone":  # nothing else knows of a cancellation
        found = [one for one in found if "'cancelled'" not in one]
    return found


def _is_told(said: Said) -> bool:
    return bool(re.search(r"^(Warning|Error): ", said.err, re.MULTILINE)) or (
        said.out.startswith("{")
        and any(one["problems"] for one in json.loads(said.out).get("experiments", ()))
    )


def _results(said: Said, study: Path, target: Path) -> list[str]:
    if said.code:
        return [] if said.err.startswith(("Error: ", "Warning: ")) else ["results ended without a word"]
    rows = {(row["run"], row["repetition"]): row for row in json.loads(said.out)}
    now, before = plain(target, "exp"), plain(study, "exp")
    found = []
    for key, row in rows.items():
        metrics = {name: value for name, value in _metrics(row).items() if value is not None}
        if row["state"] == "done" and metrics and metrics not in now.get(key, []):
            found.append(f"results: {key} has {metrics}, which no file has")
    for key, known in before.items():
        was, row = [one for one in known if one], rows.get(key)
        lacks = row is None or not any(_metrics(row).values())
        if was and lacks and not _is_told(said):
            found.append(f"results: {key} has no metrics, and nothing is said about that")
    return found


def _metrics(row: dict[str, Any]) -> dict[str, Any]:
    if "metrics" in row:
        return row["metrics"] or {}
    return {name: row[name] for name in ("test/correlation", "test/mse") if name in row}


def _status(said: Said, study: Path, target: Path) -> list[str]:
    if not said.out.startswith("{"):
        return [] if said.err.startswith("Error: ") else ["status said nothing"]
    record = json.loads(said.out)
    found = []
    counts = {one["name"]: one for one in record["experiments"]}
    told = _is_told(said) or bool(record["unseen"])
    expected = {"exp": {"done": 4, "failed": 2, "stopped": 2}, "group/slow": {"cancelled": 3}}
    for name, states in expected.items():
        shown = counts.get(name)
        if shown is None and not told:
            found.append(f"status: {name} is not there, and nothing is said about that")
        wrong = {state for state in states if shown and shown[state] != states[state]}
        done = len([1 for known in plain(target, name).values() if any(known)])
        if shown and shown["done"] > done:
            found.append(f"status: {shown['done']} of {name} are done, and files have {done}")
        if wrong and not told:
            found.append(
                f"status: {name} has {[(state, shown[state]) for state in wrong]}, and nothing is said of it"
            )
    return found


def plain(root: Path, name: str) -> dict[tuple[int, int], list[dict[str, Any]]]:
    """(run, repetition) → the metrics of every outcome that says it is done, in whatever file; {} for the
    others.
    """
    folder = root / "training_data" / name
    found: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for path in folder.glob("runs/*/rep-*/attempt-*/outcome.json"):
        key = int(path.parts[-4].split("-")[0]), int(path.parts[-3].split("-")[1])
        with contextlib.suppress(OSError, ValueError, RecursionError, TypeError, AttributeError, KeyError):
            outcome = json.loads(path.read_bytes())
            found.setdefault(key, []).append(outcome["metrics"] if outcome["state"] == "done" else {})
    for path in folder.glob("submissions/*/journal/*.jsonl"):
        with contextlib.suppress(OSError):
            for line in path.read_bytes().split(b"\n"):
                with contextlib.suppress(ValueError, RecursionError, TypeError, KeyError):
                    outcome = json.loads(line)["outcome"]
                    key = outcome["run"], outcome["repetition"]
                    found.setdefault(key, []).append(outcome["metrics"] if outcome["state"] == "done" else {})
    return found
