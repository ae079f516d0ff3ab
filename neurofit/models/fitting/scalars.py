"""Numbers of a training as TensorBoard reads them: event files in the task's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf

PATTERN = "events.out.tfevents*"


class Scalars:
    def __init__(self, folder: Path):
        self._writer = tf.summary.create_file_writer(str(folder))

    def write(self, epoch: int, numbers: Mapping[str, float]) -> None:
        with self._writer.as_default(step=epoch):
            for name, value in numbers.items():
                tf.summary.scalar(name, value)

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
