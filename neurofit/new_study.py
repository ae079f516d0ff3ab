"""The folders and files that `neurofit init` creates in a new study."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from neurofit.errors import StudyError

EXAMPLE_JOB = '''\
"""How many random points does it take to find pi?"""

import random

import neurofit as nf


def fit(task, *, points=1000, rows=10):
    """Throw random points at a square and count those inside the circle."""
    generator = random.Random(task.seeds.noise)  # repetition 3 has the same seeds in every run
    inside = 0
    for thrown in range(1, points + 1):
        inside += generator.random() ** 2 + generator.random() ** 2 <= 1
        if thrown % (points // rows) == 0:
            task.log(thrown, pi=4 * inside / thrown)  # adds a row to history.csv
    estimate = 4 * inside / points
    return {"pi": estimate, "error": abs(estimate - 3.14159265)}  # the metrics: finite numbers


experiment = nf.Experiment(
    fit=fit,
    grid=nf.grid(points=[100, 1000, 10000]),  # three runs; each axis is an argument of `fit`
    repetitions=3,  # of each run
)

if __name__ == "__main__":
    nf.main(experiment)  # python jobs/example.py --points 500 runs one task in this process
'''

DATA_README = """\
# data

Recordings, as received. git ignores everything in this folder except this page.
`neurofit data` lists what is here and what neurofit can read.
"""

GITIGNORE = """\
__pycache__/
/training_data/
/data/*
!/data/README.md
"""

FOLDERS = ("jobs", "runners", "data", "training_data")
FILES = {
    "jobs/example.py": EXAMPLE_JOB,
    "data/README.md": DATA_README,
    ".gitignore": GITIGNORE,
}


def missing(folder: Path, runners: Mapping[str, str] | None = None) -> list[Path]:
    """The folders and files that `create` would make in this folder.

    Parameters
    ----------
    folder : Path
        The root of the study; it need not exist.
    runners : mapping of str to str, optional
        The text of each runner's profile, by the runner's name.

    Returns
    -------
    list of Path
        In the order in which `create` makes them.
    """
    paths = [folder, *(folder / name for name in (*FOLDERS, *_files(runners)))]
    return [path for path in paths if not os.path.lexists(path)]


def create(folder: Path, runners: Mapping[str, str] | None = None) -> list[Path]:
    """Make this folder a study, without changing anything that exists.

    Parameters
    ----------
    folder, runners
        As for `missing`.

    Returns
    -------
    list of Path
        What was made.

    Raises
    ------
    StudyError
        A file has the name of one of the folders, or the folder cannot be written.
    """
    made = missing(folder, runners)
    try:
        for path in (folder, *(folder / name for name in FOLDERS)):
            path.mkdir(parents=True, exist_ok=True)
        for name, text in _files(runners).items():
            if folder / name in made:
                with (folder / name).open("x", encoding="utf-8") as file:
                    file.write(text)
    except OSError as error:
        raise StudyError(
            f"{error.filename or folder}: {error.strerror}. A study needs a folder that you can write to, in "
            f"which {', '.join(FOLDERS)} are folders or do not exist."
        ) from error
    return made


def _files(runners: Mapping[str, str] | None) -> dict[str, str]:
    return {**FILES, **{f"runners/{name}.yaml": text for name, text in (runners or {}).items()}}
