"""Runs that wait until a test has done so much, so that they do not end before it, however slow the machine is."""

from __future__ import annotations

from pathlib import Path

from neurofit.files import write_whole

WAIT = (
    "while int(task.folder.parents[1].name[:3]) >= int((task.study / 'held').read_text()): time.sleep(0.02)"
)
"""The line of a fit that has the study's runs from the held one on wait."""


def hold(study: Path, run: int) -> None:
    """Have runs from this one on wait, and those before it go on."""
    write_whole(study / "held", str(run), durable=False)
