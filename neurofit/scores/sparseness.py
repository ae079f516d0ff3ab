"""How unevenly a neuron's responses are spread over images: 0 = alike to all, 1 = to a single one."""

from __future__ import annotations

import numpy as np

from neurofit.scores.pairs import counted, divided


def gini(responses, mask=None) -> np.ndarray:
    """Gini coefficient: Σ_ij |y_i − y_j| / (2 n² ȳ).

    Parameters
    ----------
    responses : (image, neuron), ≥ 0; NaN = missing

    Returns
    -------
    (neuron,), in [0, 1 − 1/n]; nan for a neuron without a response, or with a negative one

    Source: Hurley & Rickard 2009, doi:10.1109/TIT.2009.2027527.
    """
    y, valid, n = _counted(responses, mask)
    rank = np.cumsum(
        np.take_along_axis(valid, order := np.argsort(np.where(valid, y, np.inf), axis=0), axis=0), axis=0
    )
    ordered = np.take_along_axis(y, order, axis=0)
    return divided(((2 * rank - n - 1) * ordered).sum(axis=0), n * _usable(y))


def lifetime_sparseness(responses, mask=None) -> np.ndarray:
    """(1 − ȳ² / mean y²) / (1 − 1/n).

    Returns
    -------
    (neuron,), in [0, 1]; nan for a neuron without a response, with a negative one, or with one image

    Source: Vinje & Gallant 2000, doi:10.1126/science.287.5456.1273.
    """
    y, _, n = _counted(responses, mask)
    total = _usable(y)
    return divided(1 - divided(total**2, n * (y**2).sum(axis=0)), 1 - divided(np.ones(n.shape), n))


def _counted(responses, mask) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    responses = np.asarray(responses, np.float64)
    valid = counted(responses, mask)
    return np.where(valid, responses, 0), valid, valid.sum(axis=0)


def _usable(y: np.ndarray) -> np.ndarray:
    """(neuron,) the sum, nan where it is 0 or a response is negative."""
    total = y.sum(axis=0)
    return np.where((y < 0).any(axis=0) | (total == 0), np.nan, total)
