"""Recordings in NWB files (Neurodata Without Borders) as a data set. The only module that imports pynwb.

Source of the format: O. Rübel et al. (2022), doi:10.7554/eLife.78362.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neurofit.datasets import data_scripts
from neurofit.datasets.dataset import Dataset
from neurofit.datasets.own import from_arrays
from neurofit.errors import DataError, MissingExtra, install, nearest


def from_nwb(
    path: Path | str,
    *,
    images: str,
    image: str = "image",
    window: tuple[float, float] = (0.05, 0.15),
    presentations: str = "trials",
    groups: str | None = None,
    labels: Sequence[str] = (),
    name: str | None = None,
) -> Dataset:
    """A data set of an NWB file: images that were shown, and spikes counted after each presentation.

    Parameters
    ----------
    path : Path or str
    images : str
        The name of the images among the file's stimulus templates or stimuli: an `ImageSeries` or `OpticalSeries`
        (image, height, width, …), or an `Images` container of equal sizes.
    image : str, default "image"
        The column of the presentations that says which image was shown: its number, from 0, or its name.
    window : tuple of float, default (0.05, 0.15)
        Spikes count from and to these times after the presentation's `start_time` [s].
    presentations : str, default "trials"
        The table of presentations: "trials", or the name of another table of intervals.
    groups : str, optional
        The column with the group of each image, as of `from_arrays`.
    labels : sequence of str, optional
        Columns with labels of images.
    name : str, optional
        Default: the file's name without its suffix.

    Returns
    -------
    Dataset
        Responses are spike counts. The columns of the units that hold one number or text per unit are the table of
        neurons. Images that were never shown are left out. Repeated presentations are trials.

    Raises
    ------
    DataError, ShapeError
        As `from_arrays`; or the file cannot be read, or has no such images, table, column or spikes.
    MissingExtra
        pynwb is not installed.

    Examples
    --------
    >>> cells = from_nwb("data/session1.nwb", images="natural_scenes", image="frame")  # doctest: +SKIP
    """
    path = Path(path)
    data_scripts.note(path)
    if not 0 <= window[0] < window[1]:
        raise DataError(
            f"window={window}: expected two times after the presentation's start [s], the first before the second."
        )
    with _reading(path) as file:
        pixels, names = _images(path, file, images)
        table = _presentations(path, file, presentations)
        for column in ("start_time", image, *([groups] if groups else []), *labels):
            if column not in table:
                raise DataError(
                    f"{path}: the table '{presentations}' has no column '{column}'."
                    f"{nearest(column, map(str, table))} Columns: {', '.join(map(str, table))}."
                )
        shown = np.array([_row(path, one, names, len(pixels)) for one in table[image]])
        if file.units is None or "spike_times" not in file.units.colnames:
            raise DataError(f"{path}: the file has no units with spike_times.")
        counts = _counts(file.units, table["start_time"].to_numpy(float), window)
        neurons = _neurons(file.units)
    order = list(dict.fromkeys(shown.tolist()))
    repeats = [np.flatnonzero(shown == one) for one in order]
    trials = np.full((len(order), max(map(len, repeats)), counts.shape[1]), np.nan)
    for place, rows in enumerate(repeats):
        trials[place, : len(rows)] = counts[rows]

    def per_image(column: str) -> np.ndarray:
        return np.array(
            [_one(path, table[column].iloc[rows], column, one) for one, rows in zip(order, repeats)]
        )

    responses: dict[str, Any] = {"trials": trials} if trials.shape[1] > 1 else {"responses": trials[:, 0]}
    return from_arrays(
        **responses,
        images=pixels[order],
        neurons=neurons,
        groups=per_image(groups) if groups else None,
        labels={label: per_image(label) for label in labels},
        image_ids=[names[one] for one in order],
        name=path.stem if name is None else name,
    )


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[Any]:
    try:
        from pynwb import NWBHDF5IO
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"{path} needs pynwb, which is not installed: {install('nwb')}.", name="pynwb"
        ) from error
    if not path.is_file():
        raise DataError(f"{path}: no such file.")
    try:
        with NWBHDF5IO(str(path), "r", load_namespaces=True) as file:
            yield file.read()
    except (OSError, KeyError, TypeError, ValueError) as error:
        why = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(f"{path} cannot be read as an NWB file ({why}).") from error


def _images(path: Path, file: Any, name: str) -> tuple[np.ndarray, list[str]]:
    """The images, (image, height, width, …), and their names."""
    known = {**dict(file.stimulus), **dict(file.stimulus_template)}
    if name not in known:
        raise DataError(
            f"{path}: no stimuli '{name}'.{nearest(name, known)} Stimuli in this file: {', '.join(known) or 'none'}."
        )
    found = known[name]
    if hasattr(found, "images"):
        pictures = {one.name: np.asarray(one.data) for one in found.images.values()}
        sizes = {one.shape for one in pictures.values()}
        if len(sizes) != 1:
            raise DataError(
                f"{path}: the images of '{name}' differ in size: {', '.join(map(str, sorted(sizes)))}."
            )
        return np.stack(list(pictures.values())), list(pictures)
    data = getattr(found, "data", None)
    if data is None or len(data.shape) < 3:
        raise DataError(
            f"{path}: '{name}' holds no images (image, height, width), but a {type(found).__name__}."
        )
    pixels = np.asarray(data)
    return pixels, [str(number) for number in range(len(pixels))]


def _presentations(path: Path, file: Any, name: str) -> pd.DataFrame:
    tables = {**dict(file.intervals or {})}
    if file.trials is not None:
        tables["trials"] = file.trials
    if name not in tables:
        raise DataError(
            f"{path}: no table '{name}' of presentations.{nearest(name, tables)} Tables in this file: "
            f"{', '.join(tables) or 'none'}."
        )
    found = tables[name].to_dataframe()
    if found.empty:
        raise DataError(f"{path}: the table '{name}' has no presentation.")
    return found


def _row(path: Path, shown: Any, names: list[str], count: int) -> int:
    """The number of the image that a presentation names."""
    if isinstance(shown, str):
        if shown in names:
            return names.index(shown)
        raise DataError(
            f"{path}: a presentation shows the image '{shown}', which the file lacks.{nearest(shown, names)}"
        )
    if not float(shown).is_integer() or not 0 <= shown < count:
        raise DataError(
            f"{path}: a presentation shows the image {shown}, but the file has the images 0 to {count - 1}."
        )
    return int(shown)


def _counts(units: Any, starts: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """Spikes in the window after each start, (presentation, unit)."""
    columns = []
    for unit in range(len(units)):
        times = np.sort(np.asarray(units["spike_times"][unit], float))
        first, last = (np.searchsorted(times, starts + edge) for edge in window)
        columns.append(last - first)
    return np.stack(columns, axis=1).astype(float)


def _neurons(units: Any) -> dict[str, list[Any]]:
    """The columns of the units that hold one number or text per unit."""
    table = units.to_dataframe(
        exclude={"spike_times", "obs_intervals", "waveform_mean", "waveform_sd", "electrodes"}
    )
    plain = (bool, int, float, str, np.generic)
    return {
        str(column): values.tolist()
        for column, values in table.items()
        if all(isinstance(value, plain) for value in values)
    }


def _one(path: Path, values: pd.Series, column: str, image: int) -> Any:
    different = values.unique()
    if len(different) > 1:
        raise DataError(
            f"{path}: the image {image} has both '{different[0]}' and '{different[1]}' in column '{column}'."
        )
    return different[0]
