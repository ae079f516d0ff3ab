"""Where a study's folders are, and what `neurofit init` puts into a new one.

study/
├── jobs/              experiment scripts, a file each
├── runners/           profiles, one per queue
├── data/              recordings, as received
└── training_data/     all that neurofit writes
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from neurofit.errors import StudyError

EXAMPLE_JOB = '''\
"""How many random points does it take to find pi?"""

import random

import neurofit as nf


def fit(task, *, points=1000, rows=10):
    """Throw points at a square and count those inside the circle."""
    generator = random.Random(task.seeds.noise)  # repetition 3 has the same seeds in every run
    inside = 0
    for thrown in range(1, points + 1):
        inside += generator.random() ** 2 + generator.random() ** 2 <= 1
        if thrown % (points // rows) == 0:
            task.log(thrown, pi=4 * inside / thrown)  # a row of history.csv
    estimate = 4 * inside / points
    return {"pi": estimate, "error": abs(estimate - 3.14159265)}  # the metrics: any finite numbers


experiment = nf.Experiment(
    fit=fit,
    grid=nf.grid(points=[100, 1000, 10000]),  # three runs; an axis is an argument of `fit`
    repetitions=3,  # of three tasks each
)

if __name__ == "__main__":
    experiment.main()  # python jobs/example.py --points 500: one task, here and now
'''

DATA_README = """\
# data

Recordings, as received. git ignores everything in this folder but this page.
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


@dataclass(frozen=True)
class Study:
    """The folder of a study, and the folders in it. None of them need exist but `jobs`."""

    root: Path

    @property
    def jobs(self) -> Path:
        return self.root / "jobs"

    @property
    def runners(self) -> Path:
        return self.root / "runners"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def training_data(self) -> Path:
        return self.root / "training_data"


TRUSTED = "NEUROFIT_TRUSTED_STUDIES"


def find(start: Path, *, trusted: bool = False) -> Study:
    """The study that a folder or a file is in: the nearest folder, from there upwards, that is one.

    A folder with `jobs/` is a study if it also has `runners/` or `training_data/`, or if `start` is the
    folder itself or lies in its `jobs/` (so that somebody's ~/jobs does not claim all of their home). The
    copies of a study under its own `training_data/` are none. Symbolic links are left as they were given.

    Commands execute a study's scripts and runners. Those of another user, in a study that is found above
    `start`, are executed only if this user has allowed it: in the file `trusted_file()`, a folder a line, or
    in the environment variable NEUROFIT_TRUSTED_STUDIES, folders between colons. Who stands in the study
    itself has named it.

    Parameters
    ----------
    trusted : bool
        The user has named what is executed, so that nobody's ownership is looked at.

    Raises
    ------
    StudyError : there is none, or one with code of another user
    """
    start = Path(os.path.abspath(start))
    for folder in (start, *start.parents):
        if _is_study(folder, start):
            found = Study(_outside_training_data(folder))
            if not trusted and found.root != start:
                _must_be_trusted(found, start)
            return found
    raise StudyError(
        f"No study here: neither {start} nor a folder above it has jobs/ with runners/ or training_data/ "
        "beside it. Change to your study's folder, or make one: neurofit init FOLDER."
    )


def trusted_file() -> Path:
    """Where this user allows studies with code of others."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    base = base if os.path.isabs(base) else os.path.join(os.path.expanduser("~"), ".config")
    return Path(base) / "neurofit" / "trusted-studies"


def _must_be_trusted(study: Study, start: Path) -> None:
    ours = {0, os.geteuid()}
    if os.geteuid() == 0 and os.environ.get("SUDO_UID", "").isdecimal():
        ours.add(int(os.environ["SUDO_UID"]))
    foreign = next((path for path in _code(study) if _owner(path) not in ours), None)
    if foreign is None or os.path.realpath(study.root) in _trusted():
        return
    root, file = shlex.quote(os.path.realpath(study.root)), shlex.quote(str(trusted_file()))
    raise StudyError(
        f"{foreign} belongs to another user (number {_owner(foreign)}), and its study was found above "
        f"{start}: "
        f"commands would execute its code. If you trust it, change to the study itself (cd {root}), "
        "or allow it once for all:\n"
        f"    mkdir -p {shlex.quote(str(trusted_file().parent))} && echo {root} >> {file}"
    )


def _code(study: Study) -> Iterator[str]:
    """What decides which code commands execute: folders, scripts and helpers under `jobs/`, runners."""
    yield str(study.root)
    for folder in (study.jobs, study.runners):
        for above, folders, files in os.walk(folder):
            yield above
            yield from (os.path.join(above, name) for name in files if name.endswith((".py", ".yaml")))
            folders[:] = [name for name in folders if name[0] != "." and name != "__pycache__"]


def _owner(path: str) -> int:
    try:
        return os.stat(path).st_uid
    except OSError:
        return 0  # what cannot be looked at cannot be executed


def _trusted() -> set[str]:
    listed = os.environ.get(TRUSTED, "").split(os.pathsep)
    try:
        if _owner(str(trusted_file())) in (0, os.geteuid()):
            listed += trusted_file().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        pass
    return {os.path.realpath(line.strip()) for line in listed if os.path.isabs(line.strip())}


def missing(folder: Path, runners: Mapping[str, str] | None = None) -> list[Path]:
    """The folders and files that `create` would make in this folder, in that order."""
    paths = [folder, *(folder / name for name in (*FOLDERS, *_files(runners)))]
    return [path for path in paths if not os.path.lexists(path)]


def create(folder: Path, runners: Mapping[str, str] | None = None) -> list[Path]:
    """Make a study of this folder and return what was made. Nothing that exists is changed.

    Parameters
    ----------
    runners : name of a first profile → its text

    Raises
    ------
    StudyError : something in the way, or no permission
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
            f"{error.filename or folder}: {error.strerror}. A study needs a folder that you can write to; "
            f"in it, {', '.join(FOLDERS)} are folders."
        ) from error
    return made


def _files(runners: Mapping[str, str] | None) -> dict[str, str]:
    return {**FILES, **{f"runners/{name}.yaml": text for name, text in (runners or {}).items()}}


def _is_study(folder: Path, start: Path) -> bool:
    jobs = folder / "jobs"
    if not os.path.isdir(jobs):
        return False
    stands_in_it = start == folder or jobs == start or jobs in start.parents
    return stands_in_it or any(os.path.isdir(folder / name) for name in ("runners", "training_data"))


def _outside_training_data(folder: Path) -> Path:
    """The study that this folder is a copy of, if it lies in the `training_data` of one; else the folder."""
    for above in reversed(folder.parents):
        inside = above / "training_data"
        if (inside == folder or inside in folder.parents) and os.path.isdir(above / "jobs"):
            return above
    return folder
