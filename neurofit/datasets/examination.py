"""What a data set holds, and what is suspicious in it: ranges, missing values, reliability, images that are alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurofit.datasets.dataset import Dataset
from neurofit.datasets.recordings.duplicates import unit
from neurofit.datasets.splits import Split, split
from neurofit.errors import DataError
from neurofit.scores.ceilings import fev, split_half_consistency
from neurofit.text import count

ALIKE = 0.98  # correlation of two reduced images above which they are called near-duplicates
SIDE = 16  # pixels of the reduced images, per side
MOST_ALIKE = 4000  # images among which near-duplicates are searched for
WEAK = 0.15  # share of signal in a single trial's variance below which a neuron is called weak
HALVES = 50


@dataclass(frozen=True)
class Examination:
    """What was found in a data set.

    Parameters
    ----------
    dataset : Dataset
    facts : dict of str to str
        What it holds, for people.
    warnings : list of str
        Sentences about what is suspicious.
    signal : ndarray, shape (neuron,), or None
        Share of a single trial's variance that is signal, `scores.fev`; None without trials.
    consistency : ndarray, shape (neuron,), or None
        Split-half consistency of the means of all trials; None without trials.
    alike : list of tuple
        Pairs of images in different groups that are equal or near-duplicates: rows of the data set, and the
        correlation of the reduced images.
    parts : dict of str to int
        Number of images by part of the split.
    across : int
        Number of those pairs whose images are in different parts.
    """

    dataset: Dataset
    facts: dict[str, str]
    warnings: list[str]
    signal: np.ndarray | None
    consistency: np.ndarray | None
    alike: list[tuple[int, int, float]]
    parts: dict[str, int] = field(default_factory=dict)
    across: int = 0

    def per_neuron(self) -> dict[str, np.ndarray]:
        """Numbers to draw, each (neuron,), by what they are."""
        valid = self.dataset.valid
        sums = np.where(valid, self.dataset.responses, 0).sum(axis=0)
        found = {"mean response": sums / np.maximum(valid.sum(axis=0), 1)}
        if self.signal is not None and self.consistency is not None:
            return {
                **found,
                "share of signal in a trial": self.signal,
                "split-half consistency": self.consistency,
            }
        return {**found, "share of responses that are missing": 1 - valid.mean(axis=0)}

    def as_json(self) -> dict[str, Any]:
        """All but the data set, for machines."""

        def values(array: np.ndarray | None) -> list[float | None] | None:
            return None if array is None else [float(one) if np.isfinite(one) else None for one in array]

        ids = self.dataset.image_ids.astype(str)
        return {
            "name": self.dataset.name,
            "images": self.dataset.n_images,
            "neurons": self.dataset.n_neurons,
            "facts": self.facts,
            "warnings": self.warnings,
            "signal_share": values(self.signal),
            "split_half_consistency": values(self.consistency),
            "alike": [[str(ids[a]), str(ids[b]), round(r, 4)] for a, b, r in self.alike],
            "parts": self.parts,
            "alike_across_parts": self.across,
        }


def examine(dataset: Dataset, chosen: Split | None = None, seed: int = 0) -> Examination:
    """Look at a data set as one should before a model is fitted to it.

    Parameters
    ----------
    dataset : Dataset
    chosen : Split, optional
        The split across which images should not be alike. Default: the official one if there is one, otherwise 15 %
        validation and 20 % test images.
    seed : int, default 0
        Of the split, and of the halves of the trials.

    Returns
    -------
    Examination
    """
    facts: dict[str, str] = {}
    warnings: list[str] = []
    facts["images"] = _images(dataset, warnings)
    facts["responses"] = _responses(dataset, warnings)
    signal, consistency = _reliability(dataset, facts, warnings, seed)
    sizes = np.unique(dataset.groups, return_counts=True)[1]
    if len(sizes) < dataset.n_images:
        facts["groups"] = f"{len(sizes):,} of 1 to {sizes.max():,} images that a split keeps together"
    if dataset.labels:
        facts["labels"] = ", ".join(
            f"{name} ({len(np.unique(of))} values)" for name, of in dataset.labels.items()
        )
    alike = list(_alike(dataset, facts))
    parts, of_image = _parts(dataset, chosen, seed, warnings)
    facts["split"] = ", ".join(f"{images:,} {name}" for name, images in parts.items())
    across = [(a, b) for a, b, _ in alike if of_image.get(a, "") != of_image.get(b, "")]
    if across:
        first, second = (dataset.image_ids[row] for row in across[0])
        warnings.append(
            f"{count(len(across), 'pair')} of images that are alike (r > {ALIKE}) lie in different parts of the split, "
            f"such as {first} and {second}: scores would be too high. Give such images one group (groups=)."
        )
    return Examination(dataset, facts, warnings, signal, consistency, alike, parts, len(across))


def _images(dataset: Dataset, warnings: list[str]) -> str:
    said = []
    for name, array in dataset.inputs.items():
        blocks = [array] if isinstance(array, np.ndarray) else list(array.blocks())
        low, high = min(float(one.min()) for one in blocks), max(float(one.max()) for one in blocks)
        flat = np.concatenate([np.ptp(one.reshape(len(one), -1), axis=1) == 0 for one in blocks])
        shape = "×".join(str(length) for length in array.shape[1:])
        said.append(f"{array.shape[0]:,} of {shape}, values {low:.4g} to {high:.4g}")
        if number := int(flat.sum()):
            warnings.append(
                f"{count(number, 'image')} of the input '{name}' {_are(number)} of one value, such as "
                f"{dataset.image_ids[np.argmax(flat)]}."
            )
    return "; ".join(said)


def _responses(dataset: Dataset, warnings: list[str]) -> str:
    valid = dataset.valid
    values = np.where(valid, dataset.responses, np.nan)
    low, high = np.nanmin(values), np.nanmax(values)
    with np.errstate(invalid="ignore"):
        constant = np.nanmax(values, axis=0) == np.nanmin(values, axis=0)
    missing = 1 - valid.mean(axis=0)
    if constant.any():
        warnings.append(
            f"{count(int(constant.sum()), 'neuron')} never changed {_its(int(constant.sum()))} response, such as "
            f"neuron {np.argmax(constant)}: leave them out."
        )
    if low < 0:
        share = (values < 0).sum() / valid.sum()
        warnings.append(
            f"{share:.1%} of the responses are negative (down to {low:.4g}): a Poisson loss needs counts or rates."
        )
    if (missing > 0.5).any():
        warnings.append(f"Most responses of {count(int((missing > 0.5).sum()), 'neuron')} are missing.")
    lacking = (
        f", {missing.mean():.1%} missing (at most {missing.max():.1%} of a neuron)" if missing.any() else ""
    )
    return f"{dataset.n_neurons:,} neurons, values {low:.4g} to {high:.4g}{lacking}"


def _reliability(
    dataset: Dataset, facts: dict[str, str], warnings: list[str], seed: int
) -> tuple[np.ndarray | None, np.ndarray | None]:
    if dataset.trials is None:
        facts["trials"] = "none: the reliability of neurons is not known"
        return None, None
    counts = np.isfinite(dataset.trials).any(axis=2).sum(axis=1)
    facts["trials"] = (
        f"{counts.min()} to {counts.max()} per image" if np.ptp(counts) else f"{counts[0]} per image"
    )
    if counts.max() < 2:
        warnings.append("No image has two trials: the reliability of neurons is not known.")
        return None, None
    signal = fev(dataset.trials)
    consistency = split_half_consistency(dataset.trials, splits=HALVES, seed=seed)
    known = signal[np.isfinite(signal)]
    if known.size:
        low, middle, high = np.quantile(known, (0.1, 0.5, 0.9))
        facts["reliability"] = (
            f"share of signal in a trial's variance {middle:.2f} (median; 80 % of neurons {low:.2f} to {high:.2f})"
        )
    weak = int((~(signal >= WEAK)).sum())
    if weak:
        warnings.append(
            f"{count(weak, 'neuron')} of {dataset.n_neurons:,} {_are(weak)} weak: less than {WEAK:.0%} of a trial's "
            "variance is signal."
        )
    return signal, consistency


def _alike(dataset: Dataset, facts: dict[str, str]) -> Iterator[tuple[int, int, float]]:
    """Pairs of images in different groups that are equal or near-duplicates."""
    images = next(iter(dataset.inputs.values()))
    if len(images.shape) != 4:
        facts["alike"] = "not searched for: the input is no image"
        return
    most = min(len(images), MOST_ALIKE)
    reduced = unit(
        np.concatenate([_reduced(images[start : start + 500]) for start in range(0, most, 500)])[:most]
    )
    of_pairs = 0
    for start in range(0, most, 500):
        likeness = reduced[start : start + 500] @ reduced.T
        for row, column in np.argwhere(likeness > ALIKE):
            first, second = start + int(row), int(column)
            if first < second and dataset.groups[first] != dataset.groups[second]:
                of_pairs += 1
                yield first, second, float(likeness[row, column])
    among = "" if most == len(images) else f" among the first {most:,} images"
    facts["alike"] = f"{count(of_pairs, 'pair')} of images in different groups with r > {ALIKE}{among}"


def _reduced(images: Any) -> np.ndarray:
    """The images as rows of at most 16×16 grey means, shape (image, pixel)."""
    grey = np.asarray(images, np.float64).mean(axis=-1)
    for axis in (1, 2):
        length = grey.shape[axis]
        edges = np.unique(np.linspace(0, length, min(length, SIDE) + 1).astype(int))[:-1]
        sizes = np.diff([*edges, length])
        shape = [1, 1, 1]
        shape[axis] = len(sizes)
        grey = np.add.reduceat(grey, edges, axis=axis) / sizes.reshape(shape)
    return grey.reshape(len(grey), -1)


def _parts(
    dataset: Dataset, chosen: Split | None, seed: int, warnings: list[str]
) -> tuple[dict[str, int], Mapping[int, str]]:
    chosen = chosen or Split(validation=0.15, test=0.2, rule="exact")
    try:
        parts = split(dataset, chosen, seed)
    except DataError as error:
        warnings.append(f"It cannot be split: {error}")
        return {}, {}
    rows = {str(id): row for row, id in enumerate(dataset.image_ids)}
    of_image = {rows[str(id)]: name for name, part in parts.items() for id in part.image_ids}
    return {name: part.n_images for name, part in parts.items()}, of_image


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _its(number: int) -> str:
    return "its" if number == 1 else "their"
