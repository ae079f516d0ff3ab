"""`neurofit list`: the study's experiment scripts."""

from __future__ import annotations

import click

from neurofit.cli import options, terminal
from neurofit.text import command as suggested


@click.command(name="list")
@options.as_json
def command(as_json: bool) -> int | None:
    """The experiments of this study, and how much of each is done."""
    from neurofit.experiments.scripts import discover
    from neurofit.experiments.selector import naming_all
    from neurofit.orchestrate.overview import of_script

    study = options.here()
    records = [of_script(study, entry) for entry in discover(study)]
    if as_json:
        terminal.as_json({"experiments": records})
        return None
    if not records:
        terminal.say(f"No scripts in {study.jobs}.")
        terminal.hint("neurofit init")
        return None
    terminal.table(
        ["experiment", "runs", "reps", "done", "what it asks"],
        [[r["name"], r["runs"], r["repetitions"], _done(r), r["title"]] for r in records],
        styles=["bold", None, None, None, "dim"],
    )
    for record in records:
        for text in filter(None, (record["error"], record["hint"])):
            terminal.problem(text)
    for record in records:
        if record["outdated"]:
            terminal.note(f"{record['name']}: {record['outdated']}")
    works = next((record["name"] for record in records if not record["error"]), "EXPERIMENT")
    works = naming_all(works)
    terminal.hint(suggested("show", works), suggested("submit", works, dry_run=True))
    return None


def _done(record: dict) -> str:
    return "cannot be loaded" if record["error"] else f"{record['done']:,}/{record['total']:,}"
