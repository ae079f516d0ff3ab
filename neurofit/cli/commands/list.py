"""`neurofit list`: list the experiments of a study."""

from __future__ import annotations

from typing import Any

import click

from neurofit.cli import options, terminal
from neurofit.text import command as suggested


@click.command(name="list", epilog=options.examples("neurofit list"))
@options.as_json
def command(as_json: bool) -> int | None:
    """List the experiments of this study, and how many of their tasks are done."""
    from neurofit.experiments.scripts import discover
    from neurofit.experiments.selector import naming_all
    from neurofit.orchestrate.overview import of_script

    study = options.here()
    records = [of_script(study, entry) for entry in discover(study)]
    if as_json:
        terminal.as_json({"experiments": records})
        return None
    if not records:
        terminal.say(f"There are no scripts in {study.jobs}.")
        terminal.hint("neurofit init")
        return None
    terminal.table(
        ["experiment", "runs", "repetitions", "done", "title"],
        [[r["name"], r["runs"], r["repetitions"], _done(r), r["title"]] for r in records],
        styles=["bold", None, None, None, "dim"],
    )
    for record in records:
        for text in filter(None, (record["error"], record["hint"])):
            terminal.problem(text)
    for record in records:
        if record["outdated"]:
            terminal.note(f"{record['name']}: {record['outdated']}")
    loadable = naming_all(next((record["name"] for record in records if not record["error"]), "EXPERIMENT"))
    terminal.hint(suggested("show", loadable), suggested("submit", loadable, dry_run=True))
    return None


def _done(record: dict[str, Any]) -> str:
    return "does not load" if record["error"] else f"{record['done']:,}/{record['total']:,}"
