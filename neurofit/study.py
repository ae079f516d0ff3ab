"""The folders of a study, and how the study that contains a folder is found.

study/
├── jobs/              experiment scripts
├── runners/           profiles, one per queue
├── neurofit.yaml      settings of the whole study; need not exist
├── data/              recordings, as received
└── training_data/     everything that neurofit writes
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from neurofit.errors import StudyError

TRUSTED = "NEUROFIT_TRUSTED_STUDIES"
CODE_ROOT = "NEUROFIT_SCRIPTS"  # environment variable of a task: the root of the code that it runs


@dataclass(frozen=True)
class Study:
    """The folder of a study, and the folders in it, of which only `jobs` must exist.

    Parameters
    ----------
    root : Path
        The folder of the study.
    copy_of : str, optional
        The study on another host, `user@cluster:study`, if this one holds copies of its records for one command. Its
        queues cannot be asked from here.
    """

    root: Path
    copy_of: str | None = None

    @property
    def jobs(self) -> Path:
        return self.root / "jobs"

    @property
    def runners(self) -> Path:
        return self.root / "runners"

    @property
    def settings(self) -> Path:
        return self.root / "neurofit.yaml"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def training_data(self) -> Path:
        return self.root / "training_data"


def find(start: Path, *, trusted: bool = False) -> Study:
    """The study that contains a folder or a file: the nearest one from there upwards.

    A folder with `jobs/` is a study if it also has `runners/` or `training_data/`, or if `start` is that
    folder or lies in its `jobs/` (so that a folder ~/jobs does not make the whole home a study). Copies of a
    study in its own `training_data/` are not studies. Symbolic links are not resolved.

    Commands execute the scripts and runners of a study. If they belong to another user and the study was
    found above `start`, this user must have allowed the study: its folder is a line of the file
    `trusted_file()`, or is in the environment variable NEUROFIT_TRUSTED_STUDIES, separated by colons. A study
    whose own folder is `start` needs no permission.

    Parameters
    ----------
    start : Path
        A folder or a file.
    trusted : bool, optional
        Skip the check of ownership, because the user has named the code to execute.

    Returns
    -------
    Study

    Raises
    ------
    StudyError
        No folder from `start` upwards is a study, or the study has code of another user.
    """
    start = Path(os.path.abspath(start))
    for folder in (start, *start.parents):
        if _is_study(folder, start):
            study = Study(_outside_training_data(folder))
            if not trusted and study.root != start:
                _require_trust(study, start)
            return study
    raise StudyError(
        f"No study here: neither {start} nor a folder above it has jobs/ next to runners/ or training_data/. "
        "Change to the folder of your study, or create one: neurofit init FOLDER."
    )


def trusted_file() -> Path:
    """The file that lists the studies with code of other users that this user allows, one folder per line."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    base = base if os.path.isabs(base) else os.path.join(os.path.expanduser("~"), ".config")
    return Path(base) / "neurofit" / "trusted-studies"


def _require_trust(study: Study, start: Path) -> None:
    own = {0, os.geteuid()}
    if os.geteuid() == 0 and os.environ.get("SUDO_UID", "").isdecimal():
        own.add(int(os.environ["SUDO_UID"]))
    foreign = next((path for path in _code(study) if _owner(path) not in own), None)
    if foreign is None or os.path.realpath(study.root) in _trusted():
        return
    root, file = shlex.quote(os.path.realpath(study.root)), shlex.quote(str(trusted_file()))
    raise StudyError(
        f"{foreign} belongs to another user (number {_owner(foreign)}). Its study was found above {start}, "
        f"and commands would execute its code. If you trust it, change to the folder of the study (cd {root}) "
        "or allow it permanently:\n"
        f"    mkdir -p {shlex.quote(str(trusted_file().parent))} && echo {root} >> {file}"
    )


def _code(study: Study) -> Iterator[str]:
    """Everything that decides which code commands execute: folders, scripts and helpers in `jobs/`, runners."""
    yield str(study.root)
    yield str(study.settings)  # it names a command
    for folder in (study.jobs, study.runners):
        for above, folders, files in os.walk(folder):
            yield above
            yield from (os.path.join(above, name) for name in files if name.endswith((".py", ".yaml")))
            folders[:] = [name for name in folders if name[0] != "." and name != "__pycache__"]


def _owner(path: str) -> int:
    try:
        return os.stat(path).st_uid
    except OSError:
        return 0  # a file that cannot be read cannot be executed either


def _trusted() -> set[str]:
    listed = os.environ.get(TRUSTED, "").split(os.pathsep)
    try:
        if _owner(str(trusted_file())) in (0, os.geteuid()):
            listed += trusted_file().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        pass
    return {os.path.realpath(line.strip()) for line in listed if os.path.isabs(line.strip())}


def _is_study(folder: Path, start: Path) -> bool:
    jobs = folder / "jobs"
    if not os.path.isdir(jobs):
        return False
    contains_start = start == folder or jobs == start or jobs in start.parents
    return contains_start or any(os.path.isdir(folder / name) for name in ("runners", "training_data"))


def _outside_training_data(folder: Path) -> Path:
    """The study whose `training_data` contains this folder, which is then a copy of it; else the folder."""
    for above in reversed(folder.parents):
        inside = above / "training_data"
        if (inside == folder or inside in folder.parents) and os.path.isdir(above / "jobs"):
            return above
    return folder


def data_scripts(data: Path) -> dict[str, Path]:
    """Name → script, of the data sets that scripts in a study's data/ make; others begin with '_' or '.'."""
    return {path.stem: path for path in sorted(data.glob("*.py")) if not path.name.startswith(("_", "."))}
