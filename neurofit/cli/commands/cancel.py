"""`neurofit cancel`: cancel queued and running tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from neurofit.cli import options, terminal, wording
from neurofit.cli.selecting import select
from neurofit.cli.wording import next_command

if TYPE_CHECKING:
    from neurofit.store.state import State


@click.command(
    epilog=options.examples(
        "neurofit cancel exp3",
        "neurofit cancel exp3:17/3",
        "neurofit cancel exp3 --state queued --dry-run",
    )
)
@options.selector()
@options.states
@options.where
@options.best_by("--by", "--best-by")
@options.dry_run
@options.yes
@options.as_json
def command(
    selector: str,
    states: Sequence[State],
    where: str | None,
    best_by: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int | None:
    """Cancel the queued and running tasks that SELECTOR names.

    Running tasks save a checkpoint first, and `neurofit submit --retry` continues from it.
    """
    from neurofit.orchestrate.cancel import cancel, ending
    from neurofit.store.state import State

    study = options.here()
    query, status = select(study, selector, states, where, best_by)
    doomed = ending(status, query.keys(status))
    tasks = [key for one in doomed for key in one.tasks]
    running = sum(status.of(key).state is State.RUNNING for key in tasks)
    if not as_json:
        terminal.say(f"{query.name}: {_announcement(len(tasks) - running, running, dry_run=dry_run)}")
    if (
        running
        and not (dry_run or yes)
        and terminal.is_interactive()
        and not terminal.confirmed("Cancel them?")
    ):
        terminal.say("Nothing was cancelled.")
        return 1
    cancelled = 0 if dry_run else cancel(study, doomed)
    if as_json:
        names = [{"run": run, "repetition": repetition} for run, repetition in tasks]
        terminal.as_json(
            {"experiment": query.name, "tasks": names, "running": running, "cancelled": cancelled}
        )
    elif cancelled:
        terminal.say(
            f"Cancelled {wording.count(cancelled, 'task')}. Running tasks save a checkpoint before they end."
        )
    if cancelled and any(one.submission.record.notify for one in doomed):
        from neurofit.cli import progress
        from neurofit.status.experiment_status import read_status

        progress.tell([read_status(study, query.name)])
    again = next_command("submit", selector, backend=status.runner_of(tasks), retry=True)
    terminal.hint(next_command("status", selector), *([again] if cancelled else []))
    return None


def _announcement(queued: int, running: int, *, dry_run: bool) -> str:
    """'1 queued and 2 running tasks will be cancelled.'"""
    numbers = [
        f"{number:,} {state}" for number, state in ((queued, "queued"), (running, "running")) if number
    ]
    if not numbers:
        return "no selected task is queued or running."
    noun = "task" if queued + running == 1 else "tasks"
    return f"{' and '.join(numbers)} {noun} {'would' if dry_run else 'will'} be cancelled."
