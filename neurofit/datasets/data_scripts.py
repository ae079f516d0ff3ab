"""Data sets of a study's own: a script `data/cells.py` with a function `load` makes the data set "cells".

Tasks run the copy of the script that was made at the submit, as they do with all code; the data that it reads are
those of the study.
"""

from __future__ import annotations

import ast
import contextlib
import inspect
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from neurofit.errors import DataError, text_of
from neurofit.study import CODE_ROOT, data_scripts

FUNCTION = "load"

_read: list[Path] | None = None  # files that the script that is running has read
_files: dict[Path, list[Path]] = {}  # script → the files that it read when it last ran


def names(data: Path | None) -> list[str]:
    """Names of the data sets that scripts in a study's data/ make."""
    return [] if data is None else list(data_scripts(Path(data)))


def script(name: str, data: Path | None) -> Path | None:
    """The script that makes a data set: in a task, the copy of it that belongs to the task's code."""
    path = None if data is None else data_scripts(Path(data)).get(name)
    if data is None or path is None:
        return None
    code = os.environ.get(CODE_ROOT)
    copy = Path(code) / "data" / path.name if code else None
    if copy is not None and Path(data).parent in copy.parents and copy.is_file():
        return copy
    return path


def description(path: Path) -> str:
    """The first line of a script's docstring; empty if it has none, or cannot be read."""
    with contextlib.suppress(OSError, SyntaxError, ValueError):
        text = ast.get_docstring(ast.parse(path.read_bytes())) or ""
        return text.partition("\n")[0]
    return ""


def made_by(path: Path, study: Path) -> Any:
    """What the function `load` of a data script returns.

    Parameters
    ----------
    path : Path
        The script.
    study : Path
        The root of the study, which the function gets if it has a parameter.

    Raises
    ------
    DataError
        The script cannot be loaded, has no function `load`, or fails.
    """
    with _noting() as files:
        made = _call(path, study)
    _files[path] = files
    return made


def files_of(path: Path) -> list[Path]:
    """The files that a data script read through `from_hdf5`, `from_nwb` or `from_folder`; none before it has run."""
    return _files.get(path, [])


def note(path: Path) -> None:
    """Note that the data script that is running, if any, reads a file."""
    if _read is not None and path not in _read:
        _read.append(Path(path))


@contextlib.contextmanager
def _noting() -> Iterator[list[Path]]:
    global _read
    before, _read = _read, []
    try:
        yield _read
    finally:
        _read = before


def _call(path: Path, study: Path) -> Any:
    module = ModuleType(f"neurofit_data_{path.stem}")
    module.__file__ = str(path)
    with _importing_from(path):
        try:
            exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
        except Exception as error:
            raise DataError(f"{path} cannot be loaded: {_what(error, path)}.") from error
        function = getattr(module, FUNCTION, None)
        if not callable(function):
            raise DataError(
                f"{path} has no function `{FUNCTION}`. Write `def {FUNCTION}(study):`, which returns a Dataset, or "
                "begin the file's name with '_' if it makes no data set."
            )
        given = [study] if inspect.signature(function).parameters else []
        try:
            return function(*given)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
        except Exception as error:
            raise DataError(f"{path}: `{FUNCTION}` failed: {_what(error, path)}.") from error


@contextlib.contextmanager
def _importing_from(path: Path) -> Iterator[None]:
    """Search for imports beside the script and in the study's root as well."""
    folders = [str(path.parent), str(path.parent.parent)]
    added = [folder for folder in folders if folder not in sys.path]
    sys.path.extend(added)
    try:
        yield
    finally:
        for folder in added:
            sys.path.remove(folder)


def _what(error: Exception, path: Path) -> str:
    """The error in words, with the line of the script."""
    line = None  # a SyntaxError names it itself
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    where = f" (line {line})" if line else ""
    return f"{type(error).__name__}: {text_of(error)}{where}"
