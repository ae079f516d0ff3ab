"""Labels of images as classes, for a model that predicts responses and the label (co-training).

Uses only NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurofit import datasets
from neurofit.errors import DataError

MISSING = -1  # the code of an image without a label
NEURONS = "neurons"  # the output of a co-trained model that has the responses


@dataclass(frozen=True)
class Classes:
    """The classes of one label, in the order of the model's output.

    Parameters
    ----------
    label : str
        Name of the label, and of the model's output.
    names : tuple of str
        Sorted, as text.
    """

    label: str
    names: tuple[str, ...]

    def codes(self, part: datasets.Dataset) -> np.ndarray:
        """The class of each image, ints (image,); -1 where the label is empty."""
        known = {name: code for code, name in enumerate(self.names)}
        return np.asarray([known.get(name, MISSING) for name in _text(part, self.label)], np.int32)

    def accuracy(self, logits: np.ndarray, codes: np.ndarray) -> float | None:
        """The share of images with a label whose largest logit is that of their class; None without any."""
        known = codes != MISSING
        return float((logits.argmax(axis=1) == codes)[known].mean()) if known.any() else None

    def predicted(self, logits: np.ndarray) -> np.ndarray:
        """The class with the largest logit, text (image,)."""
        return np.asarray(self.names)[logits.argmax(axis=1)]


def classes_of(parts: datasets.Parts, label: str) -> Classes:
    """The classes that the training set has.

    Parameters
    ----------
    parts : datasets.Parts
    label : str
        Name of a label of the data set.

    Returns
    -------
    Classes

    Raises
    ------
    DataError
        If there is no such label, the training set has fewer than two classes, or another part has classes that
        the training set lacks.
    """
    if label == NEURONS:
        raise DataError(
            f"label='{label}': the output of this name has the responses. Give the label another name."
        )
    names = tuple(sorted(set(_text(parts.train, label)) - {""}))
    if len(names) < 2:
        found = f"only '{names[0]}'" if names else "no image with a label"
        raise DataError(
            f"label='{label}': the training set of {parts.train.name} has {found}; expected two classes or more."
        )
    for part_name, part in parts.items():
        unknown = sorted(set(_text(part, label)) - {"", *names})
        if unknown:
            raise DataError(
                f"label='{label}': the {part_name} set has {', '.join(map(repr, unknown))}, which no training image "
                "has. Use another split, or empty these labels: an empty label does not count."
            )
    return Classes(label, names)


def _text(part: datasets.Dataset, label: str) -> list[str]:
    return np.asarray(part.label(label)).astype(str).tolist()
