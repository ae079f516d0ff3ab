"""`neurofit status`: how experiments stand, from their files and their queues; scripts are never loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from neurofit.cli import options, terminal, wording

if TYPE_CHECKING:
    from neurofit.orchestrate.choice import Choice

HEADERS = ["experiment", "new", "queued", "running", "stopped", "done", "failed", "lost", "cancelled", "total"]


@click.command()
@options.selector("selectors", many=True, metavar="[SELECTOR]…", required=False)
@options.states
@options.where
@click.option("--watch", is_flag=True, help="Look again and again, until nothing is queued or running.")
@click.option("--wait", "wait_seconds", type=click.FloatRange(min=0), metavar="SECONDS",
              help="Wait until nothing is queued or running; exit code 4 if it takes longer.")  # fmt: skip
@options.as_json
def command(selectors: Sequence[str], states: Sequence[Any], where: str | None, watch: bool, wait_seconds: float | None, as_json: bool) -> int:
    """How experiments stand: all of them, or those named; `exp3:17` and `--state failed` list tasks.

    Exit code 3 where tasks failed or were lost, 4 where --wait was over too soon, 5 where a queue could not be asked.
    """
    from neurofit.cli import watching
    from neurofit.experiments.store.layout import experiments_with_files
    from neurofit.orchestrate.choice import choose

    study = options.here()
    chosen = [choose(study, one, states, where) for one in selectors or experiments_with_files(study)]
    if watch or wait_seconds is not None:
        watching.until_over(study, chosen, wait_seconds, quiet=as_json or not watch)
    found = [(choice, *watching.looked_at(study, choice)) for choice in chosen]
    if as_json:
        terminal.as_json(_record(found))
    else:
        _say(found)
    return watching.exit_code([look for _, look, _ in found], waited=wait_seconds is not None)
