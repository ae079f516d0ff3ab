"""`neurofit run`: run one task in the foreground."""

from __future__ import annotations

import click

from neurofit import environment
from neurofit.cli import foreground, options
from neurofit.cli.selecting import of_script, single


@click.command(
    epilog=options.examples(
        "neurofit run exp3",
        "neurofit run exp3:17/3 --rerun",
        "neurofit run exp3 --set filters=16 --pdb",
        "neurofit run exp3:best --set epochs=5",
    )
)
@options.selector(metavar="EXPERIMENT[:RUN[/REPETITION]]")
@click.option(
    "--set", "changes", multiple=True, metavar="NAME=VALUE", help="Set an argument of the fit (repeatable)."
)
@options.best_by("--by", "--best-by")
@click.option("--rerun", is_flag=True, help="Make the attempt count even if the task is done.")
@click.option("--pdb", "debug", is_flag=True, help="Open the debugger where the fit raises an exception.")
@options.dry_run
@options.as_json
def command(
    selector: str,
    changes: tuple[str, ...],
    best_by: str | None,
    rerun: bool,
    debug: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Run one task in the foreground, by default repetition 0 of the first run.

    The task leaves the same files as a queued one. With --set it may be off the grid, and is marked so. If the
    task is already done, the new attempt counts only with --rerun.
    """
    from neurofit.experiments.selector import parse
    from neurofit.orchestrate.plan import load

    if not dry_run:
        environment.enter()
    study, selection = options.here(), parse(selector)
    experiment = load(study, selection.experiment)
    selection = of_script(study, experiment, selection, best_by)
    number = single(selector, selection, selection.runs)
    repetition = single(selector, selection, selection.repetitions) or 0
    texts = foreground.pairs(changes)
    how = {"debug": debug, "rerun": rerun, "dry_run": dry_run, "as_json": as_json}
    return foreground.run_task(study, experiment, texts, number, repetition, **how)
