"""`neurofit choose`: choose which attempt of a task counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from neurofit.cli import options, terminal, wording
from neurofit.cli.selecting import select
from neurofit.text import command as suggested

if TYPE_CHECKING:
    from neurofit.orchestrate.attempts import Attempt


@click.command(epilog=options.examples("neurofit choose exp3:17/3", "neurofit choose exp3:17/3 --attempt 2"))
@options.selector(metavar="EXPERIMENT:RUN/REPETITION")
@click.option(
    "--attempt",
    type=click.IntRange(min=1),
    metavar="NUMBER",
    help="Make this attempt count; it must be done.",
)
@click.option("--newest", is_flag=True, help="Undo a choice: make the newest attempt that is done count.")
@options.best_by("--by", "--best-by")
@options.dry_run
@options.as_json
def command(
    selector: str, attempt: int | None, newest: bool, best_by: str | None, dry_run: bool, as_json: bool
) -> None:
    """Choose which attempt of a task counts, or list its attempts.

    Without a choice, the newest attempt that is done counts, even if a later one failed. An attempt that you
    choose counts until another attempt of the task is done.
    """
    from neurofit.experiments.selector import naming_all
    from neurofit.orchestrate.attempts import attempts_at, choose
    from neurofit.status.experiment_status import read_status

    if attempt is not None and newest:
        raise click.UsageError("--attempt NUMBER and --newest exclude each other: give one of them.")
    study = options.here()
    query, status = select(study, selector, best_by=best_by)
    keys = query.keys(status)
    if len(keys) != 1:
        raise click.UsageError(
            f"'{selector}' selects {len(keys)} tasks; expected a single one, for example "
            f"{suggested('choose', f'{query.name}:17/3')}"
        )
    name = wording.task(query.name, keys[0])
    if attempt is not None or newest:
        counts = choose(status, keys[0], attempt, dry_run=dry_run)
        if not as_json:
            terminal.say(f"{name}: attempt {counts} {'would count' if dry_run else 'counts'}.")
        status = read_status(study, query.name)
    attempts = attempts_at(status, keys[0])
    if as_json:
        terminal.as_json({"task": name, "attempts": [one.record() for one in attempts]})
        return
    if attempt is None and not newest:
        _print_attempts(name, attempts)
    terminal.problems_of(status)
    terminal.hint(suggested("results", naming_all(query.name)))


def _print_attempts(name: str, attempts: list[Attempt]) -> None:
    if not attempts:
        terminal.say(f"{name} has no attempts yet.")
        return
    rows = [
        [one.attempt, one.state, "yes" if one.counts else None, one.ended, _metrics(one)] for one in attempts
    ]
    terminal.table(["attempt", "state", "counts", "ended", "metrics"], rows, styles=["bold", "state"])


def _metrics(attempt: Attempt, most: int = 3) -> str | None:
    shown = [f"{name} {value:.6g}" for name, value in (attempt.metrics or {}).items()]
    return ", ".join(shown[:most] + ["…"] * (len(shown) > most)) or None
