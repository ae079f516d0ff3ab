"""The study's own code: what a submission keeps a copy of, and which of it an experiment uses.

    <store_folder>/<digest, 12 digits>/jobs/exp3.py  lib/networks.py  …       whole copies, named by their content

`collect` says which files those are: every `.py` file under the root but for folders that hold no code of the study,
and all small files under `jobs/`. `closure` is the part that a script imports, and `code_hash` what changes when that
part does.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from neurofit.errors import StoreError, StudyError
from neurofit.experiments.scripts.imports import closure
from neurofit.files import told_apart, write_whole
from neurofit.study import Study
from neurofit.transient import retry

__all__ = ["closure", "code_hash", "collect", "digest", "take"]
NO_CODE_AT_THE_TOP = frozenset({"training_data", "data", "build", "dist", "docs", "tests"})
NO_CODE_ANYWHERE = frozenset({"__pycache__", "node_modules"})
LARGEST_BYTES = 1_000_000  # of a file under jobs/ that is no Python
MOST_FILES = 3_000
MOST_BYTES = 50_000_000


def collect(study: Study, script: Path | None = None) -> dict[str, Path]:
    """The files of the study's code, by their path relative to its root.

    Parameters
    ----------
    script : whatever this one imports is included, wherever in the study it lies

    Raises
    ------
    StudyError : there is too much of it, or it cannot be read
    """
    files: dict[str, Path] = {}
    total = 0
    wanted = closure(study.root, script) if script else []
    for relative in (*_files(study.root, "", frozenset()), *wanted):
        if relative in files:
            continue
        files[relative] = study.root / relative
        total += files[relative].stat().st_size
        if len(files) > MOST_FILES or total > MOST_BYTES:
            raise StudyError(_too_much(study, files))
    return dict(sorted(files.items()))


def digest(files: Mapping[str, Path]) -> str:
    """64 hexadecimal digits over the names, contents and permissions to execute."""
    return _digest(_read(files))


def take(files: Mapping[str, Path], store_folder: Path) -> Path:
    """A copy of the files, in a folder of `store_folder` that their content names; it appears whole, or was there.

    Raises
    ------
    StudyError : a file cannot be read
    StoreError : the copy cannot be written
    """
    contents = _read(files)
    return retry(lambda: _take(contents, store_folder / _digest(contents)[:12]))


def _take(contents: Mapping[str, tuple[bytes, bool]], target: Path) -> Path:
    if target.is_dir():
        _mend(target, contents)
        with contextlib.suppress(OSError):
            os.utime(target)  # young again, so that nobody removes it before its submission names it
        return target
    partial = target.parent / f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.partial"
    try:
        for relative, (content, executable) in contents.items():
            path = partial / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            if executable:
                path.chmod(path.stat().st_mode | 0o111)
        partial.mkdir(parents=True, exist_ok=True)
        partial.rename(target)
    except OSError as error:
        if not target.is_dir():  # otherwise somebody else published the same files first
            raise StoreError(f"The code could not be copied to {target}: {error.strerror}. Is the disk full, "
                             "or the folder read-only?") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _mend(target: Path, contents: Mapping[str, tuple[bytes, bool]]) -> None:
    """Write anew what somebody has changed in a copy: its name promises its content."""
    for relative, (content, _) in contents.items():
        path = target / relative
        if not path.is_file() or path.read_bytes() != content:
            with told_apart(path, "mend this copy of the code"):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, content)


def code_hash(root: Path, script: Path) -> str:
    """12 hexadecimal digits over the script and the study's modules that it imports: their names and contents."""
    contents = _read({relative: root / relative for relative in closure(root, script)})
    return _digest({relative: (content, False) for relative, (content, _) in contents.items()})[:12]


def _files(root: Path, relative: str, above: frozenset[str]) -> Iterator[str]:
    """The relative paths under a folder, links to folders followed where they stay in the study."""
    folder = os.path.join(root, relative)
    real = os.path.realpath(folder)
    if real in above or not f"{real}{os.sep}".startswith(f"{os.path.realpath(root)}{os.sep}"):
        return
    in_jobs = relative.split(os.sep)[0] == "jobs"
    for entry in _entries(folder):
        path = os.path.join(relative, entry.name)
        if entry.is_dir():
            if not _holds_no_code(entry, at_the_top=not relative):
                yield from _files(root, path, above | {real})
        elif entry.is_file() and (entry.name.endswith(".py") or (in_jobs and entry.stat().st_size <= LARGEST_BYTES)):
            yield Path(path).as_posix()


def _entries(folder: str) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if entry.name[0] != "."), key=lambda entry: entry.name)
    except OSError as error:
        raise StudyError(f"{folder}: {error.strerror}. The study's code is copied for every submission: make the "
                         "folder readable, or give it a name that starts with a dot to leave it out.") from error


def _holds_no_code(folder: os.DirEntry, at_the_top: bool) -> bool:
    def has(*names: str) -> bool:
        return os.path.exists(os.path.join(folder.path, *names))

    if folder.name in NO_CODE_ANYWHERE or (at_the_top and folder.name in NO_CODE_AT_THE_TOP):
        return True
    return has("pyvenv.cfg") or (folder.name == "neurofit" and has("__init__.py") and has("experiments"))


def _too_much(study: Study, files: Mapping[str, Path]) -> str:
    sizes: dict[str, int] = {}
    for relative in files:
        top = relative.partition("/")[0]
        sizes[top] = sizes.get(top, 0) + 1
    most = max(sizes, key=sizes.get)
    return (f"The code of {study.root} is more than {MOST_FILES} files or {MOST_BYTES // 1_000_000} MB; most files are "
            f"in {most}/. It is copied for every submission: move what is no code of it elsewhere, or into data/.")


def _read(files: Mapping[str, Path]) -> dict[str, tuple[bytes, bool]]:
    contents = {}
    for relative in sorted(files):
        try:
            contents[relative] = (files[relative].read_bytes(), bool(files[relative].stat().st_mode & 0o100))
        except OSError as error:
            raise StudyError(f"{files[relative]}: {error.strerror}. The study's code is copied for every submission, "
                             "so that all of it must be readable.") from error
    return contents


def _digest(contents: Mapping[str, tuple[bytes, bool]]) -> str:
    whole = hashlib.sha256()
    for relative, (content, executable) in contents.items():
        whole.update(os.fsencode(relative) + (b"\0x" if executable else b"\0-"))
        whole.update(hashlib.sha256(content).digest())
    return whole.hexdigest()
