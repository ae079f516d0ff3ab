"""`neurofit pack`: put the small files of finished runs into one archive per run."""

from __future__ import annotations

from collections.abc import Sequence

import click

from neurofit.cli import options, packing


@click.command(
    epilog=options.examples(
        "neurofit pack exp3 --dry-run", "neurofit pack exp3 --yes", "neurofit pack exp3:0-99 exp4 --yes"
    )
)
@options.selector("selectors", many=True, metavar="SELECTOR...")
@options.dry_run
@options.yes
@options.as_json
def command(selectors: Sequence[str], dry_run: bool, yes: bool, as_json: bool) -> int | None:
    """Put the small files of finished runs into one archive per run.

    File systems of clusters limit the number of files. Of each attempt, claim.json and outcome.json stay in their
    folder, and so do files over 10 MB. All commands read packed files as before; `neurofit unpack` restores them.
    Runs with a task that is queued, running, stopped or lost are left as they are. The command asks before it
    changes anything.
    """
    from neurofit.orchestrate.pack import pack

    words = packing.Words("pack", "packed", "Packing", "Pack them?", "there is nothing to pack.")
    return packing.run(words, pack, selectors, dry_run=dry_run, yes=yes, as_json=as_json)
