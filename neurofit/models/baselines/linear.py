"""The `fit` of an experiment for regressions: features, then ridge regression with α by validation.

A task leaves predictions.npz, neurons.csv and recipe.json in its folder, as `models.Fit` does, and

    ridge.npz    mean, factor (feature,), seen (training image, feature), dual (training image, neuron),
                 intercept, alpha (neuron,); kernel, length, power: see `baselines.ridge`
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurofit import scores, unpacked
from neurofit.errors import DataError, GridError
from neurofit.files import write_whole
from neurofit.models.baselines.features import Block
from neurofit.models.baselines.ridge import KERNELS, Ridge, Scaling, ridge_path
from neurofit.models.ready_made import ReadyMade, plain
from neurofit.t_interval import half_width

if TYPE_CHECKING:
    from neurofit.models.loaded import LoadedModel
    from neurofit.models.prediction import Predictions

SHARED = ("recording", "neuron")


@dataclass(frozen=True)
class Regression:
    """How a regression is fitted.

    Parameters
    ----------
    alphas : tuple of float
        Penalties to choose from; all features together have variance 1.
    kernel : {"linear", "gaussian"}
        "gaussian" fits functions of the features that are smooth over distances of about `length`.
    length : float, default 1.5
        Of the Gaussian kernel; 1 is the mean distance of two images divided by √2.
    power : float, default 1
        Responses are fitted to this power, and predictions raised to its inverse. Below 1 it acts like the
        threshold of a cell.
    shared_by : {"recording", "neuron"}
        "recording": all neurons of a recording have the α with the highest mean correlation on the validation
        set. "neuron": each has the one with the smallest squared error there.
    refit : bool, default False
        After α is chosen, fit again to training and validation images together.

    Raises
    ------
    GridError
        If a value is not valid.
    """

    alphas: tuple[float, ...] = tuple(round(10.0 ** (k / 4), 6) for k in range(-12, 13))
    kernel: str = "linear"
    length: float = 1.5
    power: float = 1.0
    shared_by: str = "recording"
    refit: bool = False

    def __post_init__(self) -> None:
        if self.shared_by not in SHARED:
            raise GridError(f"Regression: shared_by={self.shared_by!r}; expected one of {', '.join(SHARED)}.")
        if self.kernel not in KERNELS:
            raise GridError(f"Regression: kernel={self.kernel!r}; expected one of {', '.join(KERNELS)}.")
        for name in ("length", "power"):
            if not getattr(self, name) > 0:
                raise GridError(f"Regression: {name}={getattr(self, name)!r}; expected a number > 0.")
        if not self.alphas or not all(alpha > 0 for alpha in self.alphas):
            raise GridError(f"Regression: alphas={self.alphas!r}; expected some numbers > 0.")


@dataclass(frozen=True)
class LinearFit(ReadyMade):
    """Ridge regression on features: the `fit` of an `Experiment`. Does not use TensorFlow.

    Parameters
    ----------
    features : callable or dict of str to callable
        `def name(images, *, …) -> list[Block]` (`baselines.features`). Its keyword arguments can be axes of a
        grid. A dict holds several functions, and the grid then needs the axis `architecture`.
    data : str or callable, default "simulated"
        As for `models.Fit`.
    split : datasets.Split or dict, optional
        As for `models.Fit`.
    scores : tuple of str, optional
        As for `models.Fit`. There must be a validation set.
    regression : Regression, optional
        The settings that apply unless an axis sets another value.
    """

    public_name = "neurofit.models.baselines.LinearFit"
    functions, recipe = "features", "regression"

    features: Callable[..., Any] | Mapping[str, Callable[..., Any]]
    regression: Regression = field(default_factory=Regression, kw_only=True)

    def __call__(self, task: Any) -> dict[str, float]:
        from neurofit.models import data
        from neurofit.models.fitting import scoring

        routed = self.router.route(task.params)
        defaults = {**self.router.data, "standardise": "none"}
        prepared = data.prepared(self.data, routed.data, defaults, task)
        features = {
            name: self.built[routed.architecture](np.asarray(part.inputs["image"]), **routed.build)
            for name, part in prepared.parts.items()
        }
        ridge, alpha = fitted(features, prepared.parts, routed.training)
        result = scoring.score(
            {name: ridge.predict(x)[0] for name, x in features.items()}, prepared.parts, self.scores
        )
        scoring.write_predictions(task.folder, prepared.parts, result)
        _keep(ridge, alpha, task.folder)
        units = sum(block.values.shape[1] for block in features["train"])
        write_recipe(routed, prepared, {"features": units, "regression": asdict(routed.training)}, task)
        data.record_split(prepared.parts, task)
        for warning in result.undefined:
            data.warn(task, warning)
        task.record(
            neurons_scored=result.n_scored,
            neurons_silent=result.n_silent,
            monitored="validation",
            constant_predictions=result.n_constant,
            data_hash=prepared.dataset.hash(),
        )
        return result.metrics

    def predict(self, folder: Path, data: Any, study: Path, *, model: Ridge | None = None) -> Predictions:
        """Predict the responses to other images; parameters and result as of `models.Fit.predict`."""
        from neurofit.models import prediction, saved

        ridge, record = self.load(folder) if model is None else model, saved.recipe(folder)
        function = self.built_as(record["architecture"], folder)

        def respond(inputs: dict[str, np.ndarray]) -> np.ndarray:
            features = function(inputs["image"], **record["arguments"])
            predicted: np.ndarray = ridge.predict(features)[0]
            return predicted

        # Recipes of version 0.1 have no shapes; the features then decide what they accept.
        shapes = record.get("shapes", {"inputs": {"image": None}})["inputs"]
        return prediction.predict(respond, shapes, folder, data, study)

    def loaded(self, folder: Path, study: Path) -> LoadedModel:
        """Load the regression of a task as `neurofit.load` returns it.

        It takes raw images, or the features that a `Ridge` takes.

        Parameters
        ----------
        folder : Path
            The folder of a finished attempt.
        study : Path
            The folder of the study.

        Returns
        -------
        models.loaded.LoadedModel
        """
        from neurofit.models.loaded import loaded

        return loaded(self, folder, study, _are_blocks)

    def load(self, folder: Path) -> Ridge:
        """Load the regression of a task.

        Parameters
        ----------
        folder : Path
            The folder of a finished attempt.

        Returns
        -------
        Ridge
        """
        with np.load(unpacked.located(Path(folder) / "ridge.npz")) as kept:
            scaling = Scaling(kept["mean"], kept["factor"])
            kernel = str(kept["kernel"]), float(kept["length"]), float(kept["power"])
            return Ridge(scaling, kept["seen"], kept["dual"][None], kept["intercept"], *kernel)


def _are_blocks(given: Any) -> bool:
    """Whether these are features, as a `Ridge` takes them."""
    return isinstance(given, (list, tuple)) and bool(given) and all(isinstance(one, Block) for one in given)


def fitted(features: Mapping[str, list[Block]], parts: Any, how: Regression) -> tuple[Ridge, np.ndarray]:
    """The regression with the chosen penalties, and the penalties.

    Parameters
    ----------
    features : mapping of str to list of Block
        One entry per part.
    parts : datasets.Parts
    how : Regression

    Returns
    -------
    ridge : Ridge
    alpha : ndarray, shape (neuron,)

    Raises
    ------
    DataError
        If there is no validation set, or responses are missing.
    """
    if parts.validation is None or parts.monitors_test:
        raise DataError("LinearFit needs a validation set to choose alpha, and the split has none.")
    ridge = partial(ridge_path, alphas=how.alphas, kernel=how.kernel, length=how.length, power=how.power)
    path = ridge(features["train"], _responses(parts.train))
    index = _chosen(path.predict(features["validation"]), parts.validation, how)
    if how.refit:
        both = [
            replace(one, values=np.concatenate([one.values, other.values]))
            for one, other in zip(features["train"], features["validation"])
        ]
        responses = np.concatenate([_responses(parts.train), _responses(parts.validation)])
        path = ridge(both, responses)
    return path.chosen(index), np.asarray(how.alphas)[index]


def _responses(part: Any) -> np.ndarray:
    """Responses, (image, neuron), NaN where a response does not count."""
    return np.where(part.valid, part.responses, np.nan)


def _chosen(predictions: np.ndarray, validation: Any, how: Regression) -> np.ndarray:
    """Indices of alphas, (neuron,), from predictions (alpha, image, neuron)."""
    responses = _responses(validation)
    if how.shared_by == "neuron":
        lowest: np.ndarray = np.nansum((predictions - responses) ** 2, axis=1).argmin(axis=0)
        return lowest
    correlations = np.array([np.nan_to_num(scores.correlation(responses, one)) for one in predictions])
    recordings = validation.neurons["recording"].to_numpy().astype(str)
    index = np.zeros(validation.n_neurons, np.int64)
    for name in set(recordings):
        of = recordings == name
        index[of] = correlations[:, of].mean(axis=1).argmax()
    return index


def _keep(ridge: Ridge, alpha: np.ndarray, folder: Path) -> None:
    np.savez_compressed(
        folder / "ridge.npz",
        mean=ridge.scaling.mean,
        factor=ridge.scaling.factor,
        seen=ridge.seen.astype(np.float32),
        dual=ridge.dual[0],
        intercept=ridge.intercept,
        alpha=alpha,
        kernel=ridge.kernel,
        length=ridge.length,
        power=ridge.power,
    )


def write_recipe(routed: Any, prepared: Any, how: Mapping[str, Any], task: Any) -> None:
    """Write recipe.json of a regression: what its features are, its data and split, and `how` it is fitted."""
    record = {
        "architecture": routed.architecture,
        "arguments": plain(routed.build),
        "shapes": {"inputs": {"image": list(prepared.dataset.image_shape)}},
        "data": {
            "name": prepared.dataset.name,
            "hash": prepared.dataset.hash(),
            "images": {name: part.n_images for name, part in prepared.parts.items()},
        },
        "split": {**asdict(prepared.split), "seed": prepared.split_seed, "split_by": task.split_by},
        **how,
    }
    text = json.dumps(record, indent=1, default=str, ensure_ascii=False)
    write_whole(task.folder / "recipe.json", f"{text}\n", durable=False)


def over_splits(scores: np.ndarray, test_to_train: float | None = None) -> tuple[float, float, float]:
    """Mean and 95 % interval of scores over splits of the same images: the mean over neurons in each split,
    then over splits.

    Parameters
    ----------
    scores : ndarray, shape (split, neuron)
        nan = not scored, such as a silent neuron. A split without any score is left out.
    test_to_train : float, optional
        Test images per training image. Training sets of resampled splits overlap, so that the variance of the
        mean is s² (1/n + test/train). Without it, splits count as independent, which is right for data of
        their own alone.

    Returns
    -------
    mean, low, high : float
        nan where there is no score; `low` and `high` are nan for a single split. The interval is of the mean
        over such splits of these images, not of what other images would give.

    References
    ----------
    C. Nadeau and Y. Bengio (2003), doi:10.1023/A:1024068626366.
    """
    means = np.array([np.nanmean(row) for row in scores if np.isfinite(row).any()])
    if not len(means):
        return np.nan, np.nan, np.nan
    if len(means) == 1:
        return float(means[0]), np.nan, np.nan
    half = half_width(means.std(ddof=1), len(means), test_to_train or 0)
    return float(means.mean()), float(means.mean() - half), float(means.mean() + half)
