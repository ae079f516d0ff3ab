"""Names of arrays in SLURM, and which lines of its answers are about which of our calls."""

from __future__ import annotations

import re
from typing import Any

from neurofit.backends.base import JobKey, Queued, Submission
from neurofit.backends.slurm import answers


def name_of(submission: Submission, first: int, last: int) -> str:
    return f"{plain(submission.experiment.rpartition('/')[2])}@{plain(submission.token)}.{first}-{last}"


def plain(name: str) -> str:
    """A name without characters that have a meaning in options."""
    return re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII)


def parsed(name: str) -> tuple[str, int, int]:
    """Token, first and last job in an array's name; an empty token if neurofit did not make the name."""
    match = re.fullmatch(r"[\w.-]*@([\w.-]+)\.(\d+)-(\d+)", name)
    return (match[1], int(match[2]), int(match[3])) if match else ("", 0, 0)


def is_about(line: answers.Waiting | answers.Accounted, entry: Queued) -> bool:
    """Whether a line is about a call's jobs, or cannot be read and may be about them."""
    token, first, _ = parsed(line.name)
    if not token:
        return line.is_unreadable and line.id == entry.id
    return token == plain(entry.token) and (
        line.id == entry.id or (line.is_unreadable and first == entry.first)
    )


def spread(into: dict[JobKey, Any], entry: Queued, elements: tuple[int, ...] | None, value: Any) -> None:
    """Set a value for these elements of an array; if `elements` is None, for all that have none yet."""
    if elements is None:
        for job in range(entry.first, entry.last + 1):
            into.setdefault((entry.token, job), value)
        return
    for index in elements:
        if entry.first + index <= entry.last:
            into[entry.token, entry.first + index] = value
