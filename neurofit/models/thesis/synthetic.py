"""Can the architecture learn, and how much noise does it learn? Models trained on responses whose truth is
known.

A trained model's predictions take the place of the recording ("generated"), with noise of known strength on
them ("noised"). Six correlations tell what a new model learned: on training and test images, each with the
noised, the generated, and the recorded ("true") responses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neurofit.models.fit import Fit
from neurofit.models.thesis.fits import OWN, SPLIT

SEED = 42  # of the noise: the same for all repetitions
RUNS = 3  # noisy responses to each test image that are averaged


def synthetic(dataset: Any, rates: Any, *, noise_coef: float, eval_noised: bool) -> Any:
    """The data set with noised rates (image, neuron) in place of its responses.

    If the lowest response is negative then, what it lacks is added to all. (The thesis added the lowest
    itself, which made more of them negative.)

    Parameters
    ----------
    dataset : datasets.Dataset
        The recording.
    rates : ndarray of shape (image, neuron)
        The generated responses.
    noise_coef : float
        The noise's standard deviation is this times √rate. A test image's response is the mean of RUNS.
    eval_noised : bool
        Whether test responses are noised. Otherwise they are the rates themselves.

    Returns
    -------
    datasets.Dataset
        Its truth has "rates", and in "noised", "recorded" and "image_ids" what `SyntheticFit` scores with.
    """
    import numpy as np

    from neurofit.datasets.dataset import frozen

    rng = np.random.default_rng(SEED)
    test = dataset.official == "test"
    noisy = np.empty_like(rates)
    noisy[~test] = _noised(rates[~test], noise_coef, rng)
    noisy[test] = np.mean([_noised(rates[test], noise_coef, rng) for _ in range(RUNS)], axis=0)
    responses = noisy if eval_noised else np.where(test[:, None], rates, noisy)
    truth = {
        "rates": rates,
        "parameters": dataset.neurons,
        "noised": noisy,
        "recorded": dataset.responses,
        "image_ids": dataset.image_ids,
    }
    neurons = dataset.neurons.drop(columns="reliability", errors="ignore")
    return dataset.derived(responses=frozen(responses), trials=None, mask=None, neurons=neurons, truth=truth)


def generated(model: Any, dataset: Any) -> Any:
    """(image, neuron) predictions of a model that `thesis.fit` trained, for the images of a data set."""
    import numpy as np

    from neurofit import datasets

    parts = datasets.split(dataset, datasets.Split(**SPLIT), seed=0)
    parts, _ = datasets.standardise(parts, **OWN)
    order = {image_id: place for place, image_id in enumerate(dataset.image_ids.tolist())}
    rates = np.empty((dataset.n_images, dataset.n_neurons))
    for _, part in parts.items():
        rates[[order[image_id] for image_id in part.image_ids.tolist()]] = _predicted(model, part)
    return rates


@dataclass(frozen=True)
class SyntheticFit(Fit):
    """A Fit on what `synthetic` made, with seven more scores.

    Six are "train/correlation_noised" to "test/correlation_true". "train/noise_correlation" is the correlation
    of noised with generated responses: how much the noise left.
    """

    def __call__(self, task: Any) -> dict[str, float]:
        from neurofit.models import data

        metrics = super().__call__(task)
        arguments = self.router.route(task.params).data
        parts = data.material(self.data, arguments, self.router.data, task).parts
        model = self.load(task.folder)
        for name, part in parts.items():
            metrics |= {f"{name}/{key}": value for key, value in _six(part, _predicted(model, part)).items()}
        return metrics


def _six(part: Any, predictions: Any) -> dict[str, float]:
    """This part's three of them, and its noise correlation."""
    from neurofit import scores

    targets = {"noised": _of(part, "noised"), "generated": part.truth["rates"], "true": _of(part, "recorded")}

    def correlation(responses, others):
        return scores.population(scores.correlation, responses, others).value

    found = {f"correlation_{name}": correlation(target, predictions) for name, target in targets.items()}
    return {**found, "noise_correlation": correlation(targets["noised"], targets["generated"])}


def _of(part: Any, name: str) -> Any:
    """These responses of this part's images."""
    order = {image_id: place for place, image_id in enumerate(part.truth["image_ids"].tolist())}
    return part.truth[name][[order[image_id] for image_id in part.image_ids.tolist()]]


def _noised(rates: Any, scale: float, rng: Any) -> Any:
    import numpy as np

    noised = rates + rng.normal(0, scale * np.sqrt(rates))
    return noised - min(noised.min(), 0)


def _predicted(model: Any, part: Any) -> Any:
    import numpy as np

    return np.asarray(model.predict(part.inputs["image"], batch_size=512, verbose=0), np.float64)
