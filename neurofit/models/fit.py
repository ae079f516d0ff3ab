"""A ready-made fit: loads the data, builds the architecture, trains, checkpoints, scores and saves. Cheap to import.

What a task leaves in its folder:

    weights.weights.h5   of the model, for `model.load_weights`
    recipe.json          everything that made it: data, split, normalisation, architecture, arguments, training, seeds
    normalisation.json   the numbers that the inputs were scaled with, for `datasets.standardise_like`
    predictions.npz      validation and test set: image_id, part (image,); predictions, responses, mask (image, neuron);
                         recording, number, training_mean (neuron,); where there are trials, trials (image, trial,
                         neuron), NaN = none
    neurons.csv          recording, number and every score, a row per neuron
    history.csv          losses and correlation while training; the same in events.out.tfevents…, for TensorBoard
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from neurofit.errors import GridError, nearest
from neurofit.models.routing import Router, declared, name_of
from neurofit.models.training import Training

PLAIN_SCORES = ("correlation", "fraction_of_variance_explained", "poisson_log_likelihood")
SCORES = (*PLAIN_SCORES, "correlation_ceiling", "normalised_correlation", "feve")
KNOWN_SCORES = (*SCORES, "explained_variance", "r_squared", "truth_correlation")
VIEWS = ("filters", "receptive-fields", "readouts", "exciting-images", "tuning")  # of `models.inspection.views`
UNTOLD = ("checkpoint_minutes",)  # settings of a training that change nothing in its result


@dataclass(frozen=True)
class Fit:
    """Trains an architecture on a data set: the `fit` of an `Experiment`.

    Parameters
    ----------
    architecture : `def name(shapes, *, filters=9, …) -> keras.Model`, whose arguments are axes; or a dict of several,
        which need the axis `architecture`. `shapes.image` is (height, width, channel), `shapes.neurons` a number
    data : a name (then itself the axis `data`), or a function that returns a name or a Dataset; its arguments are axes,
        but for `study`, which it gets as the study's folder
    training : the settings that apply unless an axis says otherwise
    split : a `datasets.Split`, or its fields as a dict; an axis `split` takes the dict
    standardise : how inputs are scaled, as `datasets.standardise` names it, or its arguments as a dict; also an axis
    initialise : `initialise(model, train)` sets weights from the training set before the first epoch; or an attribute
        of that name of the architecture
    scores : of `neurofit.scores`, computed on every part: KNOWN_SCORES. Those that need repeated trials
        (`correlation_ceiling`, `normalised_correlation`, `feve`) are of a test set that has them, and left out of
        another; `truth_correlation`, of a simulation's test set, is with the noiseless responses
    """

    architecture: Callable | Mapping[str, Callable]
    data: str | Callable = "simulated"
    training: Training = field(default_factory=Training)
    split: Any = None
    standardise: str | Mapping[str, str] = "global"
    initialise: Callable | None = None
    scores: tuple[str, ...] = SCORES

    def __post_init__(self) -> None:
        if not isinstance(self.training, Training):
            raise GridError(f"Fit(training={self.training!r}): expected neurofit.models.Training(…).")
        for name, function in self.built.items():
            if not callable(function):
                raise GridError(f"Fit: architecture '{name}' is a {type(function).__name__}, expected a function.")
        if not self.built:
            raise GridError("Fit: no architectures.")
        for name in self.scores:
            if name not in KNOWN_SCORES:
                known = ", ".join(KNOWN_SCORES)
                raise GridError(f"Fit: no score '{name}'.{nearest(name, KNOWN_SCORES)} There are: {known}.")
        self.router.arguments()  # an architecture whose arguments cannot be told is an error here, not in a task

    @property
    def built(self) -> dict[str, Callable]:
        """name → function."""
        if isinstance(self.architecture, Mapping):
            return dict(self.architecture)
        return {name_of(self.architecture): self.architecture}

    @cached_property
    def router(self) -> Router:
        several = isinstance(self.architecture, Mapping)
        return Router(
            architectures={name: declared(function, after=1) for name, function in self.built.items()},
            architecture=None if several else name_of(self.architecture),
            training=self.training,
            data=self._data_arguments(),
        )

    def _data_arguments(self) -> dict[str, Any]:
        named = {"data": self.data} if isinstance(self.data, str) else declared(self.data, after=0)
        named.pop("study", None)
        return {**named, "split": plain(self.split), "standardise": plain(self.standardise)}

    # What an experiment asks (docs/architecture.md, "The joint between an experiment and its fit").

    @property
    def architectures(self) -> list[str]:
        return list(self.built)

    def arguments(self) -> dict[str, Any]:
        return self.router.arguments()

    def check(self, params: Mapping[str, Any]) -> None:
        self.router.route(params)

    def defaults(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {name: plain(value) for name, value in self.router.defaults(params).items()}

    def settings(self) -> dict[str, Any]:
        """Only what differs from neurofit's defaults, so that a new setting leaves every run's id as it was."""
        changed = {
            one.name: getattr(self.training, one.name)
            for one in fields(Training)
            if one.name not in UNTOLD and getattr(self.training, one.name) != one.default
        }
        told: dict[str, Any] = {"fit": "neurofit.models.Fit", "training": changed}
        told["data"] = self.data if isinstance(self.data, str) else name_of(self.data)
        if self.router.architecture:
            told["architecture"] = self.router.architecture
        if self.split is not None:
            told["split"] = plain(self.split)
        if self.standardise != "global":
            told["standardise"] = plain(self.standardise)
        if self.initialise is not None:
            told["initialise"] = name_of(self.initialise)
        return told

    def prepare(self, study: Path) -> None:
        from neurofit.models.fitting import task

        task.prepare(self, study)

    def __call__(self, task: Any) -> dict[str, float]:
        from neurofit.models.fitting.task import fit

        return fit(self, task)

    def load(self, folder: Path) -> Any:
        """The trained Keras model of the task whose attempt left `folder` (see `models.load_folder`)."""
        from neurofit.models.saved import load_folder

        return load_folder(folder, self)

    @property
    def views(self) -> tuple[str, ...]:
        return VIEWS

    def view(self, folder: Path, name: str, neurons: Any = None) -> list[dict[str, Any]]:
        """What the trained model that is in `folder` shows, for `neurofit plot` (see `models.inspection`)."""
        from neurofit.models.inspection.views import view
        from neurofit.models.saved import normalisation

        return view(self.load(folder), normalisation(folder), name, neurons=neurons)

    def ensemble(self, folders: list[Path]) -> Any:
        """The mean prediction of repetitions that left these folders, scored (see `models.ensembles.Ensemble`)."""
        from neurofit.models.ensembles import ensemble

        return ensemble(folders)


def plain(value: Any) -> Any:
    """As JSON carries it."""
    if is_dataclass(value) and not isinstance(value, type):
        hidden = {one.name for one in fields(value) if one.metadata.get("told") == "if changed"}
        return {name: one for name, one in asdict(value).items() if name not in hidden or one != _default(value, name)}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    return value


def _default(value: Any, name: str) -> Any:
    return next(one.default for one in fields(value) if one.name == name)
