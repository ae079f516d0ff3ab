"""How many images does ridge regression need to predict simple and complex cells of V1, and what penalty?

No neural network: an experiment is any Python function from arguments to numbers. Every repetition shows the
same population the same images and draws other Poisson spikes: repetitions measure what the recording's noise
does to the answer. Then: neurofit results no_network --compare penalty
"""

import numpy as np  # at the top: loaded once in the process that all tasks are forked from

import neurofit as nf

SIZE, NEURONS, TEST_IMAGES = 10, 24, 500
RATE = 2.0  # mean spikes per image


def fit(task, *, cells="simple", images=500, penalty=100.0):
    """Ridge regression of simulated responses on pixels; the mean over neurons of their correlations."""
    world = np.random.default_rng(1)
    fields = gabors(world)
    pictures = correlated_noise(world, images + TEST_IMAGES)
    rates = responses(pictures, fields, cells)
    spikes = np.random.default_rng(task.seeds.noise).poisson(rates)

    inputs, test_inputs = pictures[:-TEST_IMAGES], pictures[-TEST_IMAGES:]
    weights = ridge(inputs, spikes[:-TEST_IMAGES], penalty)
    predicted = test_inputs @ weights
    return {
        "train/correlation": correlation(inputs @ weights, spikes[:-TEST_IMAGES]),
        "test/correlation": correlation(predicted, spikes[-TEST_IMAGES:]),
        # What a perfect model would reach: the rates themselves against the noisy spikes.
        "test/ceiling": correlation(rates[-TEST_IMAGES:], spikes[-TEST_IMAGES:]),
        "field_recovery": correlation(weights, fields[0].T),
    }


def gabors(random):
    """Receptive fields in two phases, a quarter of a period apart:

    (phase, neuron, pixel), each of length one.
    """
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    cx, cy = random.uniform(-2, 2, (2, NEURONS, 1, 1))
    angle, phase = random.uniform(0, np.pi, (2, NEURONS, 1, 1))
    along = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
    envelope = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 1.8**2))
    waves = [envelope * np.cos(2 * np.pi * along / 5 + phase + shift) for shift in (0, np.pi / 2)]
    fields = np.reshape(waves, (2, NEURONS, SIZE**2))
    return fields / np.linalg.norm(fields, axis=2, keepdims=True)


def correlated_noise(random, count):
    """Pictures with the 1/f spectrum of natural images, (image, pixel), mean 0 and variance 1 over all."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIZE), np.fft.fftfreq(SIZE)))
    frequency[0, 0] = np.inf  # no mean luminance
    pictures = np.fft.ifft2(np.fft.fft2(random.normal(size=(count, SIZE, SIZE))) / frequency).real
    return pictures.reshape(count, -1) / pictures.std()


def responses(pictures, fields, cells):
    """Expected spikes (image, neuron): one half-wave rectified phase, or the energy of both."""
    drive = np.einsum("ip,knp->kin", pictures, fields)
    kinds = {"simple": np.maximum(drive[0], 0), "complex": np.sqrt((drive**2).sum(axis=0))}
    if cells not in kinds:
        raise ValueError(f"cells={cells!r}: expected one of {', '.join(kinds)}")
    return RATE * kinds[cells] / kinds[cells].mean(axis=0)


def ridge(inputs, outputs, penalty):
    """argmin |outputs − inputs·w|² + penalty·|w|², outputs centred: (pixel, neuron)."""
    centred = outputs - outputs.mean(axis=0)
    return np.linalg.solve(inputs.T @ inputs + penalty * np.eye(inputs.shape[1]), inputs.T @ centred)


def correlation(a, b):
    """Pearson's, per column, averaged over columns."""
    a, b = (values - values.mean(axis=0) for values in (a, b))
    return float(np.mean((a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))))


experiment = nf.Experiment(
    fit=fit,
    grid=nf.grid(cells=["simple", "complex"], images=[125, 500, 2000], penalty=[1.0, 100.0, 10_000.0]),
    repetitions=5,
)

if __name__ == "__main__":
    nf.main(experiment)
