"""Recordings of one's own as a data set: from arrays, from an HDF5 file, or from a folder of images and a table.

Contradictions are errors that name both sides. `docs/data.md` leads from a file to a table of scores.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from neurofit.datasets import data_scripts, hdf5
from neurofit.datasets.dataset import Dataset
from neurofit.errors import DataError, MissingExtra, ShapeError, install, nearest

_AGREE = (
    1e-4  # relative: responses that were stored in float32, or rounded, are still the mean of their trials
)


def from_arrays(
    *,
    images: ArrayLike,
    responses: ArrayLike | None = None,
    trials: ArrayLike | None = None,
    neurons: pd.DataFrame | Mapping[str, Sequence[Any]] | None = None,
    groups: ArrayLike | None = None,
    image_ids: ArrayLike | None = None,
    labels: Mapping[str, ArrayLike] | None = None,
    official: ArrayLike | None = None,
    name: str = "own",
) -> Dataset:
    """A data set of images and responses.

    Parameters
    ----------
    images : array_like, shape (image, height, width) or (image, height, width, channel)
        Grey or colour, in any range.
    responses : array_like, shape (image, neuron), optional
        NaN = missing. Default: the means of the trials.
    trials : array_like, shape (image, trial, neuron), optional
        Repeated presentations; NaN where an image had fewer. They are kept, for noise ceilings.
    neurons : pandas.DataFrame or mapping of str to sequence, optional
        Columns with one value per neuron, for example `area` or `x`.
    groups : array_like of int or str, shape (image,), optional
        Images that a split must not part, such as frames of one film. Default: equal images share a group.
    image_ids : array_like of str or int, shape (image,), optional
        Unique. Default: 0 … n-1.
    labels : mapping of str to array_like, shape (image,), optional
        What is known about each image, for example its category.
    official : array_like of str, shape (image,), optional
        "train" or "test", if the recording comes with a split.
    name : str, default "own"
        For tables.

    Returns
    -------
    Dataset

    Raises
    ------
    ShapeError
        Two arrays do not fit together; the message says if one is transposed.
    DataError
        A value is invalid, or the responses are not the means of the trials.

    Examples
    --------
    >>> import numpy as np
    >>> cells = from_arrays(images=np.random.rand(20, 8, 8), responses=np.random.rand(20, 3))
    >>> cells.n_images, cells.n_neurons, cells.image_shape
    (20, 3, (8, 8, 1))
    """
    pixels = _numbers(name, "images", images)
    if pixels.ndim == 3:
        pixels = pixels[..., None]
    if pixels.ndim != 4:
        raise ShapeError(
            f"{name}: images has {pixels.ndim} axes, {pixels.shape}; expected (image, height, width) or (image, "
            "height, width, channel)."
        )
    if pixels.shape[-1] > 4 and pixels.shape[1] in (1, 3):
        raise ShapeError(
            f"{name}: images {pixels.shape} seem to have their channels first; expected (image, height, width, "
            "channel). Use np.moveaxis(images, 1, -1)."
        )
    repeats = None if trials is None else _numbers(name, "trials", trials)
    means = None if responses is None else _numbers(name, "responses", responses)
    if repeats is not None:
        _trial_axes(name, len(pixels), repeats)
        means = _mean_of_trials(name, repeats, means)
    if means is None:
        raise DataError(
            f"{name}: there are neither responses (image, neuron) nor trials (image, trial, neuron)."
        )
    if means.ndim == 2 and len(means) != len(pixels) == means.shape[1]:
        raise ShapeError(
            f"{name}: {len(pixels)} images and responses {means.shape}: they seem to be (neuron, image), expected "
            "(image, neuron). Use responses.T."
        )
    filled_in: dict[str, Any] = {
        "image_ids": None if image_ids is None else np.asarray(image_ids),
        "groups": None if groups is None else _group_numbers(groups),
        "neurons": None if neurons is None else _neuron_columns(name, neurons, means.shape[-1]),
        "official": None if official is None else np.asarray(official),
        "labels": {key: np.asarray(values) for key, values in (labels or {}).items()},
    }
    return Dataset(name, {"image": pixels}, means, trials=repeats, **filled_in)


def from_hdf5(
    path: Path | str,
    *,
    images: str = "images",
    responses: str | None = None,
    trials: str | None = None,
    neurons: Mapping[str, str] | None = None,
    groups: str | None = None,
    image_ids: str | None = None,
    labels: Mapping[str, str] | None = None,
    official: str | None = None,
    name: str | None = None,
) -> Dataset:
    """A data set from the arrays of an HDF5 file (`.h5`, `.hdf5`, `.nwb`, `.mat` of version 7.3).

    Parameters
    ----------
    path : Path or str
    images, responses, trials, groups, image_ids, official : str
        The key of each array in the file, such as "session1/stimuli"; axes as of `from_arrays`. Without
        `responses` and `trials`, the array "responses" is read.
    neurons, labels : mapping of str to str, optional
        Column or label → key.
    name : str, optional
        Default: the file's name without its suffix.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError, ShapeError
        As `from_arrays`; or the file cannot be read, or has no such array.
    MissingExtra
        h5py is not installed.
    """
    if responses is None and trials is None:
        responses = "responses"
    path = Path(path)
    data_scripts.note(path)
    with hdf5.reading(path) as file:

        def read(key: str) -> np.ndarray:
            found = np.asarray(hdf5.array(file, key)[()])
            return found if found.dtype.kind not in "OS" else _texts(path, key, found)

        one = {"images": images, "responses": responses, "trials": trials, "groups": groups}
        one |= {"image_ids": image_ids, "official": official}
        arrays = {argument: read(key) for argument, key in one.items() if key is not None}
        columns = {column: read(key).tolist() for column, key in (neurons or {}).items()}
        values = {label: read(key) for label, key in (labels or {}).items()}
    given: dict[str, Any] = {**arrays, "labels": values}
    return from_arrays(**given, neurons=columns or None, name=path.stem if name is None else name)


def from_folder(
    folder: Path | str,
    table: str = "responses.csv",
    *,
    image: str = "image",
    groups: str | None = None,
    labels: Sequence[str] = (),
    official: str | None = None,
    name: str | None = None,
) -> Dataset:
    """A data set from a folder of image files and a CSV table of responses.

    Parameters
    ----------
    folder : Path or str
    table : str, default "responses.csv"
        The table's file, in the folder. A row is a presentation: the image's file name, and the response of
        each neuron (empty = missing). Rows with the same image are trials.
    image : str, default "image"
        The column with file names, relative to the folder.
    groups, official : str, optional
        Columns with one value per image, as of `from_arrays`.
    labels : sequence of str, optional
        Columns with labels of images. All other columns are neurons.
    name : str, optional
        Default: the folder's name.

    Returns
    -------
    Dataset
        With the images in the order in which the table names them first, and file names as image ids.

    Raises
    ------
    DataError, ShapeError
        As `from_arrays`; or a file is missing, is no image, or differs from the others in size or colours; or a
        value of the table is no number.
    MissingExtra
        Pillow is not installed.
    """
    folder = Path(folder)
    name = folder.name if name is None else name
    data_scripts.note(folder / table)
    header, rows = _table(folder / table)
    special = [one for one in (image, groups, official, *labels) if one is not None]
    for column in special:
        if column not in header:
            raise DataError(
                f"{folder / table}: no column '{column}'.{nearest(column, header)} Columns: {', '.join(header)}."
            )
    cells = [column for column in header if column not in special]
    if not cells:
        raise DataError(
            f"{folder / table}: no column with the responses of a neuron, only {', '.join(header)}."
        )
    shown: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        shown.setdefault(row[image], []).append(number)
    values = np.array([[_response(folder / table, row, column) for column in cells] for row in rows])
    most = max(len(numbers) for numbers in shown.values())
    trials = np.full((len(shown), most, len(cells)), np.nan)
    for index, numbers in enumerate(shown.values()):
        trials[index, : len(numbers)] = values[numbers]

    def per_image(column: str) -> list[str]:
        return [_one_value(folder / table, rows, numbers, column, file) for file, numbers in shown.items()]

    responses: dict[str, Any] = {"trials": trials} if most > 1 else {"responses": trials[:, 0]}
    return from_arrays(
        **responses,
        images=_images(folder, list(shown)),
        neurons={"label": cells},
        groups=None if groups is None else per_image(groups),
        official=None if official is None else per_image(official),
        labels={label: per_image(label) for label in labels},
        image_ids=list(shown),
        name=name,
    )


def _numbers(name: str, what: str, values: ArrayLike) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name}: {what} holds {array.dtype}, expected numbers.")
    return array


def _trial_axes(name: str, images: int, trials: np.ndarray) -> None:
    if trials.ndim != 3:
        raise ShapeError(
            f"{name}: trials has {trials.ndim} axes, {trials.shape}; expected (image, trial, neuron)."
        )
    if len(trials) != images:
        where = (
            "image"
            if images not in trials.shape
            else f"image, which seems to be axis {trials.shape.index(images)}"
        )
        raise ShapeError(
            f"{name}: {images} images and trials {trials.shape}; expected (image, trial, neuron), with the first "
            f"axis the {where}."
        )


def _mean_of_trials(name: str, trials: np.ndarray, responses: np.ndarray | None) -> np.ndarray:
    present = np.isfinite(trials)
    counts = present.sum(axis=1)
    means = np.where(present, trials, 0).sum(axis=1) / np.where(counts, counts, np.nan)
    if responses is None:
        return means
    if responses.shape != means.shape:
        raise ShapeError(
            f"{name}: responses {responses.shape} and trials (image, trial, neuron) {trials.shape} do not fit: the "
            f"means of the trials are {means.shape}. Leave out responses=."
        )
    differ = ~np.isclose(
        responses, means, rtol=_AGREE, atol=_AGREE * np.nanmax(np.abs(means), initial=0), equal_nan=True
    )
    if differ.any():
        image, neuron = (int(index) for index in np.argwhere(differ)[0])
        raise DataError(
            f"{name}: responses[{image}, {neuron}] is {responses[image, neuron]:.6g}, but the mean of its trials is "
            f"{means[image, neuron]:.6g}; {differ.sum():,} of {differ.size:,} responses differ. Leave out responses= "
            "or trials=."
        )
    return responses


def _group_numbers(groups: ArrayLike) -> np.ndarray:
    """Groups as ints: texts are numbered as they appear."""
    array = np.asarray(groups)
    if array.dtype.kind != "U":
        return array
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(text, len(numbers)) for text in array.tolist()])


def _neuron_columns(
    name: str, neurons: pd.DataFrame | Mapping[str, Sequence[Any]], count: int
) -> pd.DataFrame:
    for column, values in neurons.items():
        if len(values) != count:
            raise ShapeError(
                f"{name}: the column '{column}' of neurons has {len(values)} values, but there are {count} neurons."
            )
    return pd.DataFrame(dict(neurons.items()))


def _texts(path: Path, key: str, array: np.ndarray) -> np.ndarray:
    def text(one: Any) -> str:
        return one.decode("utf-8") if isinstance(one, bytes) else str(one)

    try:
        return np.array([text(one) for one in array.ravel()]).reshape(array.shape)
    except UnicodeDecodeError:
        raise DataError(f"{path}: '{key}' holds bytes that are not text in UTF-8.") from None


def _table(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restkey="", strict=True)
            rows, header = list(reader), list(reader.fieldnames or ())
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such file. Write the responses there, or name the table's file."
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV text in UTF-8: {error}.") from None
    if not rows:
        raise DataError(f"{path}: no rows; expected a row of names, and a row per presentation.")
    if len(set(header)) < len(header):
        twice = next(column for column in header if header.count(column) > 1)
        raise DataError(f"{path}: two columns are called '{twice}'.")
    for number, row in enumerate(rows, 2):
        if "" in row or None in row.values():
            raise DataError(f"{path}: row {number} has another number of values than the first row.")
    return header, rows


def _response(path: Path, row: Mapping[str, str], column: str) -> float:
    text = row[column].strip()
    try:
        return float(text) if text else np.nan
    except ValueError:
        raise DataError(
            f"{path}: '{text}' in column '{column}' is no number. If the column is not a neuron, name it in labels=."
        ) from None


def _one_value(path: Path, rows: list[dict[str, str]], numbers: list[int], column: str, file: str) -> str:
    values = {rows[number][column] for number in numbers}
    if len(values) > 1:
        first, second = sorted(values)[:2]
        raise DataError(f"{path}: the image {file} has both '{first}' and '{second}' in column '{column}'.")
    return values.pop()


def _images(folder: Path, files: list[str]) -> np.ndarray:
    """The images, (image, height, width, channel) of uint8 or uint16."""
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"Reading images needs Pillow, which is not installed: {install('plots')}.", name="PIL"
        ) from error
    first: tuple[str, tuple[int, ...]] | None = None
    found = []
    for file in files:
        try:
            with Image.open(folder / file) as opened:
                mode, array = opened.mode, np.asarray(opened)
        except FileNotFoundError:
            raise DataError(f"{folder / file}: no such image; the table names it.") from None
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(f"{folder / file} cannot be read as an image: {error}.") from None
        if mode not in ("L", "RGB", "I;16"):
            raise DataError(
                f"{folder / file} is an image of mode {mode}; expected grey (L, I;16) or colour (RGB). Save it without "
                "a palette and without transparency."
            )
        array = array if array.ndim == 3 else array[..., None]
        first = first or (file, array.shape)
        if array.shape != first[1]:
            raise ShapeError(
                f"{folder}: {file} is {array.shape} (height, width, channel), but {first[0]} is {first[1]}. All "
                "images of a data set have one size and the same colours."
            )
        found.append(array)
    return np.stack(found)
