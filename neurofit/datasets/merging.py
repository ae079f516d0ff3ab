"""Several recordings as one data set: side by side if they share images, otherwise block-diagonal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from neurofit.datasets.dataset import Dataset, equal_rows
from neurofit.errors import DataError, ShapeError


def join(datasets: Sequence[Dataset]) -> Dataset:
    """Join recordings of the same images: neurons side by side, images aligned by `image_ids`.

    A response is NaN if its recording lacks the image. Images come in the order in which they first appear.
    Images that share a group in any recording share one in the result. If only some recordings have a mask,
    trials or an official test set, the others get True, NaN, and what the others say or else "train". Labels
    that all of them have are kept. A truth is not kept.

    Parameters
    ----------
    datasets : sequence of Dataset

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If there is no data set, an id stands for two different images, or an image is for training in one
        recording and for testing in another, or its labels differ.
    ShapeError
        If inputs have different names or shapes.
    """
    _check_inputs(datasets)
    ids = list(dict.fromkeys(image_id for dataset in datasets for image_id in dataset.image_ids.tolist()))
    places = _places(datasets, ids)
    _check_same_images(datasets, places, ids)
    inputs = {}
    for name in datasets[0].inputs:
        inputs[name] = np.empty((len(ids), *datasets[0].inputs[name].shape[1:]), np.float32)
        for dataset, place in zip(datasets, places):
            inputs[name][place] = dataset.inputs[name]
    return Dataset(
        name="+".join(dataset.name for dataset in datasets),
        inputs=inputs,
        responses=_side_by_side([dataset.responses for dataset in datasets], places, len(ids), np.nan),
        trials=_joined_trials(datasets, places, len(ids)),
        mask=_joined_mask(datasets, places, len(ids)),
        image_ids=np.array(ids),
        groups=_joined_groups(datasets, places, len(ids)),
        neurons=_tables(datasets),
        official=_joined_official(datasets, places, ids),
        labels=_joined_labels(datasets, places, ids),
    )


def stack(datasets: Sequence[Dataset]) -> Dataset:
    """Stack recordings of different images: responses are block-diagonal.

    Elsewhere responses are 0 and the mask is False. As the thesis merged regions (`merge_data_and_get_mask`).
    The recording's name is put before each image id. Groups are kept, and images that are equal across
    recordings share one. Labels that all of them have are kept. A truth is not kept.

    Parameters
    ----------
    datasets : sequence of Dataset

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If there is no data set, two have the same name, or only some have an official test set.
    ShapeError
        If inputs have different names or shapes.
    """
    _check_inputs(datasets)
    names = [dataset.name for dataset in datasets]
    if len(set(names)) < len(names):
        raise DataError(f"Stacked data sets need different names, for their images' ids: {', '.join(names)}.")
    if len({dataset.official is None for dataset in datasets}) > 1:
        raise DataError(f"Only some of {', '.join(names)} have an official test set.")
    starts = np.cumsum([0] + [dataset.n_images for dataset in datasets])
    places = [np.arange(start, start + dataset.n_images) for start, dataset in zip(starts, datasets)]
    total = int(starts[-1])
    inputs = {
        name: np.concatenate([dataset.inputs[name] for dataset in datasets]) for name in datasets[0].inputs
    }
    return Dataset(
        name="+".join(names),
        inputs=inputs,
        responses=_side_by_side([dataset.responses for dataset in datasets], places, total, 0.0),
        trials=_joined_trials(datasets, places, total),
        mask=_side_by_side([_mask(dataset) for dataset in datasets], places, total, False),
        image_ids=np.array(
            [f"{dataset.name}/{image_id}" for dataset in datasets for image_id in dataset.image_ids]
        ),
        groups=_same_group([equal_rows(inputs.values()), _joined_groups(datasets, places, total)]),
        neurons=_tables(datasets),
        official=None
        if datasets[0].official is None
        else np.concatenate([dataset.official for dataset in datasets]),
        labels={
            name: np.concatenate([dataset.labels[name] for dataset in datasets]) for name in _common(datasets)
        },
    )


def _side_by_side(blocks: list[np.ndarray], places: list[np.ndarray], n_images: int, elsewhere) -> np.ndarray:
    """(image, …, neuron): the columns of all blocks, each in the rows of its images."""
    columns = []
    for block, place in zip(blocks, places):
        column = np.full((n_images, *block.shape[1:]), elsewhere, block.dtype)
        column[place] = block
        columns.append(column)
    return np.concatenate(columns, axis=-1)


def _joined_trials(datasets: Sequence[Dataset], places: list[np.ndarray], n_images: int) -> np.ndarray | None:
    """(image, trial, neuron), NaN where there is no trial; None if no data set has trials."""
    counts = [0 if dataset.trials is None else dataset.trials.shape[1] for dataset in datasets]
    if not max(counts):
        return None
    blocks = []
    for dataset, count in zip(datasets, counts):
        block = np.full((dataset.n_images, max(counts), dataset.n_neurons), np.nan)
        if count:
            block[:, :count] = dataset.trials
        blocks.append(block)
    return _side_by_side(blocks, places, n_images, np.nan)


def _joined_mask(datasets: Sequence[Dataset], places: list[np.ndarray], n_images: int) -> np.ndarray | None:
    if all(dataset.mask is None for dataset in datasets):
        return None  # the NaN say it all
    return _side_by_side([_mask(dataset) for dataset in datasets], places, n_images, False)


def _mask(dataset: Dataset) -> np.ndarray:
    return np.ones(dataset.responses.shape, bool) if dataset.mask is None else dataset.mask


def _joined_groups(datasets: Sequence[Dataset], places: list[np.ndarray], n_images: int) -> np.ndarray:
    columns = []
    for dataset, place in zip(datasets, places):
        column = -1 - np.arange(n_images)  # each image of which this data set knows nothing is its own
        column[place] = np.unique(dataset.groups, return_inverse=True)[1]
        columns.append(column)
    return _same_group(columns)


def _same_group(columns: list[np.ndarray]) -> np.ndarray:
    """(image,) ints: images are in one group if they are in any column, directly or through others."""
    labels = np.arange(len(columns[0]))
    while True:
        before = labels
        for column in columns:
            codes = np.unique(column, return_inverse=True)[1]
            smallest = np.full(codes.max() + 1, len(labels))
            np.minimum.at(smallest, codes, labels)
            labels = smallest[codes]
        if np.array_equal(labels, before):
            return labels


def _joined_official(datasets: Sequence[Dataset], places: list[np.ndarray], ids: list) -> np.ndarray | None:
    official = np.full(len(ids), "", "<U5")
    for dataset, place in zip(datasets, places):
        if dataset.official is None:
            continue
        clash = (official[place] != "") & (official[place] != dataset.official)
        if clash.any():
            image_id, use = dataset.image_ids[clash][0], dataset.official[clash][0]
            raise DataError(
                f"{dataset.name}: image '{image_id}' is for '{use}' here, but not in another recording."
            )
        official[place] = dataset.official
    if not (official != "").any():
        return None
    return np.where(official == "", "train", official)


def _common(datasets: Sequence[Dataset]) -> list[str]:
    """Names of the labels that all data sets have."""
    return [name for name in datasets[0].labels if all(name in dataset.labels for dataset in datasets)]


def _joined_labels(datasets: Sequence[Dataset], places: list[np.ndarray], ids: list) -> dict[str, np.ndarray]:
    joined = {}
    for name in _common(datasets):
        seen: dict[int, str | int] = {}
        for dataset, place in zip(datasets, places):
            for row, value in zip(place.tolist(), dataset.labels[name].tolist()):
                if seen.setdefault(row, value) != value:
                    raise DataError(
                        f"{dataset.name}: image '{ids[row]}' has the label {name} '{value}' here, but "
                        f"'{seen[row]}' in another recording."
                    )
        joined[name] = np.array([seen[row] for row in range(len(ids))])
    return joined


def _places(datasets: Sequence[Dataset], ids: list) -> list[np.ndarray]:
    """For each data set, the positions of its images among all images."""
    order = {image_id: place for place, image_id in enumerate(ids)}
    return [np.array([order[image_id] for image_id in dataset.image_ids.tolist()]) for dataset in datasets]


def _tables(datasets: Sequence[Dataset]) -> pd.DataFrame:
    return pd.concat([dataset.neurons for dataset in datasets], ignore_index=True)


def _check_same_images(datasets: Sequence[Dataset], places: list[np.ndarray], ids: list) -> None:
    for name in datasets[0].inputs:
        seen: dict[int, np.ndarray] = {}
        for dataset, place in zip(datasets, places):
            for row, values in zip(place.tolist(), dataset.inputs[name]):
                if not np.array_equal(seen.setdefault(row, values), values):
                    raise DataError(
                        f"{dataset.name}: image '{ids[row]}' differs from the one of that id in another "
                        "recording, so they cannot be joined. Recordings of different images are stacked: "
                        "neurofit.datasets.stack."
                    )


def _check_inputs(datasets: Sequence[Dataset]) -> None:
    if not datasets:
        raise DataError("merge needs at least one data set, got none.")
    first = {name: array.shape[1:] for name, array in datasets[0].inputs.items()}
    for dataset in datasets[1:]:
        shapes = {name: array.shape[1:] for name, array in dataset.inputs.items()}
        if shapes != first:
            raise ShapeError(
                f"{datasets[0].name} has inputs {first}, {dataset.name} has {shapes}: they must be equal."
            )
