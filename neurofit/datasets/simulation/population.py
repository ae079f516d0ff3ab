"""A V1 population that does not exist: its responses to natural-like images, with the truth kept."""

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
    """The data set "simulated": always the same; made once per process."""
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
    """Simulate Poisson counts of simple, complex and unoriented cells with receptive fields near the middle.

    Parameters
    ----------
    n_images : int
        Number of images, including the test images, which come last.
    n_neurons : int
        Number of neurons.
    size : int
        Height and width of an image [pixels].
    n_trials : int
        Trials of a test image; a training image has one.
    n_test : int
        Images of the official test set. With 0 there is no official test set, and every image has `n_trials`.
    mean_rate : float
        Over the population [spikes per presentation]; neurons differ, log-normally.
    seed : int
        Seed of the images, the neurons and the spikes.

    Returns
    -------
    Dataset
        Its truth has "rates" (image, neuron) [spikes per presentation] and "parameters" (a row per neuron).

    Raises
    ------
    DataError
        n_test ≥ n_images, or a number is out of range.
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
    """What each cell is: kind, centre x, y [pixels], and the parameters of its receptive field.

    simple, complex: Gabor with orientation [rad], wavelength, sigma [pixels], aspect, phase [rad];
    dog: difference of Gaussians with sigma (centre), surround [pixels], sign (1 on, -1 off).
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
    """(neuron,) mean rates: log-normal, as in cortex (doi:10.1038/nrn3687), their mean about `mean_rate`."""
    return mean_rate * np.exp(rng.normal(-0.08, 0.4, n_neurons))


def firing_rates(images: np.ndarray, cells: pd.DataFrame, mean_rates: np.ndarray) -> np.ndarray:
    """Spikes per presentation (image, neuron), at least .02, whole multiples of 1/1024.

    The drive of a simple cell is max(0, even), of a complex cell √(even² + odd²), of a dog cell
    max(0, centre - surround). It is divided by ½ + the local contrast, less a threshold, to the power 1.3, and
    saturates at about ten times the mean rate.

    References
    ----------
    The normalisation model: Heeger 1992, doi:10.1017/S0952523800009640.
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
    # A cell's threshold is told in units of its own mean drive.
    excess = np.maximum(normalised - cells["threshold"].to_numpy() * normalised.mean(axis=0), 0) ** 1.3
    saturating = excess / (1 + excess / np.maximum(8 * excess.mean(axis=0), 1e-12))
    rates = 0.02 + saturating * (mean_rates / np.maximum(saturating.mean(axis=0), 1e-12))
    # Rounded: one last bit must not change how many random numbers a Poisson draw uses up.
    return np.rint(rates * 1024) / 1024


def receptive_fields(cells: pd.DataFrame, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """even, odd, window, each (neuron, height, width).

    even and odd have no mean and the norm 1; windows sum to 1.
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
    """(image, trial, neuron) Poisson counts; one trial, and then NaN, where an image is not repeated."""
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
            raise DataError(f"simulate: {name} is too small, or no whole number.")
