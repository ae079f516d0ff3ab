"""`neurofit data`: list the data sets under data/, or add recordings to them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from neurofit.cli import options, terminal, wording
from neurofit.text import command as suggested

if TYPE_CHECKING:
    from neurofit.datasets.catalogue import Known


@click.group(
    invoke_without_command=True,
    epilog=options.examples("neurofit data", "neurofit data add macaque_v1 ~/Downloads/recordings.tar.gz"),
)
@options.as_json
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List the data sets that neurofit can read, and which of their files are under data/.

    `neurofit data add` adds recordings.
    """
    if ctx.invoked_subcommand is not None:
        return
    from neurofit.datasets import known

    records = known(options.here().data)
    if as_json:
        terminal.as_json({"data": [vars(one) for one in records]})
        return
    rows = [
        [one.name, _presence(one), wording.size(one.size_bytes) if one.size_bytes else "", one.description]
        for one in records
    ]
    terminal.table(["data set", "present", "size", "description"], rows, styles=["bold", "", "", "dim"])
    absent = [one.name for one in records if one.missing]
    terminal.hint(suggested("data add", absent[0], "PATH") if absent else "neurofit list")


def _presence(one: Known) -> str:
    if not one.missing:
        return "all"
    present = wording.count(len(one.present), "recording")
    return f"{present}, {wording.count(len(one.missing), 'file')} missing" if one.present else "no"


@command.command(
    epilog=options.examples(
        "neurofit data add macaque_v1 ~/Downloads/recordings.tar.gz --dry-run",
        "neurofit data add macaque_v1 ~/Downloads/recordings.tar.gz",
    )
)
@click.argument("kind")
@click.argument("path", type=click.Path(path_type=Path))
@options.dry_run
@options.as_json
def add(kind: str, path: Path, dry_run: bool, as_json: bool) -> None:
    """Add recordings to the data set KIND under data/.

    PATH is a folder, a tar archive or a single file. Each recording is checked before it is added. `neurofit
    data` lists the kinds.
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
    terminal.say(f"{wording.count(len(new), 'file')} {verb}." if new else "All files are present already.")
    terminal.hint("neurofit data")
