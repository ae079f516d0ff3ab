"""`runs.jsonl`: which number belongs to which run, for ever.

A line per run: {"run", "id", "architecture", "params", "derived", "on_grid"}. Lines are appended under the experiment's
lock and never rewritten; a later line of the same number and id says that its derived values have changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurofit.errors import StoreError
from neurofit.files import append_lines, read_lines, told_apart


@dataclass(frozen=True)
class RegisteredRun:
    """One line of `runs.jsonl`."""

    number: int
    id: str
    architecture: str
    params: dict[str, Any] = field(compare=False)
    derived: dict[str, Any] = field(compare=False)
    on_grid: bool = True

    def record(self) -> dict[str, Any]:
        return {
            "run": self.number,
            "id": self.id,
            "architecture": self.architecture,
            "params": self.params,
            "derived": self.derived,
            "on_grid": self.on_grid,
        }


@dataclass(frozen=True)
class Registry:
    """What `runs.jsonl` says, and how many of its lines could not be read."""

    runs: dict[int, RegisteredRun]
    damaged: int

    def pairs(self) -> list[tuple[int, str]]:
        return [(run.number, run.id) for run in self.runs.values()]


def read_registry(path: Path) -> Registry:
    records, damaged = read_lines(path)
    runs: dict[int, RegisteredRun] = {}
    for record in records:
        try:
            run = RegisteredRun(
                record["run"],
                record["id"],
                record["architecture"],
                record["params"],
                record["derived"],
                record["on_grid"],
            )
        except KeyError:
            damaged += 1
            continue
        runs[run.number] = run
    return Registry(dict(sorted(runs.items())), damaged)


def register(path: Path, registry: Registry, runs: list[RegisteredRun]) -> None:
    """Append the runs that are new, or whose derived values changed. A damaged registry is not added to.

    Numbers of lines that cannot be read are unknown, so a new run could be given one that results already carry.
    """
    if registry.damaged:
        raise StoreError(
            f"{path}: {registry.damaged} damaged line(s), so no run can be given a number. "
            "Restore the file from a backup, or repair the line by hand (each run's folder and "
            "outcome.json name its number "
            "and id); results of the other runs can still be read."
        )
    news = [run for run in runs if _is_news(registry.runs.get(run.number), run)]
    if news:
        with told_apart(path, "add the runs"):
            append_lines(path, [run.record() for run in news])


def _is_news(old: RegisteredRun | None, new: RegisteredRun) -> bool:
    return old is None or old.derived != new.derived or old.on_grid != new.on_grid
