"""What a data set is: stimuli, the responses of a population to them, and what is known about both.

Each axis has one name, singular, always in the order of AXES. Responses are spikes (or whatever the recording
counts) per presentation. NaN in responses means *missing*; NaN in an input is an error.
"""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from neurofit.datasets import checks
from neurofit.datasets.disk_images import DiskImages
from neurofit.errors import DataError, nearest
from neurofit.scores.ceilings import fev

AXES = ("image", "trial", "height", "width", "channel", "neuron", "filter")

FILLED_IN: Any = None  # default of fields that a data set fills in itself


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Inputs and responses of one recording, or of several that were merged. Arrays are read-only.

    Parameters
    ----------
    name : str
        For people and tables.
    inputs : dict of str to ndarray
        Usually one, "image": (image, height, width, channel); others are (image, …). Stored as float32; must
        be finite. `disk_images.DiskImages` stay on disk.
    responses : ndarray, shape (image, neuron)
        Means over trials if there are trials; NaN = missing.
    trials : ndarray, shape (image, trial, neuron), optional
        NaN if an image had fewer trials; None = unknown.
    mask : ndarray of bool, shape (image, neuron), optional
        True where the response counts; None = everywhere.
    image_ids : ndarray of str or int, shape (image,), optional
        Unique. Default: 0 … n-1.
    groups : ndarray of int, shape (image,), optional
        A split keeps a group together. Default: each image is a group, but equal images share one.
    neurons : pandas.DataFrame, optional
        One row per neuron: `recording`, `number` (its column in that recording) and, if known, `x` and `y`
        [pixels] and `reliability` (share of a single trial's variance that is signal, 0 … 1). Missing columns
        are filled in: `recording`, `number`, and, from trials, `reliability`.
    truth : dict, optional
        Of a simulation: "rates" (image, neuron), without noise, and "parameters", a table with one row per
        neuron.
    official : ndarray of str, shape (image,), optional
        "train" and "test", if the data set comes with a split.
    labels : dict of str to ndarray, shape (image,), optional
        What is known about each image, as text or ints, such as its "object".

    Raises
    ------
    ShapeError
        If two arrays do not fit together.
    DataError
        If an input has NaN, a response is infinite, image ids repeat, or a neuron has no response. (A *part*
        may hold a neuron without responses: scores leave it out and count it.)
    """

    name: str
    inputs: dict[str, Any]
    responses: np.ndarray
    trials: np.ndarray | None = None
    mask: np.ndarray | None = None
    image_ids: np.ndarray = FILLED_IN
    groups: np.ndarray = FILLED_IN
    neurons: pd.DataFrame = FILLED_IN
    truth: dict | None = None
    official: np.ndarray | None = None
    labels: dict[str, np.ndarray] = FILLED_IN

    def __post_init__(self) -> None:
        self._set(inputs={name: _as_input(array) for name, array in self.inputs.items()})
        self._set(responses=frozen(np.asarray(self.responses, np.float64)))
        self._set(trials=None if self.trials is None else frozen(np.asarray(self.trials, np.float64)))
        self._set(mask=None if self.mask is None else frozen(np.asarray(self.mask)))
        checks.shapes(self)
        ids = np.arange(self.n_images) if self.image_ids is None else np.asarray(self.image_ids)
        self._set(image_ids=frozen(ids), neurons=_neuron_table(self))
        self._set(official=None if self.official is None else frozen(np.asarray(self.official).astype(str)))
        self._set(
            labels={str(name): frozen(np.asarray(values)) for name, values in (self.labels or {}).items()}
        )
        checks.lengths(self)
        checks.values(self)
        groups = equal_rows(self.inputs.values()) if self.groups is None else np.asarray(self.groups)
        self._set(groups=frozen(groups))
        checks.groups(self)

    def __repr__(self) -> str:
        recordings = self.neurons["recording"].nunique()
        groups = len(np.unique(self.groups))
        lines = [
            f"Dataset '{self.name}': {self.n_images} images"
            + (f" in {groups} groups" if groups < self.n_images else "")
            + f", {self.n_neurons} neurons"
            + (f" of {recordings} recordings" if recordings > 1 else "")
        ]
        lines += [f"input '{name}' {array.shape}" for name, array in self.inputs.items()]
        if self.trials is not None:
            lines.append(f"trials (image, trial, neuron) {self.trials.shape}")
        if (missing := 1 - self.valid.mean()) > 0:
            lines.append(f"responses missing or masked: {missing:.1%}")
        if self.official is not None:
            sizes = ", ".join(f"{np.sum(self.official == part)} {part}" for part in ("train", "test"))
            lines.append(f"official split: {sizes}")
        if self.labels:
            counts = ", ".join(f"'{name}' ({len(np.unique(of))} values)" for name, of in self.labels.items())
            lines.append(f"labels {counts}")
        if self.truth is not None:
            lines.append("simulated, with its truth")
        return "\n  ".join(lines)

    @property
    def n_images(self) -> int:
        """Number of images."""
        return self.responses.shape[0]

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return self.responses.shape[1]

    @property
    def image_shape(self) -> tuple[int, ...]:
        """(height, width, channel) of the input "image", or the shape of the first input."""
        return self.inputs.get("image", next(iter(self.inputs.values()))).shape[1:]

    @property
    def valid(self) -> np.ndarray:
        """Where a response is present and counts, (image, neuron) bool."""
        finite = np.isfinite(self.responses)
        return finite if self.mask is None else finite & self.mask

    def label(self, name: str) -> np.ndarray:
        """One label of each image.

        Parameters
        ----------
        name : str

        Returns
        -------
        ndarray, shape (image,)

        Raises
        ------
        DataError
            If the data set has no such label.
        """
        if name not in self.labels:
            known = ", ".join(self.labels) or "none"
            raise DataError(f"{self.name}: no label '{name}'. Labels: {known}.{nearest(name, self.labels)}")
        return self.labels[name]

    def take(self, image_indices) -> Dataset:
        """The data set with these images.

        Parameters
        ----------
        image_indices : sequence of int or of bool
            Indices, in the new order, or one bool per image.

        Returns
        -------
        Dataset
        """
        chosen = checks.indices(image_indices, self.n_images, "image")
        truth = None if self.truth is None else {**self.truth, "rates": self.truth["rates"][chosen]}
        rows = ("responses", "trials", "mask", "image_ids", "groups", "official")
        return self.derived(
            inputs={
                name: array.select(chosen) if isinstance(array, DiskImages) else frozen(array[chosen])
                for name, array in self.inputs.items()
            },
            labels={name: frozen(values[chosen]) for name, values in self.labels.items()},
            truth=truth,
            **{row: frozen(_picked(getattr(self, row), chosen, 0)) for row in rows},
        )

    def select_neurons(self, which) -> Dataset:
        """The data set with these neurons.

        Parameters
        ----------
        which : sequence of int or of bool, or str
            Indices, one bool per neuron, or a condition on the table ("reliability > 0.15").

        Returns
        -------
        Dataset

        Raises
        ------
        DataError
            If the condition cannot be evaluated, or there is no such neuron.
        """
        if isinstance(which, str):
            which = checks.condition(self.neurons, which)
        chosen = checks.indices(which, self.n_neurons, "neuron")
        truth = self.truth
        if truth is not None:
            parameters = truth["parameters"].iloc[chosen].reset_index(drop=True)
            truth = {**truth, "rates": truth["rates"][:, chosen], "parameters": parameters}
        columns = ("responses", "trials", "mask")
        return self.derived(
            neurons=self.neurons.iloc[chosen].reset_index(drop=True),
            truth=truth,
            **{column: frozen(_picked(getattr(self, column), chosen, -1)) for column in columns},
        )

    def hash(self) -> str:
        """Digest of everything but the name, the truth and the reliabilities (which follow from the trials).

        It is the same in every process and on every machine: numbers about neurons, which are often computed,
        count in float32.

        Returns
        -------
        str
            12 hex digits.
        """
        digest = hashlib.blake2b(digest_size=6)
        for name in sorted(self.inputs):
            _digest_array(digest, name, self.inputs[name])
        for field in ("responses", "trials", "mask", "image_ids", "groups", "official"):
            _digest_array(digest, field, getattr(self, field))
        for name in sorted(self.labels):
            _digest_array(digest, f"label {name}", self.labels[name])
        for column in sorted(set(self.neurons.columns) - {"reliability"}):
            values = self.neurons[column].to_numpy()
            _digest_array(digest, column, values.astype(np.float32) if values.dtype.kind == "f" else values)
        return digest.hexdigest()

    def derived(self, **changes) -> Dataset:
        """A copy with other fields, without the checks: for subsets of data that were already checked."""
        other = copy.copy(self)
        other._set(**changes)
        return other

    def _set(self, **values) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)


def frozen(array: np.ndarray | None) -> np.ndarray | None:
    """A read-only view: cached data sets are shared by all users."""
    if array is None:
        return None
    view = array.view()
    view.flags.writeable = False
    return view


def equal_rows(arrays) -> np.ndarray:
    """(image,) ints: images that are equal to the last bit in every array have the same number."""
    numbers: dict[bytes, int] = {}
    rows = zip(*(one if isinstance(one, DiskImages) else np.ascontiguousarray(one) for one in arrays))
    keys = (
        hashlib.blake2b(b"".join(part.tobytes() for part in row), digest_size=16).digest() for row in rows
    )
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def _as_input(values):
    """float32 and read-only; images on disk stay there."""
    if isinstance(values, DiskImages):
        return values
    return frozen(np.asarray(values).astype(np.float32, copy=False))


def reliability(trials: np.ndarray) -> np.ndarray:
    """Share of a single trial's variance that is signal, per neuron: `scores.fev`, clipped to 0 … 1.

    Parameters
    ----------
    trials : ndarray, shape (image, trial, neuron)
        NaN = missing.

    Returns
    -------
    ndarray, shape (neuron,)
        nan if fewer than two images have two trials, or nothing varies.
    """
    return np.clip(fev(trials), 0, 1)


def _neuron_table(dataset: Dataset) -> pd.DataFrame:
    table = pd.DataFrame(index=range(dataset.n_neurons)) if dataset.neurons is None else dataset.neurons
    table = table.reset_index(drop=True)
    if "recording" not in table:
        table["recording"] = dataset.name
    if "number" not in table:
        table["number"] = range(len(table))
    if "reliability" not in table and dataset.trials is not None and len(table) == dataset.n_neurons:
        table["reliability"] = reliability(dataset.trials)
    return table


def _picked(array: np.ndarray | None, chosen: np.ndarray, axis: int) -> np.ndarray | None:
    return None if array is None else np.take(array, chosen, axis=axis)


def _digest_array(digest, name: str, array: np.ndarray | None) -> None:
    """Add name, shape and values to the digest.

    Numbers are little-endian, with one kind of NaN and of zero; anything else is text.
    """
    digest.update(f"{name}{None if array is None else array.shape}".encode())
    if array is None:
        return
    for part in array.blocks() if isinstance(array, DiskImages) else (array,):
        _digest_values(digest, part)


def _digest_values(digest, array: np.ndarray) -> None:
    if array.dtype.kind in "biu":
        array = array.astype("<i8")
    elif array.dtype.kind == "f":
        array = np.where(np.isnan(array), np.nan, array + 0.0).astype(f"<f{array.dtype.itemsize}")
    else:
        array = np.array("\0".join(map(str, array.ravel())).encode())
    digest.update(np.ascontiguousarray(array).tobytes())
