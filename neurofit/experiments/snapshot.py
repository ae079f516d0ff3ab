"""Copies of the study's code for submissions, and hashes of the code that an experiment uses.

    <store_folder>/<digest, 12 digits>/jobs/exp3.py  lib/networks.py  …       whole copies, named by their content

`collect` selects the files: the modules that a script imports, the small files that its code names
(`dependencies.py`), and those that its experiment declares. If a module computes the names of its imports, all `.py`
files of the study are included. A copy is not readable to more users than the original, and links that lead out of
the study are not followed. `closure` is the part that a script imports; `code_hash` changes when that part changes.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from neurofit.errors import StoreError, StudyError
from neurofit.experiments.dependencies import closure, declared, used
from neurofit.files import explain_os_errors, write_whole
from neurofit.study import Study
from neurofit.transient import retry

__all__ = ["closure", "code_hash", "collect", "digest", "take"]
NO_CODE_AT_THE_TOP = frozenset({"training_data", "data", "build", "dist", "docs", "tests"})
NO_CODE_ANYWHERE = frozenset({"__pycache__", "node_modules"})
LARGEST_BYTES = 1_000_000  # of a file named in the code that is not a Python module
LARGEST_DECLARED_BYTES = 10_000_000
MOST_FILES = 3_000
MOST_BYTES = 50_000_000


def collect(study: Study, script: Path, declared: Iterable[str] = ()) -> dict[str, Path]:
    """The files that a script's jobs may use, by their paths relative to the study's root.

    Parameters
    ----------
    study : Study
    script : Path
        The script, absolute or relative to the study's root.
    declared : iterable of str, optional
        Paths or patterns, relative to the study, of further files. They may be links that lead out of the study.

    Returns
    -------
    dict of str to Path

    Raises
    ------
    StudyError
        The files are too many or too large, one cannot be read, a declared file does not exist or is too large, or
        a module that the script imports is outside of the study.
    """
    files: dict[str, Path] = {}
    total = 0
    for relative in _wanted(study.root, script, declared):
        if relative in files:
            continue
        files[relative] = study.root / relative
        total += files[relative].stat().st_size
        if len(files) > MOST_FILES or total > MOST_BYTES:
            raise StudyError(_too_much(study, files))
    return dict(sorted(files.items()))


def _wanted(root: Path, script: Path, declared: Iterable[str]) -> Iterator[str]:
    modules, named, computed = used(root, script)
    real = Path(os.path.realpath(root / script))
    if Path(os.path.realpath(root)) in real.parents:  # a script that is a link is loaded from its target
        more, others, also = used(root, root / real.relative_to(os.path.realpath(root)))
        modules, named, computed = [*modules, *more], [*named, *others], computed or also
    asked = list(_declared(root, declared))
    for relative in modules:
        may_lead_out = relative in asked or relative.startswith("data/")  # often a link to a larger disk
        if not may_lead_out and not _is_inside(root, root / relative):
            raise StudyError(
                f"{root / relative} resolves to {os.path.realpath(root / relative)}, outside of the study. "
                f'Copy it into the study, or declare it: Experiment(…, files=["{relative}"]).'
            )
        yield relative
    if computed:
        yield from _files(root, "", frozenset())
    for relative in named:
        path = root / relative
        if _is_inside(root, path) and path.stat().st_size <= LARGEST_BYTES:
            yield relative
    yield from asked


def _declared(root: Path, patterns: Iterable[str]) -> Iterator[str]:
    for pattern in patterns:
        found = sorted(glob.glob(pattern, root_dir=root, recursive=True))
        files = [relative for relative in found if (root / relative).is_file()]
        if not files:
            raise StudyError(
                f"files={pattern!r} matches no file in {root}. Write a path or pattern relative to the study."
            )
        for relative in files:
            path, size = Path(os.path.normpath(root / relative)), (root / relative).stat().st_size
            if root not in path.parents:
                raise StudyError(
                    f"files={pattern!r} is outside of the study {root}. Copy the file into the study."
                )
            if size > LARGEST_DECLARED_BYTES:
                raise StudyError(
                    f"{path} has {size / 1e6:.0f} MB, but files={pattern!r} copies it for every submission and "
                    f"is limited to {LARGEST_DECLARED_BYTES // 1_000_000} MB. Keep it in data/ and read it "
                    'from task.study / "data".'
                )
            yield path.relative_to(root).as_posix()


def _is_inside(root: Path, path: Path) -> bool:
    """Whether the real path of a file is in the study."""
    return f"{os.path.realpath(path)}".startswith(f"{os.path.realpath(root)}{os.sep}")


def digest(files: Mapping[str, Path]) -> str:
    """A hash, 64 hexadecimal digits, of the files' names, contents and permissions to execute."""
    return _digest(_read(files))


def take(files: Mapping[str, Path], store_folder: Path) -> Path:
    """Copy the files to a folder of `store_folder` that is named by their content.

    The folder appears with all its files at once. If it already exists, it is used.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    StudyError
        A file cannot be read.
    StoreError
        The copy cannot be written.
    """
    contents = _read(files)
    return retry(lambda: _take(contents, store_folder / _digest(contents)[:12]))


def _take(contents: Mapping[str, tuple[bytes, int]], target: Path) -> Path:
    if target.is_dir():
        _mend(target, contents)
        with contextlib.suppress(OSError):
            os.utime(target)  # a recent time protects it from removal until its submission refers to it
        return target
    partial = target.parent / f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.partial"
    try:
        partial.mkdir(parents=True, exist_ok=True)
        for relative, (content, mode) in contents.items():
            path = partial / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "xb", opener=_opener(mode)) as file:
                file.write(content)
            path.chmod(mode)
        partial.rename(target)
    except OSError as error:
        if not target.is_dir():  # otherwise another process created the same copy first
            raise StoreError(
                f"The code could not be copied to {target}: {error.strerror}. "
                "Check that the disk is not full and that the folder is writable."
            ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _opener(mode: int) -> Callable[[str, int], int]:
    """An opener that creates a file with its final permissions, so that it is never more readable."""
    return lambda path, flags: os.open(path, flags, mode)


def _mend(target: Path, contents: Mapping[str, tuple[bytes, int]]) -> None:
    """Restore files of a copy that were changed or removed, because its name stands for its content.

    Permissions that were removed from a file of the study are also removed from its copy.
    """
    for relative, (content, mode) in contents.items():
        path = target / relative
        with explain_os_errors(path, "repair this copy of the code"):
            if not path.is_file() or path.read_bytes() != content:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, content)
                path.chmod(mode)
            elif path.stat().st_mode & 0o777 & ~mode:
                path.chmod(mode)


def code_hash(root: Path, script: Path, code: Iterable[str] = ()) -> str:
    """A hash, 12 hexadecimal digits, of the names and contents of the script and the modules that it imports.

    Only modules of the study count, and what `Command(code=…)` declares.

    Parameters
    ----------
    root : Path
        The root of the study.
    script : Path
    code : iterable of str, optional
        What the fit of the loaded script declares. It must be found in the source too.

    Raises
    ------
    StudyError
        A path or pattern is not in the source, because the script computes it, or names no file.
    """
    code = list(code)
    computed = set(code) - declared(root, script) if code else set()
    if computed:
        raise StudyError(
            f"{script}: code={min(computed)!r} is computed. Write code= as a list of text constants, because "
            "commands look for the code without executing the script."
        )
    contents = _read({relative: root / relative for relative in closure(root, script)})
    return _digest({relative: (content, 0) for relative, (content, _) in contents.items()})[:12]


def _files(root: Path, relative: str, above: frozenset[str]) -> Iterator[str]:
    """The relative paths of Python files under a folder.

    Links to folders are followed if they lead to a folder in the study.
    """
    folder = os.path.join(root, relative)
    real = os.path.realpath(folder)
    if real in above or not f"{real}{os.sep}".startswith(f"{os.path.realpath(root)}{os.sep}"):
        return
    for entry in _entries(folder):
        path = os.path.join(relative, entry.name)
        if entry.is_dir():
            if not _holds_no_code(entry, at_the_top=not relative):
                yield from _files(root, path, above | {real})
        elif entry.name.endswith(".py") and entry.is_file() and _is_inside(root, Path(entry.path)):
            yield Path(path).as_posix()


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if entry.name[0] != "."), key=lambda entry: entry.name)
    except OSError as error:
        raise StudyError(
            f"{folder} cannot be read: {error.strerror}. The study's code is copied for every submission: make the "
            "folder readable, or exclude it with a name that starts with a dot."
        ) from error


def _holds_no_code(folder: os.DirEntry[str], at_the_top: bool) -> bool:
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
    most = max(sizes, key=lambda name: sizes[name])
    return (
        f"The code of {study.root} has more than {MOST_FILES} files or {MOST_BYTES // 1_000_000} MB; most "
        f"files are in {most}/. The code is copied for every submission: move files that are not code into data/, "
        "or out of the study."
    )


def _read(files: Mapping[str, Path]) -> dict[str, tuple[bytes, int]]:
    """The contents of files, and their permissions as limited by the folders above them in the study."""
    contents = {}
    for relative in sorted(files):
        try:
            path = files[relative]
            contents[relative] = (path.read_bytes(), _mode(path, len(Path(relative).parts) - 1))
        except OSError as error:
            raise StudyError(
                f"{files[relative]} cannot be read: {error.strerror}. The study's code is copied for every "
                "submission, and all of it must be readable."
            ) from error
    return contents


def _mode(path: Path, levels: int) -> int:
    """The permissions of a file, without those of users who cannot enter one of the folders above it."""
    mode = path.stat().st_mode & 0o777
    for folder in list(path.parents)[:levels]:
        above = folder.stat().st_mode
        mode &= ~((0 if above & 0o010 else 0o070) | (0 if above & 0o001 else 0o007))
    return mode


def _digest(contents: Mapping[str, tuple[bytes, int]]) -> str:
    whole = hashlib.sha256()
    for relative, (content, mode) in contents.items():
        whole.update(os.fsencode(relative) + (b"\0x" if mode & 0o100 else b"\0-"))
        whole.update(hashlib.sha256(content).digest())
    return whole.hexdigest()
