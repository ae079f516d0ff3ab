"""Checkpoints of a task: folders that are published by renaming them. The newest two are kept.

checkpoint/000400/
├── checkpoint.json        {"step", "attempt", "rows": of history.csv, "lengths": {file: bytes}}
└── whatever the fit wrote
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from neurofit import packed
from neurofit.errors import StoreError
from neurofit.files import known_to_have, partial_path, to_json
from neurofit.store.attempts import still_mine
from neurofit.store.layout import AttemptFiles, TaskFiles
from neurofit.store.records import CheckpointRecord
from neurofit.structure import read_record
from neurofit.transient import retry

KEPT = 2
RECORD = "checkpoint.json"


class Superseded(BaseException):
    """Another worker has taken over this task: this process must write nothing more."""


def published(task: TaskFiles, after_attempt: int = 0) -> list[Path]:
    """The checkpoints of a task, newest first: the last attempt's before those of earlier ones.

    Parameters
    ----------
    task : TaskFiles
    after_attempt : int
        Only checkpoints of later attempts are returned.
    """
    found = []
    with contextlib.suppress(FileNotFoundError):
        for folder in retry(lambda: list(task.checkpoints.iterdir())):
            if folder.name.startswith("."):
                continue
            try:
                record = read_record(folder / RECORD, CheckpointRecord)
                if record.attempt > after_attempt:
                    found.append((record.attempt, record.step, folder))
            except (StoreError, OSError):
                continue  # incomplete: the previous one is used
    return [folder for *_, folder in sorted(found, reverse=True)]


def discard(task: TaskFiles, up_to_attempt: int) -> None:
    """Remove the checkpoints of the attempts up to this one, before a task starts from scratch."""
    newer = published(task, up_to_attempt)
    for folder in published(task):
        if folder not in newer:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def publishing(task: TaskFiles, attempt: AttemptFiles, record: CheckpointRecord) -> Iterator[Path]:
    """Yield a folder to write into, and publish it as the checkpoint that `record` describes.

    Raises
    ------
    Superseded
        Another worker has taken over the task.
    """
    retry(lambda: task.checkpoints.mkdir(exist_ok=True))
    final = task.checkpoints / f"{record.step:06d}"
    partial = partial_path(final)
    retry(lambda: partial.mkdir(exist_ok=True))  # no other process uses this name
    text = to_json(record.as_object())
    try:
        yield partial
        retry(lambda: (partial / RECORD).write_text(text, encoding="utf-8"))
        retry(lambda: _sync(partial))
        if not still_mine(attempt):
            raise Superseded
        retry(lambda: _put_in_place(partial, final, text))
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    for old in published(task)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def _put_in_place(partial: Path, final: Path, text: str) -> None:
    try:
        os.stat(partial)  # raises before the old folder is removed
        if final.exists():
            shutil.rmtree(final)
        partial.rename(final)
    except FileNotFoundError:
        if (final / RECORD).read_text(encoding="utf-8") != text:
            raise
        # it was renamed, and the file system's answer was lost


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def take_up(checkpoint: Path, task: TaskFiles, attempt: AttemptFiles) -> int:
    """Copy an earlier attempt's history and kept files, cut to their state at the checkpoint.

    Returns
    -------
    int
        Number of rows of the history.
    """
    return retry(lambda: _take_up(checkpoint, task, attempt))


def _take_up(checkpoint: Path, task: TaskFiles, attempt: AttemptFiles) -> int:
    os.stat(attempt.folder)  # raises if the storage is away: nothing may be created above this folder
    record = read_record(checkpoint / RECORD, CheckpointRecord)
    source, rows = task.attempt(record.attempt), record.rows
    if source.folder != attempt.folder:
        for name, length in record.lengths.items():
            kept = known_to_have(source.folder / name, length, _content)
            if kept is not None:
                (attempt.folder / name).parent.mkdir(parents=True, exist_ok=True)
                (attempt.folder / name).write_bytes(kept)
    _cut_history(source.history, attempt.history, rows)
    return rows


def _cut_history(source: Path, target: Path, rows: int) -> None:
    kept = known_to_have(source, rows + 1 if rows else 0, _table)
    if kept is None:
        return
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(kept)
    partial = partial_path(target)
    partial.write_text(text.getvalue(), encoding="utf-8")
    partial.replace(target)


def _content(path: Path) -> bytes:
    return packed.read(path)


def _table(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(packed.read(path).decode("utf-8"), newline="")))
