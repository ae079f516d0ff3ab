"""Writing one layer's features in batches, by the process that holds its claim.

Every batch leaves a line with its digest in `blocks-NNNN.jsonl`, after its numbers. The next claimant reads what is
there and continues after the last batch whose digest is right, whatever a crash, or a slower claimant, has written.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from typing import BinaryIO

import numpy as np

from neurofit.errors import DataError
from neurofit.features.matrix import header
from neurofit.files import append_lines, explain_os_errors, to_json, write_whole
from neurofit.store.features import BlockLine, FeatureFiles, FeatureRecord, blocks_written
from neurofit.store.work_claims import HeldClaim

_DIGEST_BYTES = 16


class FeatureWriter:
    """One layer's file, open after the rows that are there already."""

    def __init__(self, files: FeatureFiles, claim: HeldClaim, layer: str, shape: tuple[int, int]) -> None:
        self.files, self.claim, self.layer, self.shape = files, claim, layer, shape
        self.rows = 0  # written so far
        self.is_mine = True
        self._whole = hashlib.blake2b(digest_size=8)  # as `inputs.digest`
        before = blocks_written(files)
        with explain_os_errors(files.values, "write the features"):
            self._file: BinaryIO = os.fdopen(os.open(files.values, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
            self._continue(before)

    def _continue(self, before: list[BlockLine]) -> None:
        """Go to the end of the batches that are as their writers say, and cut what follows."""
        start = header(self.shape)
        if self._file.read(len(start)) != start:
            before = []
            self._file.seek(0)
            self._file.write(start)
        self._whole.update(start)
        kept = []
        for line in before:
            if not self.rows < line.stop <= self.shape[0]:
                break
            data = self._file.read(4 * (line.stop - self.rows) * self.shape[1])
            if _digest(data) != line.digest:
                break
            self._whole.update(data)
            self.rows = line.stop
            kept.append(line)
        self._file.seek(len(start) + 4 * self.rows * self.shape[1])
        self._file.truncate()
        if kept:
            write_whole(
                self.files.blocks(self.claim.number),
                "".join(to_json(line.as_object()) + "\n" for line in kept),
            )

    def write(self, start: int, features: np.ndarray) -> None:
        """Write the rows of a batch that are not there yet.

        Parameters
        ----------
        start : int
            The first image of the batch.
        features : ndarray of float32, shape (image, unit)

        Raises
        ------
        DataError
            If a number is not finite.
        """
        stop = start + len(features)
        if stop <= self.rows or not self._still_mine():
            return
        if not np.isfinite(features).all():
            image = start + int(np.flatnonzero(~np.isfinite(features).all(axis=1))[0])
            raise DataError(
                f"Layer '{self.layer}' is not finite for image {image}. Check the weights, and the pixel format "
                "of the images and the network."
            )
        data = np.ascontiguousarray(features[self.rows - start :], "<f4").tobytes()
        with explain_os_errors(self.files.values, "write the features"):
            self._file.write(data)
            self._file.flush()
            append_lines(
                self.files.blocks(self.claim.number),
                [BlockLine(stop=stop, digest=_digest(data)).as_object()],
                durable=False,
            )
        self._whole.update(data)
        self.rows = stop

    def finish(self, record: Callable[[str], FeatureRecord]) -> None:
        """Publish the features, unless another process has taken over.

        Parameters
        ----------
        record : callable
            Makes the record from the checksum of the file.
        """
        if self.rows < self.shape[0] or not self._still_mine():
            return
        with explain_os_errors(self.files.values, "write the features"):
            os.fsync(self._file.fileno())
        text = to_json(record(self._whole.hexdigest()).as_object()) + "\n"
        if self.claim.end("done"):
            write_whole(self.files.record, text)

    def close(self) -> None:
        """Close the file; what was written stays, for the next claimant."""
        with contextlib.suppress(OSError):
            self._file.close()

    def _still_mine(self) -> bool:
        self.is_mine = self.is_mine and self.claim.is_mine()
        return self.is_mine


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()
