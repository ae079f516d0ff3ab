"""The `fit` of an experiment for linear maps: features, then a map with its settings chosen in folds.

A task leaves predictions.npz, neurons.csv and recipe.json in its folder, as `models.Fit` does, and map.npz, a
`SavedMap`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurofit.errors import GridError
from neurofit.models.baselines.features import Block
from neurofit.models.baselines.linear import write_recipe
from neurofit.models.linear_maps.blocks import StackedMatrix, WideMatrix, bands_of
from neurofit.models.linear_maps.gram import gram_of
from neurofit.models.linear_maps.maps import fit_map
from neurofit.models.linear_maps.recipe import MapRecipe
from neurofit.models.linear_maps.saved import SavedMap
from neurofit.models.ready_made import ReadyMade, name_of

if TYPE_CHECKING:
    from neurofit.datasets import Dataset
    from neurofit.models.prediction import Predictions


def _by_groups() -> MapRecipe:
    return MapRecipe(fold_rule="grouped")


@dataclass(frozen=True)
class MapFit(ReadyMade):
    """A linear map from features to all neurons: the `fit` of an `Experiment`. Does not use TensorFlow.

    Everything of the recipe can be an axis of the grid: `kind`, `alphas`, `components`, `per_neuron`, `folds`, ….

    Parameters
    ----------
    features : callable or dict of str to callable
        `def name(images, *, …)` returns an array, (image, unit), or a list of arrays, one per band; blocks of
        `baselines.features` are bands too. One band unless the kind is "banded": the bands are then put side by
        side. Its keyword arguments can be axes of a grid. A dict holds several functions, and the grid then
        needs the axis `architecture`.
    data : str or callable, default "simulated"
        As for `models.Fit`.
    split : datasets.Split or dict, optional
        As for `models.Fit`. A validation set is scored and has no part in the fit.
    scores : tuple of str, optional
        As for `models.Fit`.
    mapping : MapRecipe, optional
        The settings that apply unless an axis sets another value. Folds are "grouped" by default, so that
        copies of an image are in one fold.
    labels : str or callable, optional
        For folds that are stratified or grouped: the name of a label of the data set, such as "object", or
        `def name(part)`, which returns the label, (image,), of each image of a `datasets.Dataset`. Default: the
        groups of the data set, which hold copies of an image together.
    memory_gb : float, optional
        Memory of the whole process. Default: 80 % of what its limits and the host leave.
    """

    public_name = "neurofit.models.linear_maps.MapFit"
    functions, recipe = "features", "mapping"

    features: Callable | Mapping[str, Callable]
    mapping: MapRecipe = field(default_factory=_by_groups, kw_only=True)
    labels: str | Callable | None = field(default=None, kw_only=True)
    memory_gb: float | None = field(default=None, kw_only=True)

    def _recipe_type(self) -> type:
        return MapRecipe

    def check(self, params: Mapping[str, Any]) -> None:
        """Raise GridError if these arguments do not go together."""
        if self.router.route(params).training.fold_rule == "stratified" and self.labels is None:
            raise GridError(
                "MapFit: fold_rule='stratified' needs labels: MapFit(labels=\"object\") names a label of the data "
                "set, or labels is a function that returns one of each image. Without labels, use 'grouped' "
                "(copies of an image together) or 'random'."
            )

    def settings(self) -> dict[str, Any]:
        """What is part of every run's id, as JSON."""
        labels = name_of(self.labels) if callable(self.labels) else self.labels
        return {**super().settings(), **({"labels": labels} if labels else {})}

    def __call__(self, task: Any) -> dict[str, float]:
        from neurofit.models import data
        from neurofit.models.fitting import scoring

        self.check(task.params)
        routed = self.router.route(task.params)
        defaults = {**self.router.data, "standardise": "none"}
        prepared = data.prepared(self.data, routed.data, defaults, task)
        how, parts = routed.training, prepared.parts
        function = self.built[routed.architecture]
        of_parts = [_bands(function(part.inputs["image"], **routed.build), how) for _, part in parts.items()]
        features = [StackedMatrix(of_band) for of_band in zip(*of_parts)]
        ends = np.cumsum([part.n_images for _, part in parts.items()])
        rows = {name: np.arange(end - part.n_images, end) for (name, part), end in zip(parts.items(), ends)}

        train, name = parts.train, name_of_features(routed.architecture, routed.build)
        n_neurons = train.n_neurons
        gram = gram_of(features, rows["train"], name=name, memory_gb=self.memory_gb, neurons=n_neurons)
        labels = labels_of(train, self.labels)
        found = fit_map(gram, np.where(train.valid, train.responses, np.nan), how, labels=labels)
        result = scoring.score(
            {part: found.predict(gram, of) for part, of in rows.items()}, parts, self.scores
        )

        scoring.write_predictions(task.folder, parts, result)
        SavedMap.of(found, gram, features, memory_gb=self.memory_gb).save(task.folder / "map.npz")
        write_recipe(routed, prepared, {"features": sum(gram.units), "mapping": asdict(how)}, task)
        data.record_split(parts, task)
        for warning in (*found.warnings, *result.undefined):
            data.warn(task, warning)
        task.record(
            **found.facts(),
            neurons_scored=result.n_scored,
            neurons_silent=result.n_silent,
            monitored="folds of train",
            constant_predictions=result.n_constant,
            data_hash=prepared.dataset.hash(),
        )
        return result.metrics

    def predict(self, folder: Path, data: Any, study: Path) -> Predictions:
        """Predict the responses to other images; parameters and result as of `models.Fit.predict`."""
        from neurofit.models import prediction, saved

        kept, record = self.load(folder), saved.recipe(folder)
        name, arguments = record["architecture"], record["arguments"]
        function, how = self.built_as(name, folder), MapRecipe(**kept.recipe)

        def respond(inputs: dict[str, np.ndarray]) -> np.ndarray:
            features = _bands(function(inputs["image"], **arguments), how)
            return kept.predict(features, name=name_of_features(name, arguments), memory_gb=self.memory_gb)

        return prediction.predict(respond, record["shapes"]["inputs"], folder, data, study)

    def load(self, folder: Path) -> SavedMap:
        """Load the map of a task.

        Parameters
        ----------
        folder : Path
            The folder of a finished attempt.

        Returns
        -------
        SavedMap
        """
        return SavedMap.load(Path(folder) / "map.npz")


def labels_of(part: Dataset, which: str | Callable[[Dataset], Any] | None) -> Any:
    """What the folds of a part go by, (image,): a label of it, what a function returns, or its groups."""
    if which is None:
        return part.groups
    return part.label(which) if isinstance(which, str) else which(part)


def name_of_features(function: str, arguments: Mapping[str, Any]) -> str:
    """What the features are: the function and what it was called with."""
    given = ", ".join(f"{name}={_listed(value)!r}" for name, value in sorted(arguments.items()))
    return f"{function}({given})" if given else function


def _listed(value: Any) -> Any:
    return [_listed(one) for one in value] if isinstance(value, (list, tuple)) else value


def _bands(features: Any, how: MapRecipe) -> list[WideMatrix]:
    listed = features if isinstance(features, (list, tuple)) else [features]
    arrays = [one.values if isinstance(one, Block) else one for one in listed]
    if how.kind != "banded" and len(arrays) > 1:
        arrays = [np.concatenate([np.reshape(one, (len(one), -1)) for one in arrays], axis=1)]
    return list(bands_of(arrays))
