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
from neurofit.cli.entry import INTERRUPTED
from neurofit.cli.following import SOME_FAILED
from neurofit.text import command

if TYPE_CHECKING:
    from neurofit.experiments.experiment import Experiment
    from neurofit.orchestrate.foreground import Point
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
    from neurofit.store.registry import read_registry

    registry = read_registry(ExperimentFiles(study, experiment.name).registry)
    point = foreground.point(experiment, registry, settings(experiment, changes), number, repetition)
    _introduce(experiment, point)
    if dry_run:
        terminal.note("Nothing was done.")
        return 0
    with _stdout_on_stderr() if as_json else contextlib.nullcontext():
        attempt, outcome = foreground.run(study, experiment, point, debug=debug, rerun=rerun)
    if as_json:
        terminal.as_json({**outcome, "folder": str(attempt.folder)})
    else:
        _say(experiment, point, outcome, attempt.folder)
    return _exit_code(outcome)


def _exit_code(outcome: Mapping[str, Any]) -> int:
    """Of a command that did this; where a signal stopped the task, as if it had ended the command."""
    if outcome["state"] == "done":
        return 0
    reason = outcome.get("reason") or {}
    if outcome["state"] == "stopped" and reason.get("kind", "signal") == "signal":
        return 128 + signal.SIGTERM if "SIGTERM" in reason.get("message", "") else INTERRUPTED
    return SOME_FAILED


def _introduce(experiment: Experiment, point: Point) -> None:
    from neurofit.experiments.grid.params import short

    if experiment.hint:
        terminal.note(experiment.hint)
    arguments = " ".join(f"{name}={short(value)}" for name, value in point.run.arguments.items())
    off = "" if point.on_grid else " (off the grid)"
    terminal.note(f"{wording.task(experiment.name, (point.run.number, point.repetition))}{off}  {arguments}")


def _say(experiment: Experiment, point: Point, outcome: dict[str, Any], folder: Path) -> None:
    name = wording.task(experiment.name, (point.run.number, point.repetition))
    state, metrics = outcome["state"], outcome.get("metrics") or {}
    off = "" if point.on_grid else ", off the grid"
    ended = terminal.styled(state, fg=terminal.STYLES.get(state))
    terminal.say(f"{name}: {ended} after {wording.took(outcome['wall_seconds'])}{off}.")
    breadth = max(map(len, metrics), default=0)
    for metric, value in metrics.items():
        terminal.say(f"  {metric:<{breadth}}  {value:.6g}")
    if outcome.get("error"):
        terminal.say(f"  {' '.join(str(outcome['error'].get('message')).split())[:300]}")
    terminal.say(f"Files: {wording.short_path(folder)}")
    if outcome.get("scratch"):
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
