"""`neurofit init`: a study to start from."""

from __future__ import annotations

from pathlib import Path

import click

from neurofit.cli import options, terminal, wording


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=".", metavar="[FOLDER]")
@click.option(
    "--new-storage", is_flag=True, help="Use what is at training_data/ now, after the old one was deleted."
)
@options.dry_run
@options.as_json
def command(folder: Path, new_storage: bool, dry_run: bool, as_json: bool) -> None:
    """Make FOLDER a study (the current one without): jobs/, runners/, data/, training_data/ and an example.

    runners/ gets a first profile for this machine, and for each queue that it can submit to: SLURM, Grid
    Engine or PBS. Nothing that exists is changed.

    A study knows the storage that its results are on, and starts nothing where that is not mounted. If you
    deleted training_data/ on purpose, say so: neurofit init --new-storage
    """
    from neurofit import study
    from neurofit.backends import profiles
    from neurofit.store import storage

    runners = profiles.for_this_host()
    made = study.missing(folder, runners) if dry_run else study.create(folder, runners)
    if new_storage and not dry_run:
        storage.renew(study.Study(folder))
    if as_json:
        terminal.as_json(
            {"made": [str(path) for path in made], "new_storage": new_storage, "dry_run": dry_run}
        )
        return
    for path in made:
        terminal.say(wording.short_path(path))
    if not made:
        terminal.say(f"{wording.short_path(folder)} has everything that a study needs.")
    if new_storage:
        place = wording.short_path(folder / "training_data")
        terminal.say(f"{place} {'would be' if dry_run else 'is'} this study's storage from now on.")
    elsewhere = [] if folder.resolve() == Path.cwd() else [f"cd {wording.quoted(folder)}"]
    queues = [f"neurofit runners check {name}" for name in runners if name != "local"]
    terminal.hint(*elsewhere, "neurofit list", "neurofit submit example", *queues[:1])
