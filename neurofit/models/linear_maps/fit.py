"""The `fit` of an experiment for linear maps: features, then a map with its settings chosen in folds.

A task leaves predictions.npz, neurons.csv and recipe.json in its folder, as `models.Fit` does, and map.npz, a
`SavedMap`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurofit import datasets, unpacked
from neurofit.environment import settle_keras
from neurofit.errors import DataError, GridError
from neurofit.models.baselines.features import Block
from neurofit.models.baselines.linear import write_recipe
from neurofit.models.linear_maps.blocks import StackedMatrix, WideMatrix, bands_of
from neurofit.models.linear_maps.gram import Gram, gram_of
from neurofit.models.linear_maps.maps import LinearMap, fit_map
from neurofit.models.linear_maps.network_features import NetworkFeatures, facts_of, name_of_stored, rows_of
from neurofit.models.linear_maps.recipe import MapRecipe
from neurofit.models.linear_maps.saved import SavedMap
from neurofit.models.ready_made import ReadyMade, name_of

if TYPE_CHECKING:
    from neurofit.datasets import Dataset, Parts
    from neurofit.features import Features
    from neurofit.models.data import PreparedData
    from neurofit.models.loaded import LoadedModel
    from neurofit.models.prediction import Predictions
    from neurofit.models.ready_made import Routed


def _by_groups() -> MapRecipe:
    return MapRecipe(fold_rule="grouped")


@dataclass(frozen=True)
class MapFit(ReadyMade):
    """A linear map from features to all neurons: the `fit` of an `Experiment`. Does not use TensorFlow.

    Everything of the recipe can be an axis of the grid: `kind`, `alphas`, `components`, `per_neuron`, `folds`, ….

    Parameters
    ----------
    features : callable, NetworkFeatures, or dict of str to these
        `NetworkFeatures` are layers of a network, from the feature store; the data is then a name whose images
        `datasets.load_stimuli` knows, and they stay on disk. A function
        `def name(images, *, …)` returns an array, (image, unit), or a list of arrays, one per band; blocks of
        `baselines.features` are bands too. One band unless the kind is "banded": the bands are then put side by
        side. Its keyword arguments can be axes of a grid. A dict holds several of them, and the grid then
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

    features: Callable | NetworkFeatures | Mapping[str, Callable | NetworkFeatures]
    mapping: MapRecipe = field(default_factory=_by_groups, kw_only=True)
    labels: str | Callable | None = field(default=None, kw_only=True)
    memory_gb: float | None = field(default=None, kw_only=True)

    def _recipe_type(self) -> type:
        return MapRecipe

    def check(self, params: Mapping[str, Any]) -> None:
        """Raise GridError if these arguments do not go together."""
        routed = self.router.route(params)
        if routed.training.fold_rule == "stratified" and self.labels is None:
            raise GridError(
                "MapFit: fold_rule='stratified' needs labels: MapFit(labels=\"object\") names a label of the data "
                "set, or labels is a function that returns one of each image. Without labels, use 'grouped' "
                "(copies of an image together) or 'random'."
            )
        source: Any = self.built[routed.architecture]
        if isinstance(source, NetworkFeatures):
            source.check(routed.build, routed.training.kind)

    def settings(self) -> dict[str, Any]:
        """What is part of every run's id, as JSON."""
        labels = name_of(self.labels) if callable(self.labels) else self.labels
        sources: dict[str, Any] = dict(self.built)
        own = {
            name: one.settings()
            for name, one in sources.items()
            if isinstance(one, NetworkFeatures) and one.settings()
        }
        return {
            **super().settings(),
            **({"labels": labels} if labels else {}),
            **({"features": own} if own else {}),
        }

    def prepare(self, study: Path) -> None:
        """Import TensorFlow, if features are those of a network, before tasks are forked from this process."""
        sources: list[Any] = list(self.built.values())
        if any(isinstance(one, NetworkFeatures) for one in sources):
            settle_keras()
            import keras  # noqa: F401

    def __call__(self, task: Any) -> dict[str, float]:
        from neurofit.models import data
        from neurofit.models.fitting import scoring

        self.check(task.params)
        routed = self.router.route(task.params)
        defaults = {**self.router.data, "standardise": "none"}
        source: Any = self.built[routed.architecture]
        from_network = isinstance(source, NetworkFeatures)
        prepared = data.prepared(self.data, routed.data, defaults, task, with_images=not from_network)
        how, parts = routed.training, prepared.parts
        if from_network:
            choices, described = _of_network(source, prepared, routed, task)
        else:
            choices, described = [_of_function(source, parts, routed)], {}

        chosen, on_validation = self._best(choices, parts, how)
        table, gram, found = chosen.table, chosen.gram, chosen.found
        result = scoring.score(
            {part: found.predict(gram, of) for part, of in table.rows.items()}, parts, self.scores
        )

        scoring.write_predictions(task.folder, parts, result)
        SavedMap.of(found, gram, table.bands, memory_gb=self.memory_gb).save(task.folder / "map.npz")
        written = {"features": sum(gram.units), "mapping": asdict(how), **described}
        if table.stored:
            written["network"] = facts_of(table.stored)
        if on_validation:
            written["explained_variance_on_validation"] = on_validation
            task.record(chosen_layer=table.stored[0].layer, layers_on_validation=on_validation)
        write_recipe(routed, prepared, written, task)
        data.record_split(parts, task)
        for warning in (*found.warnings, *result.undefined):
            data.warn(task, warning)
        task.record(
            **found.facts(),
            neurons_scored=result.n_scored,
            neurons_silent=result.n_silent,
            monitored="folds of train" + (", and validation for the layer" if on_validation else ""),
            constant_predictions=result.n_constant,
            medians={
                name: float(np.nanmedian(values))
                for name, values in result.per_neuron.items()
                if np.isfinite(values).any()
            },
            data_hash=prepared.dataset.hash(),
        )
        return result.metrics

    def _best(
        self, choices: Sequence[FeatureTable], parts: Parts, how: MapRecipe
    ) -> tuple[Fitted, dict[str, float]]:
        """The map of the features that predict the validation set best, and what each of several explains there."""
        best, highest, on_validation = None, -np.inf, {}
        for table in choices:
            now = self._fitted(table, parts, how)
            if len(choices) == 1:
                return now, {}
            validation = parts.validation
            if validation is None or parts.monitors_test:
                raise DataError(
                    "choose='validation' needs a validation set, and the split has none: MapFit(split={'validation': "
                    "0.1}). The test set cannot choose."
                )
            wanted = np.where(validation.valid, validation.responses, np.nan)
            scored = now.found.scored(now.gram, table.rows["validation"], wanted)["explained_variance"]
            explained = on_validation[table.stored[0].layer] = float(np.nanmedian(scored))
            if explained > highest:
                best, highest = now, explained
        if best is None:
            raise DataError("No layer explains anything on the validation set: its responses do not vary.")
        return best, on_validation

    def _fitted(self, table: FeatureTable, parts: Parts, how: MapRecipe) -> Fitted:
        train = parts.train
        gram = gram_of(
            table.bands,
            table.rows["train"],
            name=table.name,
            memory_gb=self.memory_gb,
            neurons=train.n_neurons,
        )
        responses = np.where(train.valid, train.responses, np.nan)
        return Fitted(table, gram, fit_map(gram, responses, how, labels=labels_of(train, self.labels)))

    def predict(self, folder: Path, data: Any, study: Path, *, model: SavedMap | None = None) -> Predictions:
        """Predict the responses to other images; parameters and result as of `models.Fit.predict`.

        With `NetworkFeatures`, `data` is the name of a stimulus set or a `StimulusSet`, because a network has to
        know what the values of images mean.

        Raises
        ------
        DataError
            If the network has other weights now.
        """
        from neurofit.models import prediction, saved

        kept, record = self.load(folder) if model is None else model, saved.recipe(folder)
        name, arguments = record["architecture"], record["arguments"]
        source: Any = self.built_as(name, folder)
        if isinstance(source, NetworkFeatures):
            images = prediction.stimuli_of(data, study, prediction.Declared.of_recipe(record.get("stimuli")))
            fitted_to = record["network"]
            same = {**arguments, "layer": fitted_to["layers"]}
            stored = source.stored(images, study, same, fitted_to)
            values = kept.predict(stored, name=name_of_stored(stored), memory_gb=self.memory_gb)
            return prediction.Predictions(values, images.ids, prediction.neurons_of(folder))
        how = MapRecipe(**kept.recipe)

        def respond(inputs: dict[str, np.ndarray]) -> np.ndarray:
            features = _bands(source(inputs["image"], **arguments), how)
            return kept.predict(features, name=name_of_features(name, arguments), memory_gb=self.memory_gb)

        return prediction.predict(respond, record["shapes"]["inputs"], folder, data, study)

    def loaded(self, folder: Path, study: Path) -> LoadedModel:
        """Load the map of a task as `neurofit.load` returns it.

        It takes raw images, or with `name=` the features that a `SavedMap` takes.

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

        return loaded(self, folder, study)

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
        return SavedMap.load(unpacked.located(Path(folder) / "map.npz"))


@dataclass(frozen=True)
class FeatureTable:
    """Features of the images of all parts.

    Parameters
    ----------
    bands : sequence of WideMatrix
        One per band, (image, unit).
    rows : mapping of str to ndarray
        Rows of the images of each part.
    name : str
        What the features are.
    stored : sequence of Features
        Those of a network; empty for those of a function.
    """

    bands: Sequence[WideMatrix]
    rows: Mapping[str, np.ndarray]
    name: str
    stored: Sequence[Features] = ()


@dataclass(frozen=True)
class Fitted:
    """A map, with the features that it was fitted to."""

    table: FeatureTable
    gram: Gram
    found: LinearMap


def _of_function(function: Callable[..., Any], parts: Parts, routed: Routed) -> FeatureTable:
    """What a function computes from the images of each part, one part after the other."""
    of_parts = [
        _bands(function(np.asarray(part.inputs["image"]), **routed.build), routed.training)
        for _, part in parts.items()
    ]
    ends = np.cumsum([part.n_images for _, part in parts.items()])
    rows = {name: np.arange(end - part.n_images, end) for (name, part), end in zip(parts.items(), ends)}
    bands = [StackedMatrix(of_band) for of_band in zip(*of_parts)]
    return FeatureTable(bands, rows, name_of_features(routed.architecture, routed.build))


def _of_network(
    source: NetworkFeatures, prepared: PreparedData, routed: Routed, task: Any
) -> tuple[list[FeatureTable], dict[str, Any]]:
    """Layers of a network for all images, one table for all of them or one each to choose from; and their images."""
    asked = {**source.arguments(), **routed.build}
    for path in source.files(asked, task.study):
        task.uses(path)
    images = datasets.load_stimuli(str(prepared.name), task.study / "data")
    rows = {name: rows_of(part, images) for name, part in prepared.parts.items()}
    stored = source.stored(images, task.study, routed.build)
    groups = [[one] for one in stored] if asked["choose"] else [stored]
    tables = [FeatureTable(some, rows, name_of_stored(some), some) for some in groups]
    seen = source.sized(images, asked)
    return tables, {"shapes": {"inputs": {"image": list(seen.shape[1:])}}, "stimuli": seen.describe()}


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
