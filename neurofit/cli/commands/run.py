"""`neurofit run`: one task here and now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from neurofit import environment
from neurofit.cli import foreground, options

if TYPE_CHECKING:
    from neurofit.experiments.selector import Range, Selection


@click.command()
@options.selector(metavar="EXPERIMENT[:RUN[/REPETITION]]")
@click.option(
    "--set", "changes", multiple=True, metavar="NAME=VALUE", help="Change an argument; may be repeated."
)
@click.option("--rerun", is_flag=True, help="Make the attempt count although the task is done.")
@click.option("--pdb", "debug", is_flag=True, help="Open the debugger where the fit raises.")
@options.dry_run
@options.as_json
def command(
    selector: str, changes: tuple[str, ...], rerun: bool, debug: bool, dry_run: bool, as_json: bool
) -> int:
    """Do one task in the foreground, the first run's repetition 0 unless told otherwise.

    It leaves the files that a queued task leaves. With --set, it may be a point off the grid, and is marked
    as such.
    An attempt at a task that is done never counts, unless --rerun is given:  neurofit run exp3:17/3 --rerun
    """
    from neurofit.experiments.selector import parse
    from neurofit.orchestrate.plan import load

    if not dry_run:
        environment.enter()
    study, selection = options.here(), parse(selector)
    experiment = load(study, selection.experiment)
    number = _single(selector, selection, selection.runs)
    repetition = _single(selector, selection, selection.repetitions) or 0
    texts = foreground.pairs(changes)
    how = {"debug": debug, "rerun": rerun, "dry_run": dry_run, "as_json": as_json}
    return foreground.do(study, experiment, texts, number, repetition, **how)


def _single(selector: str, selection: Selection, ranges: tuple[Range, ...] | None) -> int | None:
    if ranges is None:
        return None
    if len(ranges) > 1 or ranges[0].first is None or ranges[0].first != ranges[0].last:
        raise click.UsageError(
            f"'{selector}' means several tasks; `run` does one: {selection.experiment}:17/3. `submit` does "
            "them all."
        )
    return ranges[0].first
