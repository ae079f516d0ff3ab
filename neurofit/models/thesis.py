"""The thesis' training and recordings, and its study of synthetic noise. Cheap to import.

The study of synthetic noise asks what an architecture can learn, and how much noise it learns. A trained
model's predictions replace the recording ("generated"), and noise of known strength is added to them
("noised"). Six correlations show what a new model learned: on training and test images, each with the noised,
the generated, and the recorded ("true") responses.

The experiments are in `jobs/`, their architectures in `models.architectures`; `docs/thesis.md` has the list,
and what differs from the thesis on purpose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from neurofit.models.fit import Fit
from neurofit.models.training import Training

REGION_1 = "antolik_2016/region1"
OWN = {"inputs": "global", "statistics": "own"}  # mean 0 and std 1, each part by its own statistics
# No validation images were kept back: the monitored set is the reported one.
SPLIT: dict[str, Any] = {"monitor_test": True}
NEURONS = {1: 103, 2: 55, 3: 102}  # of the regions
SIMULATED_IMAGES, SIMULATED_TEST = 450, 50  # of a simulated region


def fit(
    architecture: Callable[..., Any],
    *,
    data: str | Callable[..., Any] = REGION_1,
    standardise: Any = OWN,
    epochs: int = 5_000,
    learning_rate: float = 1e-3,
    loss: str = "poisson",
    validate_every: int = 100,
    jit: bool = True,
    together: int = 1,
    kind: type[Fit] = Fit,
) -> Fit:
    """A fit as in the thesis: Adam, batches of 16, constant learning rate, the last weights.

    A neuron's Poisson loss is divided by its mean response over training and monitored images, as NDN did.

    Parameters
    ----------
    architecture : callable
    data : str or callable
    standardise : str or dict
    epochs : int, default 5000
    learning_rate : float, default 1e-3
    loss : str, default "poisson"
    validate_every : int, default 100
        Epochs between validations.
    jit : bool, default True
    together : int, default 1
        Repetitions that one program trains, see `Training`.
    kind : type, default Fit
        The class of the fit.

    Returns
    -------
    Fit
    """
    training = Training(
        epochs=epochs,
        batch_size=16,
        learning_rate=learning_rate,
        loss=loss,
        unit_rates="train+monitored" if loss == "poisson" else "none",
        validate_every=validate_every,
        jit=jit,
        together=together,
    )
    return kind(architecture, data=data, training=training, split=SPLIT, standardise=standardise)


def several_regions(*, regions: Any = (1,), data: str = "antolik_2016") -> Any:
    """The recordings of these regions, stacked: responses block-diagonal, with a mask.

    Parameters
    ----------
    regions : sequence of int, default (1,)
    data : str, default "antolik_2016"
        "simulated" has as many simulated neurons per region, other images for each, in the recordings' range.

    Returns
    -------
    str or Dataset
    """
    if data == "simulated":
        from neurofit import datasets

        return datasets.stack([_simulated(int(number)) for number in regions])
    return f"{data}/{'+'.join(f'region{number}' for number in regions)}"


def one_region(*, region: int = 1, data: str = "antolik_2016") -> Any:
    """`several_regions` of one region.

    Parameters
    ----------
    region : int, default 1
    data : str, default "antolik_2016"

    Returns
    -------
    str or Dataset
    """
    return several_regions(regions=[region], data=data)


def _simulated(number: int) -> Any:
    from neurofit import datasets

    made = datasets.simulate(
        n_images=SIMULATED_IMAGES, n_test=SIMULATED_TEST, n_neurons=NEURONS.get(number, 50), seed=number
    )
    name = f"simulated/region{number}"
    images = {"image": made.inputs["image"] * 1e-6}  # 0 … 2.55e-4, as the recordings have them
    return made.derived(name=name, inputs=images, neurons=made.neurons.assign(recording=name))


SEED = 42  # of the noise: the same for all repetitions
RUNS = 3  # noisy responses to each test image that are averaged


def synthetic(dataset: Any, rates: Any, *, noise_coef: float, eval_noised: bool) -> Any:
    """The data set with noised rates in place of its responses.

    Parameters
    ----------
    dataset : Dataset
    rates : ndarray, shape (image, neuron)
        Predictions of a trained model.
    noise_coef : float
        Standard deviation of the noise divided by √rate. A test image's response is the mean of RUNS noisy
        ones. If the lowest value is negative, all are shifted so that it is 0 (the thesis added the lowest
        value itself, which made more of them negative).
    eval_noised : bool
        If False, test responses are the rates themselves.

    Returns
    -------
    Dataset
        Its truth has "rates"; and "noised", "recorded" and "image_ids", which `SyntheticFit` scores with.
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
    """Predictions of a model that `thesis.fit` trained, for the images of a data set.

    Parameters
    ----------
    model : keras.Model or LoadedModel
    dataset : Dataset

    Returns
    -------
    ndarray, shape (image, neuron)
    """
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
    """A Fit on a data set that `synthetic` made, with six more scores and the noise correlation.

    The scores are "train/correlation_noised" to "test/correlation_true". "train/noise_correlation" is the
    correlation of noised with generated responses: how much the noise left.
    """

    def scored(self, task: Any, metrics: dict[str, float]) -> dict[str, float]:
        """Add the scores to the metrics of a task.

        Parameters
        ----------
        task : Task
        metrics : dict of str to float

        Returns
        -------
        dict of str to float
        """
        from neurofit.models import data

        arguments = self.router.route(task.params).data
        parts = data.prepared(self.data, arguments, self.router.data, task).parts
        model = self.load(task.folder)
        for name, part in parts.items():
            six = _six(part, _predicted(model, part))
            metrics = metrics | {f"{name}/{key}": value for key, value in six.items()}
        return metrics


def _six(part: Any, predictions: Any) -> dict[str, float]:
    """Three of the scores for this part, and its noise correlation."""
    from neurofit import scores

    targets = {"noised": _of(part, "noised"), "generated": part.truth["rates"], "true": _of(part, "recorded")}

    def correlation(responses: Any, others: Any) -> float:
        return scores.population(scores.correlation, responses, others).value

    found = {f"correlation_{name}": correlation(target, predictions) for name, target in targets.items()}
    return {**found, "noise_correlation": correlation(targets["noised"], targets["generated"])}


def _of(part: Any, name: str) -> Any:
    """These responses for this part's images."""
    order = {image_id: place for place, image_id in enumerate(part.truth["image_ids"].tolist())}
    return part.truth[name][[order[image_id] for image_id in part.image_ids.tolist()]]


def _noised(rates: Any, scale: float, rng: Any) -> Any:
    import numpy as np

    noised = rates + rng.normal(0, scale * np.sqrt(rates))
    return noised - min(noised.min(), 0)


def _predicted(model: Any, part: Any) -> Any:
    import numpy as np

    from neurofit.models.loaded import unwrapped

    predicted = unwrapped(model).predict(part.inputs["image"], batch_size=512, verbose=0)
    return np.asarray(predicted, np.float64)
