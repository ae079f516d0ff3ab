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

    runners/ gets a first profile for this machine, and for each queue that it can submit to: SLURM, Grid Engine or PBS.
    Nothing that exists is changed.
    """
    from neurofit import study
    from neurofit.backends import profiles

    runners = profiles.for_this_host()
    made = study.missing(folder, runners) if dry_run else study.create(folder, runners)
    if as_json:
        terminal.as_json({"made": [str(path) for path in made], "dry_run": dry_run})
        return
    for path in made:
        terminal.say(wording.short_path(path))
    if not made:
        terminal.say(f"{wording.short_path(folder)} has everything that a study needs.")
    elsewhere = [] if folder.resolve() == Path.cwd() else [f"cd {wording.quoted(folder)}"]
    queues = [f"neurofit runners check {name}" for name in runners if name != "local"]
    terminal.hint(*elsewhere, "neurofit list", "neurofit submit example", *queues[:1])
