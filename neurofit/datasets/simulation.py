"""Simulated data sets with known truth: a V1 population, and a planted HSM model."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd

from neurofit.datasets.dataset import Dataset
from neurofit.datasets.stimuli import natural_like
from neurofit.errors import DataError

VERSION = 1  # of the built-in data set: goes up whenever its numbers change
SHARES = {"simple": 0.4, "complex": 0.35, "dog": 0.25}


@functools.lru_cache(maxsize=1)
def built_in() -> Dataset:
    """The data set "simulated". It is always the same, and made once per process."""
    return simulate(seed=20261120 + VERSION)


def simulate(
    *,
    n_images: int = 1350,
    n_neurons: int = 48,
    size: int = 31,
    n_trials: int = 10,
    n_test: int = 150,
    mean_rate: float = 1.0,
    seed: int = 0,
) -> Dataset:
    """Poisson spike counts of simple, complex and unoriented cells near the image's middle.

    Parameters
    ----------
    n_images : int, default 1350
        Including the test images, which come last.
    n_neurons : int, default 48
    size : int, default 31
        Height and width [pixels].
    n_trials : int, default 10
        Of a test image; a training image has one.
    n_test : int, default 150
        Images of the official test set; 0 = no official test set, and n_trials for every image.
    mean_rate : float, default 1
        Over the population [spikes per presentation]; neurons differ, log-normally.
    seed : int, default 0

    Returns
    -------
    Dataset
        Its truth has "rates" (image, neuron) [spikes per presentation] and "parameters" (one row per neuron).

    Raises
    ------
    DataError
        If n_test ≥ n_images, or a number is too small or not whole.
    """
    _check(n_images=n_images, n_neurons=n_neurons, n_trials=n_trials, n_test=n_test + 1, size=size - 7)
    if n_test >= n_images:
        raise DataError(f"simulate(n_images={n_images}, n_test={n_test}): no images are left to train on.")
    rng = np.random.default_rng(seed)
    images = natural_like(n_images, size, rng)
    cells = draw_cells(n_neurons, size, rng)
    rates = firing_rates(images, cells, cells_mean(n_neurons, mean_rate, rng))
    repeated = np.arange(n_images) >= (n_images - n_test if n_test else 0)
    trials = spike_counts(rates, repeated, n_trials, rng)
    return Dataset(
        name="simulated",
        inputs={"image": images[..., None]},
        responses=np.nanmean(trials, axis=1),
        trials=trials,
        neurons=pd.DataFrame({"recording": "simulated", "x": cells["x"], "y": cells["y"]}),
        truth={"rates": rates, "parameters": cells},
        official=np.where(repeated, "test", "train") if n_test else None,
    )


def draw_cells(n_neurons: int, size: int, rng: np.random.Generator) -> pd.DataFrame:
    """Parameters of each cell: kind, centre x, y [pixels], and those of its receptive field.

    simple, complex: Gabor with orientation [rad], wavelength, sigma [pixels], aspect, phase [rad]. dog:
    difference of Gaussians with sigma (centre), surround [pixels], sign (1 on, -1 off).
    """
    counts = np.rint(np.cumsum([0, *SHARES.values()]) * n_neurons).astype(int)
    kinds = np.repeat(list(SHARES), np.diff(counts))
    wavelength = size * rng.uniform(0.26, 0.45, n_neurons)
    dog, gabor = size * rng.uniform(0.05, 0.09, n_neurons), wavelength * rng.uniform(0.35, 0.5, n_neurons)
    sigma = np.where(kinds == "dog", dog, gabor)
    return pd.DataFrame(
        {
            "kind": kinds,
            "x": (size - 1) / 2 + size * rng.normal(0, 0.09, n_neurons),
            "y": (size - 1) / 2 + size * rng.normal(0, 0.09, n_neurons),
            "orientation": rng.uniform(0, np.pi, n_neurons),
            "wavelength": wavelength,
            "phase": rng.uniform(0, 2 * np.pi, n_neurons),
            "sigma": sigma,
            "aspect": rng.uniform(0.6, 1.0, n_neurons),
            "surround": sigma * rng.uniform(1.6, 2.4, n_neurons),
            "sign": rng.choice([-1.0, 1.0], n_neurons),
            "threshold": rng.uniform(0.0, 0.3, n_neurons),
        }
    )


def cells_mean(n_neurons: int, mean_rate: float, rng: np.random.Generator) -> np.ndarray:
    """(neuron,) mean rates: log-normal, with a mean of about `mean_rate`.

    References
    ----------
    G. Buzsáki and K. Mizuseki (2014), log-normal rates in cortex, doi:10.1038/nrn3687.
    """
    return mean_rate * np.exp(rng.normal(-0.08, 0.4, n_neurons))


def firing_rates(images: np.ndarray, cells: pd.DataFrame, mean_rates: np.ndarray) -> np.ndarray:
    """(image, neuron) spikes per presentation, ≥ .02, whole multiples of 1/1024.

    The drive is max(0, even) of a simple cell, √(even² + odd²) of a complex one, max(0, centre - surround) of
    a dog. It is divided by ½ + the local contrast, less a threshold, to the power 1.3, and saturates at about
    ten times the mean rate.

    References
    ----------
    D. Heeger (1992), the normalisation model, doi:10.1017/S0952523800009640.
    """
    size = images.shape[1]
    even, odd, window = (field.reshape(len(cells), -1).T for field in receptive_fields(cells, size))
    pixels = (images.reshape(len(images), -1).astype(np.float64) - 128) / 50
    linear = pixels @ even
    is_complex = (cells["kind"] == "complex").to_numpy()
    drive = np.where(is_complex, np.hypot(linear, pixels @ odd), np.maximum(linear, 0))
    local_mean = pixels @ window
    contrast = np.sqrt(np.maximum(pixels**2 @ window - local_mean**2, 0))
    normalised = drive / (0.5 + contrast)
    # A cell's threshold is in units of its own mean drive.
    excess = np.maximum(normalised - cells["threshold"].to_numpy() * normalised.mean(axis=0), 0) ** 1.3
    saturating = excess / (1 + excess / np.maximum(8 * excess.mean(axis=0), 1e-12))
    rates = 0.02 + saturating * (mean_rates / np.maximum(saturating.mean(axis=0), 1e-12))
    # Rounded: one last bit must not change how many random numbers a Poisson draw uses up.
    return np.rint(rates * 1024) / 1024


def receptive_fields(cells: pd.DataFrame, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """even, odd, window, each (neuron, height, width).

    even and odd have no mean and norm 1; windows sum to 1.
    """
    at = {name: cells[name].to_numpy()[:, None, None] for name in cells.columns if name != "kind"}
    x, y = np.arange(size)[None, None, :] - at["x"], np.arange(size)[None, :, None] - at["y"]
    along = x * np.cos(at["orientation"]) + y * np.sin(at["orientation"])
    across = y * np.cos(at["orientation"]) - x * np.sin(at["orientation"])
    envelope = np.exp(-(along**2 + (at["aspect"] * across) ** 2) / (2 * at["sigma"] ** 2))
    angle = 2 * np.pi * along / at["wavelength"] + at["phase"]
    centre, surround = (_gaussian(x, y, at[name]) for name in ("sigma", "surround"))
    is_dog = (cells["kind"] == "dog").to_numpy()[:, None, None]
    even = np.where(is_dog, at["sign"] * (centre - surround), envelope * np.cos(angle))
    window = _gaussian(x, y, 2 * at["sigma"])
    return _unit(even), _unit(envelope * np.sin(angle)), window


def spike_counts(
    rates: np.ndarray, repeated: np.ndarray, n_trials: int, rng: np.random.Generator
) -> np.ndarray:
    """(image, trial, neuron) Poisson counts; an image that is not repeated has one trial, and then NaN."""
    trials = np.full((len(rates), n_trials, rates.shape[1]), np.nan)
    trials[~repeated, 0] = rng.poisson(rates[~repeated])
    trials[repeated] = rng.poisson(
        rates[repeated][:, None, :], (int(repeated.sum()), n_trials, rates.shape[1])
    )
    return trials


def _gaussian(x: np.ndarray, y: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    bump = np.exp(-(x**2 + y**2) / (2 * sigma**2))
    return bump / bump.sum(axis=(1, 2), keepdims=True)


def _unit(fields: np.ndarray) -> np.ndarray:
    fields = fields - fields.mean(axis=(1, 2), keepdims=True)
    return fields / np.sqrt((fields**2).sum(axis=(1, 2), keepdims=True))


def _check(**least_one: int) -> None:
    for name, value in least_one.items():
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise DataError(f"simulate: {name} is too small, or not a whole number.")


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
    """Responses of a known HSM model to natural-like images, which a fit should recover.

    Poisson counts of DoG(filters) → softplus(hidden · neurons) → softplus(neurons), by default with the size
    of region 1. Each neuron's last weights and bias are scaled by one factor, so that `signal_share` of a
    single trial's variance over the training images is signal: Var(rate) / (Var(rate) + mean rate).

    Parameters
    ----------
    signal_share : float, default 0.7
        Of every neuron, in (0, 1). Antolík's region 1 has about .24.
    n_neurons : int, default 103
    n_train : int, default 1800
        Training images, with one trial each.
    n_test : int, default 200
        Images of the official test set.
    n_trials : int, default 10
        Trials of a test image.
    filters : int, default 9
    hidden : float, default 0.2
        Hidden units per neuron, rounded down, at least one in all.
    size : int, default 31
        Height and width [pixels].
    seed : int, default 0

    Returns
    -------
    Dataset
        Its truth has "rates" (image, neuron) [spikes per presentation] and "parameters" (one row per neuron:
        mean_rate, signal_share).

    Raises
    ------
    DataError
        If the signal share is outside (0, 1), or cannot be reached.
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
    """(image, neuron): the input of the last softplus, with mean −.5 … .5 and standard deviation 1."""
    pixels = images.reshape(len(images), -1).astype(np.float64)
    lgn = _scaled(pixels @ _differences(filters, images.shape[1], rng).T, is_test)
    cells = _softplus(
        1.5 * lgn @ rng.normal(0, 1, (filters, units)) / np.sqrt(filters) + rng.normal(0, 0.5, units)
    )
    drive = _scaled(cells @ rng.normal(0, 1, (units, n_neurons)), is_test)
    return drive + rng.uniform(-0.5, 0.5, n_neurons)


def _differences(filters: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """(filter, pixel) differences of Gaussians, with centres in the inner six tenths."""
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
    """(neuron,) gains, by bisection: a steeper softplus has more signal."""
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
