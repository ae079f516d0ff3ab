"""One task in the foreground: what `neurofit run` and `python jobs/exp3.py` print around it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurofit.cli import terminal, wording
from neurofit.exit_codes import INTERRUPTED, TASKS_FAILED
from neurofit.text import command

if TYPE_CHECKING:
    from neurofit.experiments.experiment import Experiment
    from neurofit.orchestrate.foreground import Point
    from neurofit.store.records import Outcome
    from neurofit.study import Study


def settings(experiment: Experiment, texts: Mapping[str, str]) -> dict[str, Any]:
    """Arguments as their words on the command line mean them."""
    from neurofit.experiments.experiment import REQUIRED
    from neurofit.experiments.grid.params import parse

    known = {
        name: None if default is REQUIRED else default for name, default in experiment.arguments().items()
    }
    return {name: parse(text, known.get(name), f"'{name}'") for name, text in texts.items()}


def pairs(words: tuple[str, ...]) -> dict[str, str]:
    """{"filters": "16"} of --set filters=16"""
    for word in words:
        if "=" not in word:
            raise click.UsageError(f"--set {word}: write --set name=value.")
    return dict(word.split("=", 1) for word in words)


def do(
    study: Study,
    experiment: Experiment,
    changes: Mapping[str, str],
    number: int | None,
    repetition: int,
    *,
    debug: bool = False,
    rerun: bool = False,
    dry_run: bool = False,
    as_json: bool = False,
) -> int:
    """Do one task here and now, and say what came of it."""
    from neurofit.orchestrate import foreground
    from neurofit.store.layout import ExperimentFiles
    from neurofit.store.records import Outcome
    from neurofit.store.registry import read_registry
    from neurofit.structure import structured

    registry = read_registry(ExperimentFiles(study, experiment.name).registry)
    point = foreground.point(experiment, registry, settings(experiment, changes), number, repetition)
    _introduce(experiment, point)
    if dry_run:
        terminal.note("Nothing was done.")
        return 0
    with _stdout_on_stderr() if as_json else contextlib.nullcontext():
        attempt, written = foreground.run(study, experiment, point, debug=debug, rerun=rerun)
    outcome = structured(written, Outcome, attempt.outcome)
    if as_json:
        terminal.as_json({**written, "folder": str(attempt.folder)})
    else:
        _say(experiment, point, outcome, attempt.folder)
    return _exit_code(outcome)


def _exit_code(outcome: Outcome) -> int:
    """Of a command that did this; where a signal stopped the task, as if it had ended the command."""
    if outcome.state == "done":
        return 0
    reason = outcome.reason
    if outcome.state == "stopped" and (reason is None or reason.kind == "signal"):  # 0.1.0 noted no reason
        is_terminated = reason is not None and "SIGTERM" in (reason.message or "")
        return 128 + signal.SIGTERM if is_terminated else INTERRUPTED
    return TASKS_FAILED


def _introduce(experiment: Experiment, point: Point) -> None:
    from neurofit.experiments.grid.params import short

    if experiment.hint:
        terminal.note(experiment.hint)
    arguments = " ".join(f"{name}={short(value)}" for name, value in point.run.arguments.items())
    off = "" if point.on_grid else " (off the grid)"
    terminal.note(f"{wording.task(experiment.name, (point.run.number, point.repetition))}{off}  {arguments}")


def _say(experiment: Experiment, point: Point, outcome: Outcome, folder: Path) -> None:
    name = wording.task(experiment.name, (point.run.number, point.repetition))
    state, metrics = outcome.state, outcome.metrics or {}
    off = "" if point.on_grid else ", off the grid"
    ended = terminal.styled(state, fg=terminal.STYLES.get(state))
    terminal.say(f"{name}: {ended} after {wording.took(outcome.wall_seconds or 0.0)}{off}.")
    breadth = max(map(len, metrics), default=0)
    for metric, value in metrics.items():
        terminal.say(f"  {metric:<{breadth}}  {value:.6g}")
    if outcome.error:
        terminal.say(f"  {' '.join(str(outcome.error.message).split())[:300]}")
    terminal.say(f"Files: {wording.short_path(folder)}")
    if outcome.scratch:
        terminal.note(
            "The task was done already, so that this attempt does not count; with --rerun, it does."
        )
        terminal.hint("repeat the command with --rerun to make it count", command("results", experiment.name))
    elif state == "done":
        terminal.hint(command("results", experiment.name))
    elif state == "stopped":
        terminal.hint("repeat the command to go on from the last checkpoint")
    else:
        terminal.hint(command("run", name, pdb=True) if point.on_grid else "add --pdb to look into it")


@contextlib.contextmanager
def _stdout_on_stderr() -> Iterator[None]:
    """Whatever the task prints goes to stderr, so that stdout holds the JSON alone."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
