"""`neurofit clean`: remove what no result needs."""

from __future__ import annotations

import click

from neurofit.cli import options, terminal, wording


@click.command()
@click.option("--attempts", is_flag=True, help="Also attempts, with their logs, that a newer one replaced.")
@options.dry_run
@options.yes
@options.as_json
def command(attempts: bool, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove what no result needs: leftovers of interrupted writes, checkpoints of tasks that are done,
    copies of code that no submission uses.

    It lists first. What belongs to an experiment with anything queued or running is left alone.
    """
    from neurofit.orchestrate.clean import remove, survey

    study = options.here()
    found = survey(study, attempts=attempts)
    rows = [[one.kind, one.experiment, len(one.paths), wording.size(one.size_bytes)] for one in found.waste]
    if not as_json:
        terminal.table(["what", "experiment", "number", "size"], rows) if rows else terminal.say(
            "There is nothing to remove."
        )
        for line in found.left_alone:
            terminal.note(line)
    goes = (
        bool(rows)
        and not dry_run
        and (yes or (terminal.is_asked() and terminal.confirmed("Remove all this?")))
    )
    removed = remove(study, found.waste) if goes else 0
    if as_json:
        waste = [
            {
                "kind": w.kind,
                "experiment": w.experiment,
                "paths": list(map(str, w.paths)),
                "bytes": w.size_bytes,
            }
            for w in found.waste
        ]
        terminal.as_json({"waste": waste, "left_alone": found.left_alone, "removed": removed})
    elif removed:
        terminal.say(f"Removed {wording.count(removed, 'file or folder').replace('folders', 'folder(s)')}.")
    elif rows:
        terminal.say("Nothing was removed.")
    terminal.hint("neurofit clean --yes" if rows and not removed else "neurofit status")
