"""Event files of a training for TensorBoard, in the task's folder."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf

PATTERN = "events.out.tfevents*"


class Scalars:
    """One event file with records of TensorFlow's Event; the first record is the file version.

    Written here directly, without a thread.
    """

    def __init__(self, folder: Path):
        now, earlier = (
            time.time(),
            len(list(folder.glob(PATTERN))),
        )  # brought over from the attempts before this one
        path = folder / f"events.out.tfevents.{int(now)}.{socket.gethostname()}.{os.getpid()}.{earlier}"
        self._file = tf.io.TFRecordWriter(str(path))
        self._add(tf.compat.v1.Event(wall_time=now, file_version="brain.Event:2"))

    def write(self, epoch: int, numbers: Mapping[str, float]) -> None:
        values = [tf.compat.v1.Summary.Value(tag=name, simple_value=value) for name, value in numbers.items()]
        self._add(
            tf.compat.v1.Event(wall_time=time.time(), step=epoch, summary=tf.compat.v1.Summary(value=values))
        )

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _add(self, event) -> None:
        self._file.write(event.SerializeToString())
