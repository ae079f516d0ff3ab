"""`runs.jsonl`: the permanent number of each run.

One line per run: {"run", "id", "architecture", "params", "derived", "on_grid"}. Lines are appended under the
experiment's lock and never rewritten; a later line with the same number and id updates the derived values. An
incomplete last line, left by a full disk, was never used, because the submit that wrote it failed: it is
ignored, and truncated before the next line is written.
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
    """The runs in `runs.jsonl`, and the number of lines that could not be read."""

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
            damaged += 1  # the number permanently belongs to the first run
        else:
            runs[run.number] = run
    return Registry(dict(sorted(runs.items())), damaged)


def _end_of_lines(data: bytes) -> int:
    """The length of the complete lines in bytes.

    A last line that lacks only its newline is complete (an editor may have removed it).
    """
    end = data.rfind(b"\n") + 1
    records, _ = parse_lines(data[end:])
    return len(data) if records else end


def _truncate_incomplete_line(path: Path) -> None:
    """Remove an incomplete last line. The caller holds the lock that protects all writes."""
    with contextlib.suppress(FileNotFoundError), open(path, "rb+") as file:
        data = file.read()
        if (end := _end_of_lines(data)) < len(data):
            file.truncate(end)


def register(path: Path, registry: Registry, runs: list[RegisteredRun]) -> None:
    """Append the runs that are new, or whose derived values or `on_grid` have changed.

    The numbers in damaged lines are unknown, so a new run could get a number that existing results already
    use. A damaged registry is therefore not extended.

    Parameters
    ----------
    path : Path
        The `runs.jsonl` of the experiment.
    registry : Registry
        Its present content.
    runs : list of RegisteredRun
        The runs to register.

    Raises
    ------
    StoreError
        If the registry is damaged or cannot be written.
    """
    if registry.damaged:
        raise StoreError(
            f"{path}: {registry.damaged} damaged line(s), so no new run can be numbered. Restore the "
            "file from a backup, or repair the lines by hand (the folder and outcome.json of each run name its "
            "number and id). Results of the other runs can still be read."
        )
    news = [run for run in runs if _is_news(registry.runs.get(run.number), run)]
    if news:
        with explain_os_errors(path, "register the runs"):
            retry(lambda: _truncate_incomplete_line(path))
            append_lines(path, [_as_line(run, registry.runs.get(run.number)) for run in news])


def _as_line(new: RegisteredRun, old: RegisteredRun | None) -> dict[str, Any]:
    """The line of a run; fields that a later version of neurofit added are kept."""
    return {**(old.unknown if old else {}), **new.as_object()}


def _is_news(old: RegisteredRun | None, new: RegisteredRun) -> bool:
    return old is None or old.derived != new.derived or old.on_grid != new.on_grid
