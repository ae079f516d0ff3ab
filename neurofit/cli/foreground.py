"""One task in this process: what `neurofit run` and `python jobs/exp3.py` do and print."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurofit import exit_codes
from neurofit.cli import terminal, wording
from neurofit.errors import ProgramError
from neurofit.text import command

if TYPE_CHECKING:
    from neurofit.experiments.experiment import Experiment
    from neurofit.orchestrate.foreground import Point
    from neurofit.store.records import Outcome
    from neurofit.study import Study


def pairs(words: tuple[str, ...]) -> dict[str, str]:
    """{'filters': '16'} for --set filters=16."""
    for word in words:
        if "=" not in word:
            raise click.UsageError(f"--set '{word}': expected NAME=VALUE, for example --set filters=16.")
    given: dict[str, str] = {}
    for name, text in (word.split("=", 1) for word in words):
        if given.get(name, text) != text:
            raise click.UsageError(
                f"--set {name}={given[name]} and --set {name}={text}: give one of the two."
            )
        given[name] = text
    return given


def run_task(
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
    """Run one task in this process and print its outcome.

    Parameters
    ----------
    study : Study
    experiment : Experiment
    changes : mapping of str to str
        Arguments that differ from the run's, as on the command line.
    number : int or None
        The run; None for the first.
    repetition : int
    debug : bool, optional
        Open the debugger where the fit raises an exception.
    rerun : bool, optional
        Make the attempt count even if the task is done.
    dry_run : bool, optional
        Only print which task it is.
    as_json : bool, optional
        Print the outcome as JSON; the output of the task goes to stderr.

    Returns
    -------
    int
        The exit code of the command.
    """
    from neurofit.orchestrate import foreground
    from neurofit.store.layout import ExperimentFiles
    from neurofit.store.records import Outcome
    from neurofit.store.registry import read_registry
    from neurofit.structure import structured

    files = ExperimentFiles(study, experiment.name)
    registry = read_registry(files.registry)
    given = parsed(experiment, changes)
    point = foreground.point(experiment, registry, given, number, repetition, files)
    print_task(experiment, point)
    if repetition >= experiment.repetitions and (sentence := _beyond(study, experiment, repetition)):
        terminal.note(sentence)
    if dry_run:
        terminal.note("Nothing was run.")
        return exit_codes.OK
    with stdout_to_stderr() if as_json else contextlib.nullcontext():
        attempt, written = foreground.run(
            study, experiment, point, debug=debug, rerun=rerun, live=terminal.shows_progress()
        )
    outcome = structured(written, Outcome, attempt.outcome)
    if as_json:
        terminal.as_json({**written, "folder": str(attempt.folder)})
    else:
        _print_outcome(experiment, point, outcome, attempt.folder)
    return exit_code(outcome)


def _beyond(study: Study, experiment: Experiment, repetition: int) -> str:
    """A sentence about a repetition that none of the experiment's runs was to have; empty if they have it."""
    from neurofit.status.experiment_status import read_status

    status = read_status(study, experiment.name)
    number = max(experiment.repetitions, status.repetitions)
    if repetition < number or any(repetition == other for _, other in status.tasks):
        return ""
    have = f"repetitions 0 to {number - 1}" if number > 1 else "repetition 0 alone"
    return (
        f"The runs of {experiment.name} have {have}: repetition {repetition} is one more, which results include. "
        f"`{command('submit', experiment.name, repetitions=repetition + 1)}` queues all up to it."
    )


def parsed(experiment: Experiment, texts: Mapping[str, str]) -> dict[str, Any]:
    """The values of arguments that are given as text."""
    from neurofit.experiments.experiment import REQUIRED
    from neurofit.experiments.grid.params import parse

    defaults = {
        name: None if default is REQUIRED else default for name, default in experiment.arguments().items()
    }
    return {name: parse(text, defaults.get(name), f"'{name}'") for name, text in texts.items()}


def exit_code(outcome: Outcome) -> int:
    """The exit code for an outcome; if a signal stopped the task, as if it had ended the command."""
    if outcome.state == "done":
        return exit_codes.OK
    if outcome.error is not None and outcome.error.type == KeyboardInterrupt.__name__:
        return exit_codes.INTERRUPTED
    reason = outcome.reason
    if outcome.state == "stopped" and (reason is None or reason.kind == "signal"):  # 0.1.0 wrote no reason
        is_terminated = reason is not None and "SIGTERM" in (reason.message or "")
        return exit_codes.SIGNAL + signal.SIGTERM if is_terminated else exit_codes.INTERRUPTED
    return exit_codes.TASKS_FAILED


def print_task(experiment: Experiment, point: Point) -> None:
    """Say which task it is, with its arguments."""
    from neurofit.experiments.grid.params import short

    if experiment.hint:
        terminal.note(experiment.hint)
    arguments = " ".join(f"{name}={short(value)}" for name, value in point.run.arguments.items())
    off = "" if point.on_grid else " (off the grid)"
    terminal.note(f"{_name(experiment, point)}{off}  {arguments}")


def _print_outcome(experiment: Experiment, point: Point, outcome: Outcome, folder: Path) -> None:
    name = _name(experiment, point)
    state, metrics = outcome.state, outcome.metrics or {}
    off = "" if point.on_grid else ", off the grid"
    styled = terminal.styled(state, fg=terminal.STYLES.get(state))
    terminal.say(f"{name}: {styled} after {wording.duration(outcome.wall_seconds or 0.0)}{off}.")
    breadth = max(map(len, metrics), default=0)
    for metric, value in metrics.items():
        terminal.say(f"  {metric:<{breadth}}  {value:.6g}")
    if outcome.error:
        terminal.say(f"  {' '.join(str(outcome.error.message).split())[:300]}")
    terminal.say(f"Files: {wording.short_path(folder)}")
    if outcome.scratch:
        terminal.note("The task was already done, so this attempt does not count.")
        terminal.hint("repeat the command with --rerun to make it count", command("results", experiment.name))
    elif state == "done":
        terminal.hint(command("results", experiment.name))
    elif state == "stopped":
        terminal.hint("repeat the command to continue from the last checkpoint")
    elif outcome.error is not None and outcome.error.type == ProgramError.__name__:
        terminal.hint("correct the program or its command, and repeat this command")
    else:
        terminal.hint(command("run", name, pdb=True) if point.on_grid else "add --pdb to open the debugger")


def _name(experiment: Experiment, point: Point) -> str:
    assert point.run.number is not None  # a point has the number of its run, on the grid or off it
    return wording.task(experiment.name, (point.run.number, point.repetition))


@contextlib.contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Send everything that the task prints to stderr, so that stdout has only the JSON."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
