"""One number for a population, with how many neurons are in it and why others are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from neurofit.errors import DataError
from neurofit.scores.pairs import counted, is_constant, paired


@dataclass(frozen=True)
class Summary:
    """A population's score.

    Parameters
    ----------
    value : mean over the scored neurons; never nan
    n_scored : neurons whose responses vary, so that they can be scored
    n_silent : neurons left out because their responses on this split are constant, or fewer than two; a matter of the
        data, so the same ones for every model
    n_constant_predictions : scored neurons whose predictions are constant, NaN or infinite: undefined scores count 0
    per_neuron : (neuron,), what the mean was taken of; nan for the silent ones
    """

    value: float
    n_scored: int
    n_silent: int
    n_constant_predictions: int
    per_neuron: np.ndarray = field(repr=False, compare=False)


def scored(responses, mask=None) -> np.ndarray:
    """(neuron,) bool: False where a neuron's responses (image, neuron) that count are constant, or fewer than two."""
    responses = np.asarray(responses, np.float64)
    return ~is_constant(responses, counted(responses, mask))


def population(score: Callable[..., np.ndarray], responses, predictions, mask=None) -> Summary:
    """The mean of a score over the neurons that can be scored.

    A neuron with constant responses is left out, whatever was predicted. Where the score of another is nan (a constant
    prediction has no correlation; a NaN has nothing) it counts 0; a score that a constant prediction does have stays.

    Parameters
    ----------
    score : one of `measures`, (responses, predictions, mask=…) -> (neuron,); `functools.partial` fills in a baseline

    Raises
    ------
    ShapeError : the shapes differ
    DataError : no neuron can be scored
    """
    y, p, valid = paired(responses, predictions, mask)
    keep = scored(responses, mask)
    if not keep.any():
        raise DataError(
            f"None of {keep.size} neurons can be scored: each one's responses to these {len(y)} images are constant."
        )
    flat = is_constant(p, valid) | (valid & np.isnan(p)).any(axis=0)
    values = np.asarray(score(responses, predictions, mask=mask), np.float64)
    values = np.where(keep, np.where(np.isnan(values), 0, values), np.nan)
    return Summary(
        value=float(values[keep].mean()),
        n_scored=int(keep.sum()),
        n_silent=int((~keep).sum()),
        n_constant_predictions=int((flat & keep).sum()),
        per_neuron=values,
    )
