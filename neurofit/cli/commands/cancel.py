"""`neurofit cancel`: end what is queued or running."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from neurofit.cli import options, terminal, wording
from neurofit.cli.wording import next_command


@click.command()
@options.selector()
@options.states
@options.where
@options.dry_run
@options.yes
@options.as_json
def command(
    selector: str, states: Sequence[Any], where: str | None, dry_run: bool, yes: bool, as_json: bool
) -> int | None:
    """End tasks that are queued or running.

    What they had reached is kept: `submit --retry` goes on from there.
    """
    from neurofit.orchestrate.cancel import cancel, ending
    from neurofit.status.experiment_status import read_status
    from neurofit.store.state import State
    from neurofit.tables.query import parse_query

    study = options.here()
    query = parse_query(study, selector, states, where)
    status = read_status(study, query.name)
    doomed = ending(status, query.keys(status))
    tasks = [key for one in doomed for key in one.tasks]
    running = sum(status.of(key).state is State.RUNNING for key in tasks)
    what = wording.counted({"queued": len(tasks) - running, "running": running})
    if not as_json:
        terminal.say(f"{query.name}: {what}{', to be ended.' if tasks else ' is queued or running.'}")
    if running and not (dry_run or yes) and terminal.is_asked() and not terminal.confirmed("End them?"):
        terminal.say("Nothing was cancelled.")
        return 1
    number = 0 if dry_run else cancel(study, doomed)
    if as_json:
        names = [{"run": run, "repetition": repetition} for run, repetition in tasks]
        terminal.as_json({"experiment": query.name, "tasks": names, "running": running, "cancelled": number})
    elif number:
        terminal.say(f"Cancelled {wording.count(number, 'task')}; those running save a checkpoint first.")
    again = next_command("submit", selector, backend=status.runner_of(tasks), retry=True)
    terminal.hint(next_command("status", selector), *([again] if number else []))
    return None
