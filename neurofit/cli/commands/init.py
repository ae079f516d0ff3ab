"""`neurofit init`: create a study in a folder."""

from __future__ import annotations

from pathlib import Path

import click

from neurofit.cli import options, terminal, wording


@click.command(epilog=options.examples("neurofit init study", "neurofit init --dry-run"))
@click.argument("folder", type=click.Path(path_type=Path), default=".", metavar="[FOLDER]")
@click.option(
    "--new-storage",
    is_flag=True,
    help="Accept the present training_data/ as new storage, after you deleted the old one on purpose.",
)
@options.dry_run
@options.as_json
def command(folder: Path, new_storage: bool, dry_run: bool, as_json: bool) -> None:
    """Create a study in FOLDER, by default the current one.

    The study gets the folders jobs/, runners/, data/ and training_data/, an example experiment, and a runner
    for this machine and for each queue that it can submit to (SLURM, Grid Engine or PBS). Existing files are
    left as they are.

    A study remembers which storage holds its results, and starts nothing while that storage is not mounted.
    If you deleted training_data/ on purpose, run `neurofit init --new-storage` once.
    """
    from neurofit import new_study, study
    from neurofit.backends import profiles
    from neurofit.store import storage

    runners = profiles.for_this_host()
    made = new_study.missing(folder, runners) if dry_run else new_study.create(folder, runners)
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
        terminal.say(f"{wording.short_path(folder)} already has everything that a study needs.")
    if new_storage:
        place = wording.short_path(folder / "training_data")
        terminal.say(f"{place} {'would be' if dry_run else 'is'} the storage of this study from now on.")
    change = [] if folder.resolve() == Path.cwd() else [f"cd {wording.quoted(folder)}"]
    queues = [f"neurofit runners check {name}" for name in runners if name != "local"]
    terminal.hint(*change, "neurofit list", "neurofit submit example", *queues[:1])
