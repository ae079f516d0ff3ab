"""Responses of a known HSM model to natural-like images: what a fit should find again."""

from __future__ import annotations

import numpy as np
import pandas as pd

from neurofit.datasets.dataset import Dataset
from neurofit.datasets.simulation.population import spike_counts
from neurofit.datasets.stimuli import natural_like
from neurofit.errors import DataError

STEEPEST = 2.0**10  # drive's gain in the search for a signal share


def planted_hsm(
    *,
    signal_share: float = 0.7,
    n_neurons: int = 103,
    n_train: int = 1800,
    n_test: int = 200,
    n_trials: int = 10,
    filters: int = 9,
    hidden: float = 0.2,
    size: int = 31,
    seed: int = 0,
) -> Dataset:
    """Simulate a known HSM model: Poisson counts of DoG(filters) → softplus(hidden · neurons) → softplus(neurons).

    Each neuron's last weights and bias are scaled by one factor until `signal_share` of a single trial's
    variance over the training images is signal: Var(rate) / (Var(rate) + mean rate). The defaults have the
    size of Antolík's region 1.

    Parameters
    ----------
    signal_share : float
        Of every neuron, in (0, 1). Antolík's region 1 has about .24.
    n_neurons : int
        Number of neurons.
    n_train, n_test : int
        Number of training images, and of images in the official test set.
    n_trials : int
        Trials of a test image; a training image has one.
    filters : int
        Number of differences of Gaussians.
    hidden : float
        Hidden units per neuron. Their number is rounded down, but is at least one.
    size : int
        Height and width of an image [pixels].
    seed : int
        Seed of the images, the model and the spikes.

    Returns
    -------
    Dataset
        Its truth has "rates" (image, neuron) [spikes per presentation] and "parameters" (a row per neuron:
        mean_rate, signal_share).

    Raises
    ------
    DataError
        No Poisson neuron can have this signal share, or these neurons cannot reach it.
    """
    if not 0 < signal_share < 1:
        raise DataError(f"planted_hsm(signal_share={signal_share!r}): expected a number above 0 and below 1.")
    rng = np.random.default_rng(seed)
    images = natural_like(n_train + n_test, size, rng)
    is_test = np.arange(len(images)) >= n_train
    drive = _drive(images, is_test, filters, max(1, int(hidden * n_neurons)), n_neurons, rng)
    rates = _softplus(drive * _gains(drive[~is_test], signal_share))
    rates = (
        np.rint(rates * 1024) / 1024
    )  # one last bit must not change how many random numbers a Poisson draw uses up
    trials = spike_counts(rates, is_test, n_trials, rng)
    return _dataset(f"planted_hsm_{signal_share:g}", images, rates, trials, is_test)


def _dataset(name: str, images, rates, trials, is_test) -> Dataset:
    seen = rates[~is_test]
    parameters = {"mean_rate": seen.mean(axis=0), "signal_share": _share(seen)}
    return Dataset(
        name=name,
        inputs={"image": images[..., None]},
        responses=np.nanmean(trials, axis=1),
        trials=trials,
        neurons=pd.DataFrame({"recording": ["planted"] * rates.shape[1]}),
        truth={"rates": rates, "parameters": pd.DataFrame(parameters)},
        official=np.where(is_test, "test", "train"),
    )


def _drive(images, is_test, filters: int, units: int, n_neurons: int, rng: np.random.Generator) -> np.ndarray:
    """(image, neuron): what goes into the last softplus, of mean −.5 … .5 and standard deviation 1."""
    pixels = images.reshape(len(images), -1).astype(np.float64)
    lgn = _scaled(pixels @ _differences(filters, images.shape[1], rng).T, is_test)
    cells = _softplus(
        1.5 * lgn @ rng.normal(0, 1, (filters, units)) / np.sqrt(filters) + rng.normal(0, 0.5, units)
    )
    drive = _scaled(cells @ rng.normal(0, 1, (units, n_neurons)), is_test)
    return drive + rng.uniform(-0.5, 0.5, n_neurons)


def _differences(filters: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """Differences of Gaussians (filter, pixel), centres in the inner six tenths, variances in the layer's bounds."""
    x, y = rng.uniform(0.2, 0.8, (2, filters, 1, 1)) * (size - 1)
    centre, added = rng.uniform(2, 8, (filters, 1, 1)), rng.uniform(4, 20, (filters, 1, 1))
    at = np.arange(size)
    distance = (at[None, None, :] - x) ** 2 + (at[None, :, None] - y) ** 2
    bumps = [
        np.exp(-distance / (2 * variance)) / (2 * np.pi * variance) for variance in (centre, centre + added)
    ]
    sign = rng.choice([-1.0, 1.0], (filters, 1, 1))
    return (sign * (bumps[0] - rng.uniform(0.7, 1.0, (filters, 1, 1)) * bumps[1])).reshape(filters, -1)


def _gains(drive: np.ndarray, signal_share: float) -> np.ndarray:
    """(neuron,) by bisection: a steeper softplus has more signal."""
    low, high = np.full(drive.shape[1], 1 / STEEPEST), np.full(drive.shape[1], STEEPEST)
    for _ in range(60):
        middle = np.sqrt(low * high)
        enough = _share(_softplus(drive * middle)) > signal_share
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    gains = np.sqrt(low * high)
    reached = _share(_softplus(drive * gains))
    if abs(reached - signal_share).max() > 1e-6:
        raise DataError(f"planted_hsm: no gain gives every neuron a signal share of {signal_share:g}.")
    return gains


def _share(rates: np.ndarray) -> np.ndarray:
    variance = rates.var(axis=0)
    return variance / (variance + rates.mean(axis=0))


def _scaled(values: np.ndarray, is_test: np.ndarray) -> np.ndarray:
    seen = values[~is_test]
    return (values - seen.mean(axis=0)) / seen.std(axis=0)


def _softplus(values: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, values)
