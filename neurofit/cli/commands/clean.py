"""`neurofit clean`: remove files that no result needs."""

from __future__ import annotations

import click

from neurofit.cli import options, terminal, wording


@click.command(
    epilog=options.examples(
        "neurofit clean --dry-run", "neurofit clean --attempts --yes", "neurofit clean --features"
    )
)
@click.option(
    "--attempts", is_flag=True, help="Also remove attempts, with their logs, that newer ones replaced."
)
@click.option(
    "--features",
    is_flag=True,
    help="Also remove the features of networks, unless a queued or running task may use them.",
)
@options.dry_run
@options.yes
@options.as_json
def command(attempts: bool, features: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove files that no result needs.

    These are the leftovers of interrupted writes, the checkpoints of tasks that are done, and copies of code
    that no submission uses. The command lists them, and asks before it removes anything. It leaves
    experiments alone while they have queued or running tasks.
    """
    from neurofit.orchestrate.clean import remove, survey

    study = options.here()
    found = survey(study, attempts=attempts, features=features)
    rows = [[one.kind, one.experiment, len(one.paths), wording.size(one.size_bytes)] for one in found.waste]
    if not as_json:
        if rows:
            terminal.table(["what", "experiment", "number", "size"], rows)
        else:
            terminal.say("There is nothing to remove.")
        for line in found.left_alone:
            terminal.note(line)
    removes = (
        bool(rows)
        and not dry_run
        and (yes or (terminal.is_interactive() and terminal.confirmed("Remove all of it?")))
    )
    removed = remove(study, found.waste) if removes else 0
    if as_json:
        waste = [
            {
                "kind": one.kind,
                "experiment": one.experiment,
                "paths": [str(path) for path in one.paths],
                "bytes": one.size_bytes,
            }
            for one in found.waste
        ]
        terminal.as_json({"waste": waste, "left_alone": found.left_alone, "removed": removed})
    elif removed:
        terminal.say(f"Removed {removed:,} files and folders.")
    elif rows:
        terminal.say("Nothing was removed.")
    terminal.hint("neurofit clean --yes" if rows and not removed else "neurofit status")
