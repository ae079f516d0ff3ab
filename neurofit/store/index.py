"""A cache of what was read from an experiment's journals, so the next command reads only the lines added since.

It is in the user's own cache folder, can be deleted at any time, and is written only by this user's commands
on this host. The file has a line of JSON and its checksum; an incomplete file is ignored, as is one of another
version. What is known of the tasks is in columns, and what many tasks share (how they ended, which job claimed them,
their code and data) is there once, since a study may have a million tasks.

The file is always written whole, so that saving takes as long as there are tasks, however few lines are new. Most
commands therefore save nothing: what the index lacks is read again until that takes a share of the time of saving.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from neurofit import recording
from neurofit.files import write_whole
from neurofit.process import Process
from neurofit.recording import cache_folder as cache_folder
from neurofit.store.evidence import Facts, TaskFacts
from neurofit.store.layout import ExperimentFiles

FORMAT = 4  # 3 had a list for each task; 2 mixed in attempts of other submissions, and had no inputs
# Times, in bytes of journals that are read in the same time (about 12 µs per 1000)
_OPENING = 3000  # to open a journal or an outcome
_TASK, _JOURNAL = 200, 1000  # to save what is known of one
_FILE = 20_000  # to create a file and give it its name
# What a command may have to read again, as a share of the time of saving. A smaller one is better if a few thousand
# commands look while a submission runs, a larger one for tens.
_SHARE = 0.25


def _path(files: ExperimentFiles, folder: Path) -> Path:
    key = hashlib.sha256(f"{files.folder.resolve()}".encode()).hexdigest()[:16]
    return folder / f"{key}.json"


def load(files: ExperimentFiles, folder: Path) -> dict[str, Facts]:
    """Facts by submission; empty if there is no index, or it is of another experiment, version or study."""
    try:
        kept = _read(_path(files, folder))
        if kept["format"] != FORMAT or kept["inode"] != files.registry.stat().st_ino:
            return {}
        return {name: _facts(record) for name, record in kept["submissions"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def orphans(folder: Path) -> list[Path]:
    """Index files of experiments whose folder no longer exists."""
    return [
        path for path in sorted(folder.glob("*.json")) if (of := _folder_of(path)) and not os.path.isdir(of)
    ]


def _folder_of(path: Path) -> str | None:
    try:
        folder = json.loads(path.read_bytes().partition(b"\n")[0])["folder"]  # in every version
        return folder if isinstance(folder, str) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _read(path: Path) -> dict[str, Any]:
    """Raises ValueError if the checksum does not match."""
    text, _, checksum = path.read_bytes().partition(b"\n")
    if checksum != _checksum(text):
        raise ValueError(f"{path}: incomplete")
    try:
        kept: dict[str, Any] = msgspec.json.decode(text)
    except msgspec.DecodeError:  # half of a surrogate pair in a path
        kept = json.loads(text)
    return kept


def _checksum(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest()[:16].encode()


def save(files: ExperimentFiles, folder: Path, facts: dict[str, Facts]) -> None:
    """Save the facts. A cache that cannot be written is not an error."""
    try:
        recording.require(folder)
        folder.mkdir(parents=True, exist_ok=True)
        record = {
            "format": FORMAT,
            "folder": str(files.folder.resolve()),
            "inode": files.registry.stat().st_ino,
            "submissions": {name: _record(known) for name, known in facts.items()},
        }
        text = json.dumps(record, separators=(",", ":"))  # ASCII
        write_whole(_path(files, folder), f"{text}\n{_checksum(text.encode()).decode()}", durable=False)
    except OSError:
        pass


class Extent(NamedTuple):
    """How much of a submission the index has."""

    read: dict[tuple[int, int], int]  # bytes of each journal; empty if the submission is settled
    settled: bool
    quiet: float | None


_NOTHING = Extent({}, False, None)


def extents(facts: dict[str, Facts]) -> dict[str, Extent]:
    """How much of each submission is known. Later changes of the facts do not change it."""
    return {
        name: Extent({} if known.settled else dict(known.read), known.settled, known.quiet)
        for name, known in facts.items()
    }


def is_worth_saving(facts: dict[str, Facts], saved: dict[str, Extent]) -> bool:
    """Whether the index lacks so much that reading it again takes a share of the time of saving.

    However often commands look, all savings together then take a few times as long as reading every journal once. A
    submission becomes settled once, and is not looked at again when that is saved. How long a queue has been quiet is
    in no other file.

    Parameters
    ----------
    facts : dict of str to Facts
        By submission.
    saved : dict of str to Extent
        How much of each submission the index has.
    """
    lacking, saving = 0, _FILE
    for name, known in facts.items():
        had = saved.get(name, _NOTHING)
        if (known.settled, known.quiet) != (had.settled, had.quiet):
            return True
        saving += _TASK * len(known.tasks) + _JOURNAL * len(known.read)
        if not known.settled:
            added = [new for by, size in known.read.items() if (new := size - had.read.get(by, 0)) > 0]
            lacking += sum(added) + _OPENING * (len(added) + known.from_folders)
    return lacking > _SHARE * saving


class _Distinct:
    """The distinct values of a column, and the place of each value among them."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[Hashable, int] = {}

    def place(self, value: Any, key: Hashable) -> int:
        place = self._places.setdefault(key, len(self.values))
        if place == len(self.values):
            self.values.append(value)
        return place


def _record(facts: Facts) -> dict[str, Any]:
    known = facts.tasks.values()
    endings, workers, codes, inputs = (_Distinct() for _ in range(4))
    return {
        "run": [run for run, _ in facts.tasks],
        "repetition": [repetition for _, repetition in facts.tasks],
        "attempt": [task.attempt for task in known],
        "ended": [endings.place(task.ended, task.ended) for task in known],
        "by": [workers.place(task.by, task.by) for task in known],
        "code": [codes.place(task.code, task.code) for task in known],
        "inputs": [
            inputs.place(task.inputs, json.dumps(task.inputs, sort_keys=True) if task.inputs else None)
            for task in known
        ],
        "distinct": [endings.values, workers.values, codes.values, inputs.values],
        "read": [[*by, size] for by, size in facts.read.items()],
        "workers": [[*by, worker.record()] for by, worker in facts.workers.items()]
        if not facts.settled
        else [],
        "ended_jobs": [[job, *end] for job, end in facts.ended_jobs.items()],
        "damaged": sorted(facts.damaged),
        "settled": facts.settled,
        "quiet": facts.quiet,
    }


def _facts(record: dict[str, Any]) -> Facts:
    endings, workers, codes, inputs = record["distinct"]
    claimed = [tuple(by) if by else None for by in workers]
    columns = (
        record["attempt"],
        map(endings.__getitem__, record["ended"]),
        map(claimed.__getitem__, record["by"]),
        map(codes.__getitem__, record["code"]),
        map(inputs.__getitem__, record["inputs"]),
    )
    keys: Iterable[tuple[int, int]] = zip(record["run"], record["repetition"], strict=True)
    tasks = dict(zip(keys, map(TaskFacts, *columns), strict=True))
    return Facts(
        tasks,
        {(job, start): size for job, start, size in record["read"]},
        {(job, start): Process.from_record(worker) for job, start, worker in record["workers"]},
        {job: (start, end) for job, start, end in record["ended_jobs"]},
        set(record["damaged"]),
        record["settled"],
        record["quiet"],
    )
