"""Images of an HDF5 file, converted once to .npy files beside it, which are faster to read in any order.

stimulus_PART.npy     (image, height, width, channel) float32
stimulus_PART.json    {"source": size and time of the HDF5 file, "size": bytes of the .npy file}
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurofit.datasets.image_sources import InNpy, in_npy
from neurofit.datasets.stimulus_set import StimulusSet
from neurofit.errors import DataError
from neurofit.files import write_whole


def images(source: Path, part: str) -> InNpy | None:
    """The converted images of a part; None if there are none, or they are not of this file as it is now."""
    path, record = _paths(source, part)
    try:
        noted = json.loads(record.read_text(encoding="utf-8"))
        if noted == {"source": _state(source), "size": path.stat().st_size}:
            return in_npy(path)
    except (OSError, ValueError):
        return None
    return None


@dataclass(frozen=True)
class ConversionForecast:
    """What a conversion writes, or has written.

    Parameters
    ----------
    files : tuple of Path
        Files that are not there yet.
    needed_bytes, free_bytes : int
        Space that they need, and that is free on their disk.
    """

    files: tuple[Path, ...]
    needed_bytes: int
    free_bytes: int

    def as_json(self) -> dict[str, Any]:
        """The forecast as JSON."""
        return {
            "files": [str(path) for path in self.files],
            "needed_bytes": self.needed_bytes,
            "free_bytes": self.free_bytes,
        }


def convert(source: Path, parts: dict[str, StimulusSet], dry_run: bool = False) -> ConversionForecast:
    """Convert the images of the parts that are not converted yet.

    Parameters
    ----------
    source : Path
        The HDF5 file.
    parts : dict of str to StimulusSet
    dry_run : bool, default False
        Only forecast.

    Returns
    -------
    ConversionForecast

    Raises
    ------
    DataError
        If the disk is too small, which is known before anything is written; or an image is not finite.
    """
    left = {part: one for part, one in parts.items() if images(source, part) is None}
    needed = sum(int(np.prod(one.shape)) * 4 for one in left.values())
    paths = tuple(_paths(source, part)[0] for part in left)
    forecast = ConversionForecast(paths, needed, _free(source.parent))
    require_space(source.parent, needed, f"the converted images of {source.name}")
    if not dry_run:
        for part, one in left.items():
            _convert(source, part, one)
    return forecast


def _convert(source: Path, part: str, stimuli: StimulusSet) -> None:
    path, record = _paths(source, part)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": stimuli.shape}
            np.lib.format.write_array_header_1_0(file, header)
            for _, block in stimuli.blocks():
                file.write(np.ascontiguousarray(block, "<f4").data)
        os.replace(partial, path)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error}.") from error
    finally:
        partial.unlink(missing_ok=True)
    write_whole(record, json.dumps({"source": _state(source), "size": path.stat().st_size}) + "\n")


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raise DataError unless the disk of this folder, which may not exist yet, has room for this number of bytes."""
    free = _free(folder)
    if needed > free:
        raise DataError(
            f"{folder}: {what} need {needed / 1e9:.3g} GB, but {free / 1e9:.3g} GB are free. Free some space "
            "first."
        )


def _free(folder: Path) -> int:
    there = next(one for one in (folder, *folder.absolute().parents) if one.is_dir())
    return shutil.disk_usage(there).free


def _paths(source: Path, part: str) -> tuple[Path, Path]:
    return source.with_name(f"stimulus_{part}.npy"), source.with_name(f"stimulus_{part}.json")


def _state(source: Path) -> list[int]:
    found = source.stat()
    return [found.st_size, found.st_mtime_ns]
