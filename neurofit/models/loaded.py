"""A finished task's model as `neurofit.load` returns it: images as recorded go in, responses as recorded come out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from neurofit.datasets import Dataset
from neurofit.errors import DataError
from neurofit.files import read_json
from neurofit.models.prediction import Predictions, names_of, neurons_of
from neurofit.models.saved import recipe

_SHOWN = 6  # neurons in a message


class LoadsAndPredicts(Protocol):
    """What is needed of a fit; `predict` may have the argument `model`."""

    def load(self, folder: Path, /) -> Any: ...

    @property
    def predict(self) -> Callable[..., Any]: ...


class LoadedModel:
    """A finished task's model, with the steps before and after it that its task recorded.

    Whatever else is asked of it, or called, or set, goes to `model`: `loaded(x)` takes images in the units that the
    model was trained with, and `loaded.layers` or `loaded.get_layer("core")` are those of the Keras model.

    Parameters
    ----------
    model : object
        What the fit's `load` returns: a Keras model for `models.Fit`, a `Ridge` or a `SavedMap` for others.
    folder : Path
        The folder of the finished attempt.
    predictions : callable
        `predictions(images)` returns `Predictions`.
    is_features : callable
        Whether what `predict` is given are features, which `model` takes, and not images.

    Attributes
    ----------
    neurons : tuple of str
        "recording/number" of each neuron, in the order of the predictions.
    recipe : dict
        Everything that determined the model, as in recipe.json; that of a `SavedMap` is its own.
    arguments : dict
        Arguments of the task, defaults included.
    """

    model: Any
    folder: Path

    def __init__(
        self,
        model: Any,
        folder: Path,
        predictions: Callable[[Any], Predictions],
        is_features: Callable[[Any], bool],
    ) -> None:
        self.__dict__.update(
            model=model, folder=Path(folder), _predictions=predictions, _is_features=is_features
        )

    def predict(self, images: Any, **more: Any) -> np.ndarray:
        """Predict the responses to images as they were recorded.

        They are scaled and converted as those that the model was trained on, with the numbers of the training set.
        `neurofit.predict` computes the same, and names images and neurons.

        Parameters
        ----------
        images : ndarray, Dataset, StimulusSet, str, or mapping of str to ndarray
            (image, height, width, channel) in the units of the data set, or (image, height, width) if there is one
            channel; a data set of the same neurons; a stimulus set; the name of a data set or of a .npy or .npz file;
            or arrays by input. Features of a `Ridge` or a `SavedMap` are taken as these take them.

        Returns
        -------
        ndarray, shape (image, neuron)
            In the units of the recordings.

        Raises
        ------
        ShapeError
            If the images do not have the size or the channels that the model takes.
        DataError
            If they cannot be read, are none, are not finite numbers, look scaled already, or belong to a data set of
            other neurons.
        """
        if "name" in more or self._is_features(images):
            return np.asarray(self.model.predict(images, **more))
        if more:
            raise TypeError(
                f"predict(images) of a loaded model takes raw images and no {', '.join(more)}. The model that takes "
                "scaled ones is .model: .model.predict(scaled, …)."
            )
        if isinstance(images, Dataset):
            self._check_neurons(images)
        return self._predictions(images).values

    @property
    def neurons(self) -> tuple[str, ...]:
        """ "recording/number" of each neuron."""
        return neurons_of(self.folder)

    @property
    def recipe(self) -> dict[str, Any]:
        """Everything that determined the model."""
        own = getattr(self.model, "recipe", None)
        return own if isinstance(own, dict) else self._record

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments of the task, defaults included."""
        path = self.folder / "outcome.json"
        outcome = read_json(path) if path.exists() else {}
        return {**(outcome.get("defaults") or {}), **(outcome.get("params") or {})} or self._record[
            "arguments"
        ]

    @property
    def _record(self) -> dict[str, Any]:
        return recipe(self.folder)

    def _check_neurons(self, dataset: Dataset) -> None:
        """Raise DataError unless the data set has the neurons that the model predicts."""
        found, own = names_of(dataset.neurons["recording"], dataset.neurons["number"]), self.neurons
        if found != own:
            raise DataError(
                f"The {len(found)} neurons of '{dataset.name}' are {_listed(found)}, but the model predicts "
                f"{_listed(own)}. Give its images alone to predict these for them: predict(dataset.inputs['image'])."
            )

    def __call__(self, *inputs: Any, **more: Any) -> Any:
        return self.model(*inputs, **more)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "model" not in self.__dict__:  # while it is copied or unpickled
            raise AttributeError(f"A loaded model has no attribute '{name}'.", name=name, obj=self)
        return getattr(self.model, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.model, name, value)

    def __dir__(self) -> Iterable[str]:
        return sorted({*super().__dir__(), *dir(self.model)})

    def __repr__(self) -> str:
        record = self._record
        given = ", ".join(f"{name}={value!r}" for name, value in record["arguments"].items())
        shapes = record.get("shapes", {}).get("inputs", {})
        takes = ", ".join(f"{name} (image, {', '.join(map(str, shape))})" for name, shape in shapes.items())
        return (
            f"<{type(self).__name__} {record['architecture']}({given}): {takes or 'images'} → "
            f"{len(self.neurons)} neurons of {record['data']['name']}; {self.folder}>"
        )


def loaded(
    fit: LoadsAndPredicts, folder: Path, study: Path, is_features: Callable[[Any], bool] = lambda given: False
) -> LoadedModel:
    """The model of a finished attempt.

    Parameters
    ----------
    fit : object
        With `load(folder)` and `predict(folder, data, study)`; if that has the argument `model`, it receives the
        loaded one.
    folder : Path
        The folder of the attempt.
    study : Path
        The folder of the study, where data sets are looked for.
    is_features : callable, optional
        Whether what `predict` is given are features, which the model itself takes.

    Returns
    -------
    LoadedModel
    """
    model = fit.load(folder)
    takes_model = "model" in inspect.signature(fit.predict).parameters
    given = {"model": model} if takes_model and _owner(fit, "load") is _owner(fit, "predict") else {}
    return LoadedModel(model, folder, lambda data: fit.predict(folder, data, study, **given), is_features)


def _owner(fit: Any, method: str) -> type | None:
    """The class that defines a method: one that has its own `load` returns what its base's `predict` cannot take."""
    return next((one for one in type(fit).__mro__ if method in vars(one)), None)


def unwrapped(model: Any) -> Any:
    """The model itself: the Keras model of what `neurofit.load` returned."""
    return model.model if isinstance(model, LoadedModel) else model


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
