"""A ready-made fit: loads the data, builds the architecture, trains, checkpoints, scores and saves. Cheap to
import.

What a task leaves in its folder:

    weights.weights.h5   of the model, for `model.load_weights`
    recipe.json          everything that made it: data, split, normalisation, architecture, arguments, training, seeds
    normalisation.json   the numbers that the inputs were scaled with, for `datasets.standardise_like`
    predictions.npz      validation and test set: image_id, part (image,); predictions, responses, mask (image, neuron);
                         recording, number, training_mean (neuron,); where there are trials, trials (image,
                         trial, neuron), NaN = none
    neurons.csv          recording, number and every score, a row per neuron
    history.csv          losses and correlation while training; the same in events.out.tfevents…, for TensorBoard
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurofit.models.ready_made import ReadyMade
from neurofit.models.routing import name_of
from neurofit.models.training import Training

VIEWS = (
    "filters",
    "receptive-fields",
    "readouts",
    "exciting-images",
    "tuning",
)  # of `models.inspection.views`


@dataclass(frozen=True)
class Fit(ReadyMade):
    """Trains an architecture on a data set: the `fit` of an `Experiment`.

    Parameters
    ----------
    architecture : callable, or dict of str to callable
        `def name(shapes, *, filters=9, …) -> keras.Model`. Its keyword arguments are axes. `shapes.image` is
        (height, width, channel), `shapes.neurons` a number. A dict of several needs the axis `architecture`.
    data : str or callable
        The name of a data set, which is then itself the axis `data`; or a function that returns a name or a
        Dataset. The function's arguments are axes, except `study`, which is the study's folder.
    training : Training
        The settings that apply unless an axis changes them.
    split : datasets.Split or dict, optional
        How the data is split, or the fields of a `Split`. The axis `split` takes the dict.
    standardise : str or dict
        How inputs are scaled, as `datasets.standardise` names it, or its arguments. It is an axis, too.
    initialise : callable, optional
        `initialise(model, train)` sets weights from the training set before the first epoch. By default, an
        attribute of that name of the architecture does, if there is one.
    scores : tuple of str
        Names of `neurofit.scores`, computed on every part. Those that need repeated trials
        (`correlation_ceiling`, `normalised_correlation`, `feve`) are computed on a test set that has them, and
        left out otherwise. `truth_correlation`, on a simulation's test set, is with the noiseless responses.
    """

    public_name = "neurofit.models.Fit"
    functions, recipe, preparation = "architecture", "training", ("standardise",)

    architecture: Callable | Mapping[str, Callable]
    training: Training = field(default_factory=Training, kw_only=True)
    standardise: str | Mapping[str, str] = field(default="global", kw_only=True)
    initialise: Callable | None = field(default=None, kw_only=True)

    def settings(self) -> dict[str, Any]:
        told = super().settings()
        return told if self.initialise is None else {**told, "initialise": name_of(self.initialise)}

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
        """The mean prediction of the repetitions that left these folders, scored (`models.ensembles.Ensemble`)."""
        from neurofit.models.ensembles import ensemble

        return ensemble(folders)
