"""`Fit`: loads the data, builds the architecture, trains and scores a model. Cheap to import.

A task leaves these files in its folder:

    weights.weights.h5   weights of the model, for `model.load_weights`
    recipe.json          everything that determined the model: data, split, normalisation, architecture,
                         arguments, training, seeds
    normalisation.json   the numbers that the inputs were scaled with, for `datasets.standardise_like`
    predictions.npz      validation and test set: image_id, part (image,); predictions, responses, mask
                         (image, neuron); recording, number, training_mean (neuron,); if there are trials,
                         trials (image, trial, neuron), NaN for a missing trial; with a label, label and
                         predicted_label (image,), as text
    neurons.csv          recording, number and every score, one row per neuron
    history.csv          losses and correlation during training; events.out.tfevents… has the same
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurofit.errors import GridError
from neurofit.models.ready_made import ReadyMade, name_of
from neurofit.models.training import Training

if TYPE_CHECKING:
    from neurofit.models.loaded import LoadedModel
    from neurofit.models.prediction import Predictions

# Names of the pictures that `models.inspection.views` makes
VIEWS = ("filters", "receptive-fields", "readouts", "exciting-images", "tuning")


@dataclass(frozen=True)
class Fit(ReadyMade):
    """Train an architecture on a data set: the `fit` of an `Experiment`.

    Parameters
    ----------
    architecture : callable or dict of str to callable
        `def name(shapes, *, filters=9, …) -> keras.Model`. Its keyword arguments can be axes of a grid. A
        dict holds several architectures, and the grid then needs the axis `architecture`. `shapes.image` is
        (height, width, channel); `shapes.neurons` is a number.
    data : str or callable, default "simulated"
        The name of a data set, which is then the axis `data`; or a function that returns a name or a
        `Dataset`. The arguments of the function can be axes, except `study`, which receives the study's
        folder. Images of "majaj_2015" that take more than 1 GB stay on disk if they were converted.
    training : Training, optional
        The settings that apply unless an axis sets another value.
    split : datasets.Split or dict, optional
        How images are divided; a dict has the fields of `Split`. The axis `split` takes the dict.
    scores : tuple of str, optional
        Functions of `neurofit.scores`, computed on every part; see `ready_made.KNOWN_SCORES`. Scores that
        need repeated trials (`correlation_ceiling`, `normalised_correlation`, `feve`) are computed only for a
        test set with trials. `truth_correlation` compares with the noiseless responses of a simulation's test
        set.
    standardise : str or dict, default "global"
        How inputs are scaled, as in `datasets.standardise`; a dict has its arguments. Can be an axis.
    label : str, optional
        Co-training: a label of the data set, such as "category", that the model predicts as well. The
        architecture receives `shapes.label` and the number of classes, `shapes.classes`, and returns a model with
        the outputs {"neurons": (image, neuron), label: (image, class)}, the latter as logits. `label_weight` of
        the training weighs its cross-entropy. Parts have the metric "category_accuracy". An empty label does not
        count.
    initialise : callable, optional
        `initialise(model, train)` sets weights from the training set before the first epoch. An architecture
        can have the function as an attribute of this name instead.

    Raises
    ------
    GridError
        If the training, an architecture or a score is not valid.
    """

    public_name = "neurofit.models.Fit"
    functions, recipe, preparation = "architecture", "training", ("standardise",)

    architecture: Callable[..., Any] | Mapping[str, Callable[..., Any]]
    training: Training = field(default_factory=Training, kw_only=True)
    standardise: str | Mapping[str, str] = field(default="global", kw_only=True)
    initialise: Callable[..., Any] | None = field(default=None, kw_only=True)
    label: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.label is not None and (not isinstance(self.label, str) or not self.label):
            raise GridError(f"Fit: label={self.label!r}; expected the name of a label, such as 'category'.")
        _check_label(self.label, self.training)

    def settings(self) -> dict[str, Any]:
        """What is part of every run's id, as JSON; only values that differ from the defaults."""
        settings = super().settings()
        if self.initialise is not None:
            settings["initialise"] = name_of(self.initialise)
        return settings if self.label is None else {**settings, "label": self.label}

    def check(self, params: Mapping[str, Any]) -> None:
        """Raise GridError if these arguments do not go together."""
        routed = self.router.route(params)
        _check_label(self.label, routed.training)
        if routed.training.together > 1 and type(self).__call__ is not Fit.__call__:
            raise GridError(
                f"Training: together={routed.training.together} with {type(self).__name__}, which overrides "
                "__call__ and so trains one task at a time. Override `scored(task, metrics)` instead, or leave "
                "together out."
            )
        if self.label is not None:
            _check_outputs(routed.architecture, self.built[routed.architecture], self.label)
        needed = getattr(self.built[routed.architecture], "standardise", None)
        given = routed.data.get("standardise", self.standardise)
        inputs = given if isinstance(given, str) else dict(given).get("inputs", "global")
        if needed is not None and inputs != needed:
            raise GridError(
                f"Architecture '{routed.architecture}' needs Fit(standardise={needed!r}), not {inputs!r}: it "
                "converts images itself, and standardised ones would be converted wrongly."
            )

    def prepare(self, study: Path) -> None:
        """Import TensorFlow and read the data, before tasks are forked from this process."""
        from neurofit.models.fitting import task

        task.prepare(self, study)

    def __call__(self, task: Any) -> dict[str, float]:
        from neurofit.models.fitting.task import fit

        self.check(task.params)
        if (self.repetitions_together(task.params) or 1) > 1:
            (result,) = self.together([task])
            if isinstance(result, Exception):
                raise result
            return result
        return fit(self, task)

    def scored(self, task: Any, metrics: dict[str, float]) -> dict[str, float]:
        """The metrics of a task whose model is trained and saved: what a subclass adds scores to.

        Parameters
        ----------
        task : Task
        metrics : dict of str to float
            "part/score" → value.

        Returns
        -------
        dict of str to float
        """
        return metrics

    def repetitions_together(self, params: Mapping[str, Any]) -> int | None:
        """How many repetitions of a run with these arguments are trained together.

        Parameters
        ----------
        params : mapping of str to object

        Returns
        -------
        int or None
            `Training.together`. None: as many as a job holds, for a subclass with a `together(tasks)` of its own.

        Raises
        ------
        GridError
            The number is not valid.
        """
        training = self.training
        if params.keys() & {"together", "training.together"}:  # few runs: plans ask for thousands
            for name in ("together", "training.together"):
                if name in params and name in self.arguments():  # not one of an architecture's of this name
                    training = replace(training, together=params[name])
        if training.together == 1 and type(self).together is not Fit.together:
            return None
        return training.together

    def together(self, tasks: Sequence[Any]) -> list[dict[str, float] | Exception]:
        """Train repetitions of one run together.

        Parameters
        ----------
        tasks : sequence of Task
            Of one group: repetitions k·N to k·N + N − 1, or some of them.

        Returns
        -------
        list of dict or Exception
            The metrics of each task, or why it failed.
        """
        from neurofit.models.fitting.together import fit_together

        self.check(tasks[0].params)
        return fit_together(self, tasks)

    def load(self, folder: Path) -> Any:
        """Load the trained model of a task.

        Parameters
        ----------
        folder : Path
            The folder of a finished attempt.

        Returns
        -------
        keras.Model
            See `models.load_folder`.
        """
        from neurofit.models.saved import load_folder

        return load_folder(folder, self)

    def loaded(self, folder: Path, study: Path) -> LoadedModel:
        """Load the trained model of a task as `neurofit.load` returns it, which takes raw images.

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

    def predict(self, folder: Path, data: Any, study: Path, *, model: Any = None) -> Predictions:
        """Predict the responses to other images.

        Parameters
        ----------
        folder : Path
            The folder of a finished attempt.
        data : str, Dataset, StimulusSet, ndarray, or mapping of str to ndarray
            See `models.prediction.images_of`.
        study : Path
            The folder of the study.
        model : keras.Model, optional
            What `load(folder)` returned, so that it is not loaded again.

        Returns
        -------
        models.prediction.Predictions
        """
        from neurofit.models import saved

        return saved.predict(self, folder, data, study, model)

    @property
    def views(self) -> tuple[str, ...]:
        """Names of the pictures that `neurofit plot` can draw of a trained model."""
        return VIEWS

    def view(self, folder: Path, name: str, neurons: Any = None) -> list[dict[str, Any]]:
        """Panels of one picture of a trained model, for `neurofit plot`.

        Parameters
        ----------
        folder : Path
            The folder of a finished attempt.
        name : str
            One of `views`.
        neurons : sequence of int, optional
            Indices of neurons. Default: the first 36.

        Returns
        -------
        list of dict
            See `models.inspection.view`.
        """
        from neurofit.models.inspection.views import view
        from neurofit.models.saved import normalisation

        return view(self.load(folder), normalisation(folder), name, neurons=neurons)

    def ensemble(self, folders: list[Path]) -> Any:
        """The scored mean prediction of several repetitions.

        Parameters
        ----------
        folders : list of Path
            Folders of finished attempts of one run.

        Returns
        -------
        models.ensembles.Ensemble
        """
        from neurofit.models.ensembles import ensemble

        return ensemble(folders)


def _check_label(label: str | None, training: Training) -> None:
    """Raise GridError if the training and the label do not go together."""
    if label is None and training.label_weight != 1:
        raise GridError(
            f"Training: label_weight={training.label_weight!r} has no effect without a label, such as "
            "Fit(…, label='category')."
        )
    if label is not None and training.optimizer == "lbfgs":
        raise GridError(
            f"Fit: label={label!r} and optimizer='lbfgs' do not go together. Use adam, adamw or sgd."
        )


def _check_outputs(name: str, architecture: Callable[..., Any], label: str) -> None:
    """Raise GridError if it is an architecture of neurofit that predicts no label; another one is built to find out."""
    module, predicts = getattr(architecture, "__module__", ""), getattr(architecture, "predicts_label", False)
    if str(module).startswith("neurofit.") and not predicts:
        raise GridError(
            f"Architecture '{name}' ({name_of(architecture)}) predicts responses alone, and "
            f"Fit(label={label!r}) needs a second output. Use architectures.co_trained_cnn, or a function of your "
            f"own that returns a model with the outputs 'neurons' and '{label}'; leave label out to train on "
            "responses alone."
        )
