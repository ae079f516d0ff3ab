"""`neurofit export`: write results for another tracker of experiments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neurofit.cli import options, terminal, wording
from neurofit.cli.selecting import select

if TYPE_CHECKING:
    from neurofit.store.state import State

FORMATS = ("tensorboard-hparams", "mlflow", "wandb")


@click.command(
    epilog=options.examples(
        "neurofit export exp3 --to tensorboard-hparams -o exp3-logs",
        "neurofit export exp3 exp4 --to mlflow -o store",
        "neurofit export exp3:best --to wandb -o runs --replace",
    )
)
@options.selector("selectors", many=True, metavar="SELECTOR...")
@click.option(
    "--to",
    "kind",
    type=click.Choice(FORMATS),
    required=True,
    help="Write what this program reads.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FOLDER",
    help="Write to FOLDER, a new one.",
)
@options.states
@options.where
@options.best_by("--best-by")
@click.option("--replace", is_flag=True, help="Replace an earlier export in FOLDER.")
@options.as_json
def command(
    selectors: Sequence[str],
    kind: str,
    output: Path,
    states: Sequence[State],
    where: str | None,
    best_by: str | None,
    replace: bool,
    as_json: bool,
) -> None:
    """Write results for another tracker of experiments into a folder.

    Each task that ran has its arguments, metrics, curves, facts, state and code. Nothing is sent anywhere. The script
    is not loaded.
    """
    from neurofit.exports import place
    from neurofit.exports.formats import export, require
    from neurofit.exports.records import TaskRecord, read_tasks
    from neurofit.features.progress import progress

    study = options.here()
    require(kind)
    place.check(output, study, replace=replace)
    tasks: dict[tuple[str, int, int], TaskRecord] = {}
    not_run, problems = 0, []
    for selector in selectors:
        query, status = select(study, selector, states, where, best_by)
        found, missing = read_tasks(query, status)
        tasks |= {(one.experiment, one.run, one.repetition): one for one in found}
        not_run += missing
        problems += status.problems
    for problem in dict.fromkeys(problems):
        terminal.problem(problem)
    replaced = output.exists() and any(output.iterdir())
    with progress("Exporting", len(tasks), "tasks") as report:
        how_to_open = export(kind, list(tasks.values()), output, report)
    counts = {"tasks": len(tasks), "not_run": not_run}
    if as_json:
        terminal.as_json(
            {"folder": str(output), "to": kind, **counts, "replaced": replaced, "open": how_to_open}
        )
        return
    terminal.say(f"Saved {output}: {wording.count(len(tasks), 'task')}.")
    if not_run:
        terminal.note(
            f"{wording.count(not_run, 'task')} that did not start {'are' if not_run > 1 else 'is'} left out."
        )
    terminal.hint(how_to_open)
