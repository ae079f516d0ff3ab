"""The folder that an export is written to: whole or not at all, and never mixed with another."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from neurofit.errors import NeurofitError, UsageError
from neurofit.files import explain_os_errors, read_json, to_json, write_whole
from neurofit.study import Study

MARK = "neurofit-export.json"


def check(path: Path, study: Study, *, replace: bool) -> None:
    """Check that an export can be written to a folder.

    Parameters
    ----------
    path : Path
    study : Study
    replace : bool
        Whether an earlier export may be replaced.

    Raises
    ------
    UsageError
        The folder around it is missing or part of the records, it is a file, it has other content, or it is an earlier
        export that is not to be replaced.
    """
    whole = path.resolve()
    if not whole.parent.is_dir():
        raise UsageError(f"The folder {path.absolute().parent} does not exist. Create it first.")
    if whole.is_relative_to(study.training_data.resolve()):
        raise UsageError(
            f"{path} is in training_data/, which is for records alone. Choose another folder with -o."
        )
    if study.root.resolve().is_relative_to(whole):
        raise UsageError(f"{path} contains this study. Choose another folder with -o.")
    if whole.exists() and not whole.is_dir():
        raise UsageError(f"{path} is a file. Give the name of a new folder with -o.")
    with explain_os_errors(path, "read the folder"):
        if not whole.exists() or not os.listdir(whole):
            return
    earlier = _earlier(whole)
    if earlier is None:
        raise UsageError(
            f"{path} is a folder with other files, which an export must not mix with. Give the name of a new "
            "one with -o."
        )
    if not replace:
        raise UsageError(
            f"{path} holds an export of {earlier.get('tasks', '?')} tasks for {earlier.get('to', '?')}, and a second "
            "one would have every task twice. Add --replace to write it again, or name a new folder with -o."
        )


def _earlier(path: Path) -> dict[str, Any] | None:
    """What an earlier export noted in its folder; None if the folder is none."""
    try:
        return read_json(path / MARK)
    except (NeurofitError, OSError):
        return None


@contextlib.contextmanager
def written(path: Path, about: Mapping[str, Any]) -> Iterator[Path]:
    """A folder to write into; it takes the place of `path` when all is written, and is removed if that fails.

    Parameters
    ----------
    path : Path
        As `check` accepted it.
    about : mapping of str to object
        What is noted in the folder.

    Raises
    ------
    StoreError
        The folder cannot be written.
    """
    whole = path.resolve()
    partial = whole.with_name(f".{whole.name}.partial-{os.getpid()}")
    with explain_os_errors(path, "write the export"):
        shutil.rmtree(partial, ignore_errors=True)  # of a process with this number that was killed
        partial.mkdir()
        try:
            yield partial
            when = datetime.now(timezone.utc).isoformat(timespec="seconds")
            write_whole(partial / MARK, f"{to_json({**about, 'written': when})}\n")
            _publish(partial, whole)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _publish(partial: Path, whole: Path) -> None:
    """Give a finished folder its name. An earlier export is removed once it is there."""
    if not whole.exists() or not os.listdir(whole):
        partial.replace(whole)
        return
    earlier = whole.with_name(f"{partial.name}-earlier")
    whole.replace(earlier)
    try:
        partial.replace(whole)
    finally:
        if not whole.exists():
            earlier.replace(whole)
    shutil.rmtree(earlier, ignore_errors=True)
