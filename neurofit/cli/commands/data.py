"""`neurofit data`: the recordings under data/."""

from __future__ import annotations

from pathlib import Path

import click

from neurofit.cli import options, terminal, wording
from neurofit.text import command as suggested


@click.group(invoke_without_command=True)
@options.as_json
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """The data sets that neurofit can read, and which of them are under data/."""
    if ctx.invoked_subcommand is not None:
        return
    from neurofit.datasets import known

    records = known(options.here().data)
    if as_json:
        terminal.as_json({"data": [vars(one) for one in records]})
        return
    rows = [
        [one.name, _there(one), wording.size(one.size_bytes) if one.size_bytes else "", one.description]
        for one in records
    ]
    terminal.table(["data set", "there", "size", "what it is"], rows, styles=["bold", "", "", "dim"])
    absent = [one.name for one in records if one.missing]
    terminal.hint(suggested("data add", absent[0], "PATH") if absent else "neurofit list")


def _there(one) -> str:
    if not one.missing:
        return "all"
    return f"{len(one.present)} recording(s), {len(one.missing)} file(s) missing" if one.present else "no"


@command.command()
@click.argument("kind")
@click.argument("path", type=click.Path(path_type=Path))
@options.dry_run
@options.as_json
def add(kind: str, path: Path, dry_run: bool, as_json: bool) -> None:
    """Put recordings of a KIND under data/: from a folder, a tar archive, or one file.

    Each is checked first.
    """
    from neurofit import datasets

    study = options.here()
    new = datasets.add(kind, path, study.data, dry_run=dry_run)
    if as_json:
        terminal.as_json({"kind": kind, "added": [str(one) for one in new], "dry_run": dry_run})
        return
    for one in new:
        terminal.say(wording.short_path(one))
    verb = "would be added" if dry_run else "added"
    terminal.say(f"{wording.count(len(new), 'file')} {verb}." if new else "All of it is there already.")
    terminal.hint("neurofit data")
