"""One task, from its arguments to its metrics and files."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from neurofit import datasets
from neurofit.errors import NeurofitError
from neurofit.models import data, losses, saved
from neurofit.models.building import build, equal_initial_weights, shapes_of
from neurofit.models.data import PreparedData
from neurofit.models.fitting import regularization_path, warm_start
from neurofit.models.fitting.scoring import (
    ScoredPredictions,
    by_recording,
    check_scorable,
    predict_and_score,
    write_predictions,
)
from neurofit.models.labels import Classes, classes_of
from neurofit.models.ready_made import REQUIRED, ComputesInputs, FitSettings, Initialises, Routed
from neurofit.models.training import Training
from neurofit.models.training_loop import compilation
from neurofit.models.training_loop.checkpoint import Progress
from neurofit.models.training_loop.cotraining import CotrainingProgram
from neurofit.models.training_loop.lbfgs import LbfgsProgram
from neurofit.models.training_loop.loop import PRUNED, Loop
from neurofit.models.training_loop.program import Program, is_faster_compiled

log = logging.getLogger(__name__)


def prepare(fit: FitSettings, study: Path) -> None:
    """Read the default data, which is safe before a fork, unless TensorFlow computes its inputs.

    Importing this module has already imported Keras and TensorFlow.
    """
    arguments = {
        name: default for name, default in fit.router.data.items() if name not in ("split", "standardise")
    }
    if REQUIRED in arguments.values() or isinstance(fit.data, ComputesInputs):
        return
    try:
        data.load(fit.data, arguments, study, on_disk_above=data.ON_DISK_ABOVE)
    except NeurofitError as error:  # a task that needs this data will say so; another may use other data
        log.info("Data not read before the first task: %s", error)


def fit(fit: FitSettings, task: Any) -> dict[str, float]:
    """Run one task: train, score, and save. Returns its metrics."""
    routed = fit.router.route(task.params)
    with compilation.kept(routed.training):
        prepared = prepared_data(fit, routed, task)
        if routed.training.path is None:
            loop = _loop(fit, routed, prepared, task)
            reason = loop.run()
            kept, facts = loop.kept_weights(), end(reason, loop.snapshot.progress)
        else:
            loop, kept, facts = _trained_path(fit, routed, prepared, task)
        return finished(fit, loop, prepared, task, kept, facts)


def prepared_data(fit: FitSettings, routed: Routed, task: Any) -> PreparedData:
    """The data of a task, after a look for problems that would otherwise appear only after the training, or never."""
    prepared = data.prepared(fit.data, routed.data, fit.router.data, task, on_disk_above=data.ON_DISK_ABOVE)
    if fit.label is not None:
        prepared = replace(prepared, classes=classes_of(prepared.parts, fit.label))
    check_scorable(prepared.parts.test, fit.scores)
    for name, part in prepared.parts.items():
        losses.check_responses(routed.training.loss, np.where(part.valid, part.responses, np.nan), name)
    return prepared


def finished(
    fit: FitSettings,
    loop: Loop,
    prepared: PreparedData,
    task: Any,
    kept: regularization_path.Weights,
    facts: dict[str, Any],
) -> dict[str, float]:
    """Score and save what was trained, if it was not ended early; returns the metrics.

    The model of the loop's program has the kept weights, and `facts` says how training ended.
    """
    if facts["stop_reason"] == PRUNED:  # nothing of it will be used: the next trial can start
        task.record(**facts)
        return loop.last_seen()
    result = predict_and_score(loop.program, kept, prepared.parts, fit.scores, prepared.classes)
    loop.program.model.save_weights(task.folder / saved.WEIGHTS)
    write_predictions(task.folder, prepared.parts, result, prepared.classes)
    facts |= _facts(loop, prepared, result)
    task.record(**facts)
    for warning in result.undefined:
        data.warn(task, warning)
    metrics = result.metrics | by_recording(
        result, prepared.dataset.neurons["recording"].to_numpy().astype(str)
    )
    print(saved.summary(saved.recipe(task.folder), facts, metrics))
    return fit.scored(task, metrics)


def _loop(fit: FitSettings, routed: Routed, prepared: PreparedData, task: Any, first: int = 0) -> Loop:
    """The training of a new model, not started; its recipe is written."""
    model = new_model(fit, routed, prepared, task)
    write_recipe(fit, routed, prepared, model, task)
    warm_start.freeze(model, routed.training.freeze)
    return Loop(program_of(routed, prepared, model), task, *monitored(routed, prepared), first)


def write_recipe(
    fit: FitSettings, routed: Routed, prepared: PreparedData, model: keras.Model, task: Any
) -> None:
    """Write what determines the model, and record how its data were divided."""
    data.record_split(prepared.parts, task)
    saved.write_recipe(fit, routed, prepared, model, task)


def program_of(routed: Routed, prepared: PreparedData, model: keras.Model) -> Program:
    """The compiled training of a model, of the kind that its training needs."""
    training, parts, classes = routed.training, prepared.parts, prepared.classes
    kind = LbfgsProgram if training.optimizer == "lbfgs" else Program
    if training.optimizer != "lbfgs" and training.jit is None and classes is None:
        steps = training.epochs * -(-parts.train.n_images // training.batch_size)
        training = replace(training, jit=is_faster_compiled(model, steps))
    train, rates = data.arrays(parts.train, training.dtype, classes), _rates(training, parts)
    if classes is None:
        return kind(model, training, train, rates)
    return CotrainingProgram(model, training, train, rates, classes)


def monitored(routed: Routed, prepared: PreparedData) -> tuple[data.Arrays | None, str, np.ndarray | None]:
    """What a loop needs of the data: the monitored part, its name, and recordings that take turns."""
    training, parts = routed.training, prepared.parts
    part = None if parts.monitored is None else data.arrays(parts.monitored, training.dtype, prepared.classes)
    name = "" if part is None else "test" if parts.monitors_test else "validation"
    return part, name, data.turns(parts.train) if training.turns == "recording" else None


def _trained_path(
    fit: FitSettings, routed: Routed, prepared: PreparedData, task: Any
) -> tuple[Loop, regularization_path.Weights, dict[str, Any]]:
    """Train a regularisation path; the last loop, the weights of the best point, and facts."""
    argument = routed.training.path

    def at(strength: float) -> Routed:
        return replace(routed, build={**routed.build, argument: strength})

    def loop_of(strength: float, point_task: Any, first: int) -> Loop:
        return _loop(fit, at(strength), prepared, point_task, first)

    weakest, *_, strongest = routed.training.strengths
    regularization_path.check_same_shapes(
        argument,
        *(_built(fit, at(one), prepared.parts.train, task, prepared.classes) for one in (weakest, strongest)),
    )
    loop, path = regularization_path.train_path(loop_of, task, routed.training.strengths)
    chosen = path.chosen
    saved.set_argument(task.folder, argument, chosen.strength)
    points = [
        {argument: one.strength, "validation/loss": one.loss, **end(one.reason, one.progress)}
        for one in path.points
    ]
    return (
        loop,
        path.best_weights,
        {**end(chosen.reason, chosen.progress), "path": points, "path_chose": chosen.strength},
    )


def new_model(fit: FitSettings, routed: Routed, prepared: PreparedData, task: Any) -> keras.Model:
    """The model of a task before its training, with all its weights trainable."""
    train = prepared.parts.train
    model = _built(fit, routed, train, task, prepared.classes)
    for one, other in equal_initial_weights(model):
        warning = f"{one} and {other} have equal initial values: give each its own initializer."
        log.warning(warning)
        data.warn(task, warning)
    architecture = fit.built[routed.architecture]
    if fit.initialise is not None:
        fit.initialise(model, train)
    elif isinstance(architecture, Initialises):
        architecture.initialise(model, train)
    if routed.training.start is not None:
        task.record(start=warm_start.take_over(model, fit, routed.training.start, task))
    return model


def _built(
    fit: FitSettings, routed: Routed, train: datasets.Dataset, task: Any, classes: Classes | None
) -> keras.Model:
    """The model as its architecture builds it."""
    architecture = fit.built[routed.architecture]
    return build(architecture, shapes_of(train, classes), routed.build, task.seeds, routed.training.dtype)


def _rates(training: Training, parts: datasets.Parts) -> np.ndarray | None:
    """What the loss of each neuron is divided by, (neuron,), or None."""
    if training.unit_rates == "none":
        return None
    used = [parts.train]
    if training.unit_rates == "train+monitored" and parts.monitored is not None:
        used.append(parts.monitored)
    own = [data.in_turn(part) for part in used] if training.turns == "recording" else None
    return losses.mean_rates([part.responses for part in used], [part.valid for part in used], own)


def end(reason: str, progress: Progress) -> dict[str, Any]:
    """Facts about how a training ended."""
    return {
        "best_epoch": progress.best_epoch or progress.epoch,
        "epochs": progress.epoch,
        "stop_reason": reason,
    }


def _facts(loop: Loop, prepared: PreparedData, result: ScoredPredictions) -> dict[str, Any]:
    facts = {
        "neurons_scored": result.n_scored,
        "neurons_silent": result.n_silent,
        "constant_predictions": result.n_constant,
        "data_hash": prepared.dataset.hash(),
        "monitored": loop.name or None,
        "jit": bool(loop.training.jit),
    }
    if result.n_reliable is not None:
        facts["neurons_reliable"] = result.n_reliable
    if loop.name == "test":
        facts["monitored_test"] = "the test set was monitored during training, and its scores are reported"
    return facts
