"""`neurofit init`: a study to start from."""

from __future__ import annotations

from pathlib import Path

import click

from neurofit.cli import options, terminal, wording


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=".", metavar="[FOLDER]")
@options.dry_run
@options.as_json
def command(folder: Path, dry_run: bool, as_json: bool) -> None:
    """Make FOLDER a study (the current one without): jobs/, runners/, data/, training_data/ and an example.

    Nothing that exists is changed.
    """
    from neurofit import study

    made = study.missing(folder) if dry_run else study.create(folder)
    if as_json:
        terminal.as_json({"made": [str(path) for path in made], "dry_run": dry_run})
        return
    for path in made:
        terminal.say(wording.short_path(path))
    if not made:
        terminal.say(f"{wording.short_path(folder)} has everything that a study needs.")
    elsewhere = [] if folder.resolve() == Path.cwd() else [f"cd {wording.quoted(folder)}"]
    terminal.hint(*elsewhere, "neurofit list", "neurofit submit example")
