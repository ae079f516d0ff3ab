"""Scalars in TensorBoard event files: those of neurofit, and those of NDN3 (`loss/correlation/correlation`).

A file is a sequence of records: length (8 bytes), its checksum (4), an Event as a protocol buffer, its checksum
(4). They are read without TensorFlow. An incomplete last record, of a file that is still being written, is ignored.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from neurofit.errors import DataError, UsageError, install, nearest
from neurofit.plotting.curves import History

PATTERN = "events.out.tfevents*"
TAGS = ("loss/correlation/correlation", "test/correlation", "validation/correlation")  # by preference
NDN_NAME = re.compile(r"(?:\d\d-\d\d_\d\d-\d\d-\d\d_)?(?P<name>.+?)__(?P<repetition>\d+)$")


def read_events(path: Path | str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Steps and values of each tag of a TensorBoard file, or of all event files directly in a folder.

    If a step was written twice, after a restart, the later value counts.

    Parameters
    ----------
    path : Path or str
        A file or a folder.

    Returns
    -------
    dict of str to tuple of ndarray
        Steps (step,) and values (step,) by tag.

    Raises
    ------
    UsageError
        The package tensorboard (extra `tensorboard`) is not installed.
    DataError
        There is no such file, or none in the folder.
    """
    path = Path(path)
    files = sorted(path.glob(PATTERN)) if path.is_dir() else [path]
    if not files or not all(file.exists() for file in files):
        raise DataError(f"{path}: no event files ({PATTERN}).")
    found: dict[str, dict[int, float]] = {}
    for file in files:
        for record in _records(file):
            for tag, step, value in _scalars(record):
                found.setdefault(tag, {})[step] = value
    return {tag: _sorted(values) for tag, values in found.items()}


def repetitions(folder: Path | str, tag: str | None = None) -> tuple[str, dict[str, list[History]]]:
    """Histories of all event files below a folder, by run.

    NDN3's logs are `{time}_{run}__{repetition}/summaries/test`, beside a `train` of last minibatches that is
    left out. Elsewhere, every folder with event files is a run of one repetition.

    Parameters
    ----------
    folder : Path or str
        Where to look, at any depth.
    tag : str, optional
        The tag to read, if there are several.

    Returns
    -------
    tag : str
        The tag that was read.
    runs : dict of str to list of History
        The repetitions of each run.

    Raises
    ------
    DataError
        There are no event files.
    UsageError
        There is no such tag.
    """
    folders = sorted({file.parent for file in Path(folder).rglob(PATTERN)})
    folders = [one for one in folders if one.parts[-2:] != ("summaries", "train")]
    if not folders:
        raise DataError(f"{folder}: no event files ({PATTERN}) in it or its subfolders.")
    logs = {one: read_events(one) for one in folders}
    known = dict.fromkeys(name for log in logs.values() for name in log)
    chosen = tag or next((name for name in TAGS if name in known), None)
    if chosen not in known:
        offer = nearest(chosen, known) if chosen else ""
        raise UsageError(f"{folder}: no tag '{chosen or TAGS[0]}'.{offer} Tags: {', '.join(known)}.")
    found: dict[str, list[History]] = {}
    for one, log in logs.items():
        if chosen in log:
            name, repetition = _named(one, Path(folder))
            found.setdefault(name, []).append(History(*log[chosen], repetition))
    return chosen, found


def _named(folder: Path, top: Path) -> tuple[str, int]:
    """Run and repetition, from the folder that NDN3 names so above summaries/test, or else from the path."""
    match = NDN_NAME.match(folder.parents[1].name) if folder.parent.name == "summaries" else None
    if match:
        return match["name"], int(match["repetition"])
    return (top.name if folder == top else folder.relative_to(top).as_posix()), 0


def _records(file: Path) -> Iterator[bytes]:
    content = file.read_bytes()
    at = 0
    while at + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        at += 12
        if at + length > len(content):
            return
        yield content[at : at + length]
        at += length + 4


def _scalars(record: bytes) -> Iterator[tuple[str, int, float]]:
    try:
        from google.protobuf.message import DecodeError
        from tensorboard.compat.proto import event_pb2
    except ImportError:
        raise UsageError(
            f"Event files need tensorboard, which is not installed: {install('tensorboard')}."
        ) from None
    try:
        event = event_pb2.Event.FromString(record)
    except DecodeError as error:
        raise DataError(f"An event file is damaged: {error}.") from error
    for value in event.summary.value:
        kind = value.WhichOneof("value")
        if kind == "simple_value":
            yield value.tag, event.step, value.simple_value
        elif kind == "tensor" and value.tensor.float_val:  # TensorFlow 2 writes floats, or bytes as below
            yield value.tag, event.step, value.tensor.float_val[0]
        elif kind == "tensor" and len(value.tensor.tensor_content) == 4:
            yield value.tag, event.step, struct.unpack("<f", value.tensor.tensor_content)[0]


def _sorted(values: dict[int, float]) -> tuple[np.ndarray, np.ndarray]:
    steps = sorted(values)
    return np.array(steps, float), np.array([values[step] for step in steps])
