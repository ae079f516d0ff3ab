"""`neurofit unpack`: restore the files of packed runs."""

from __future__ import annotations

from collections.abc import Sequence

import click

from neurofit.cli import options, packing


@click.command(
    epilog=options.examples("neurofit unpack exp3 --dry-run", "neurofit unpack exp3:17 exp3:20-29 --yes")
)
@options.selector("selectors", many=True, metavar="SELECTOR...")
@options.dry_run
@options.yes
@options.as_json
def command(selectors: Sequence[str], dry_run: bool, yes: bool, as_json: bool) -> int | None:
    """Restore the files of packed runs: the same bytes, times and permissions.

    A file that is in its folder already stays as it is. Programs that read files under training_data/ themselves
    need them there. The command asks before it changes anything.
    """
    from neurofit.orchestrate.pack import unpack

    words = packing.Words("unpack", "unpacked", "Unpacking", "Unpack them?", "nothing of it is packed.")
    return packing.run(words, unpack, selectors, dry_run=dry_run, yes=yes, as_json=as_json)
