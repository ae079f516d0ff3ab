"""`runs.jsonl`: which number belongs to which run, for ever.

A line per run: {"run", "id", "architecture", "params", "derived", "on_grid"}. Lines are appended under the
experiment's lock and never rewritten; a later line of the same number and id says that its derived values
have changed. Half a last line, which a full disk leaves, was never used: the submit that wrote it failed. It
is passed over, and cut off before the next line.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurofit.errors import StoreError
from neurofit.files import append_lines, explain_os_errors, parse_lines, read_file
from neurofit.store.records import RegisteredRun
from neurofit.structure import structured_lines
from neurofit.transient import retry


@dataclass(frozen=True)
class Registry:
    """What `runs.jsonl` says, and how many of its lines could not be read."""

    runs: dict[int, RegisteredRun]
    damaged: int

    def pairs(self) -> list[tuple[int, str]]:
        return [(run.number, run.id) for run in self.runs.values()]


def read_registry(path: Path) -> Registry:
    try:
        data = read_file(path)
    except FileNotFoundError:
        return Registry({}, 0)
    lines, damaged = structured_lines(data[: _end_of_lines(data)], RegisteredRun)
    runs: dict[int, RegisteredRun] = {}
    for run in lines:
        if run.number in runs and runs[run.number].id != run.id:
            damaged += 1  # the number belongs to the other run, for ever
        else:
            runs[run.number] = run
    return Registry(dict(sorted(runs.items())), damaged)


def _end_of_lines(data: bytes) -> int:
    """Where half a last line begins.

    One that lacks only its newline is whole (an editor may have left it so).
    """
    end = data.rfind(b"\n") + 1
    records, _ = parse_lines(data[end:])
    return len(data) if records else end


def _cut_half_a_line(path: Path) -> None:
    """Under the lock, under which alone lines are written."""
    with contextlib.suppress(FileNotFoundError), open(path, "rb+") as file:
        data = file.read()
        if (end := _end_of_lines(data)) < len(data):
            file.truncate(end)


def register(path: Path, registry: Registry, runs: list[RegisteredRun]) -> None:
    """Append the runs that are new, or whose derived values changed. A damaged registry is not added to.

    Numbers of lines that cannot be read are unknown, so a new run could be given one that results already
    carry.
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
        with explain_os_errors(path, "add the runs"):
            retry(lambda: _cut_half_a_line(path))
            append_lines(path, [_as_line(run, registry.runs.get(run.number)) for run in news])


def _as_line(new: RegisteredRun, old: RegisteredRun | None) -> dict[str, Any]:
    """The line of a run; what a later version noted about it stays."""
    return {**(old.unknown if old else {}), **new.as_object()}


def _is_news(old: RegisteredRun | None, new: RegisteredRun) -> bool:
    return old is None or old.derived != new.derived or old.on_grid != new.on_grid
