"""Repetitions of one run that are trained together, from their arguments to the metrics of each.

A group has the repetitions k·N … k·N + N − 1, and is trained whole whatever tasks this process has: a result does not
depend on what else a job was given. Repetitions without a task are companions, of which nothing is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from neurofit.datasets.disk_images import DiskImages
from neurofit.errors import NeurofitError
from neurofit.models import data
from neurofit.models.building import as_model_takes
from neurofit.models.data import PreparedData
from neurofit.models.fitting.task import (
    end,
    finished,
    monitored,
    new_model,
    prepared_data,
    program_of,
    write_recipe,
)
from neurofit.models.fitting.warm_start import freeze
from neurofit.models.ready_made import FitSettings, Routed
from neurofit.models.training_loop import compilation
from neurofit.models.training_loop.group import Group
from neurofit.models.training_loop.loop import Loop
from neurofit.models.training_loop.program import Program
from neurofit.models.training_loop.vectorised import VectorisedProgram

IMAGES_COMPARED = 4


class Companion:
    """A repetition that is trained with others and of which nothing is kept, in place of a task.

    Parameters
    ----------
    task : Task
        Of another repetition of the same group.
    repetition : int
    """

    def __init__(self, task: Any, repetition: int) -> None:
        self._task, self.repetition, self.seed = task, repetition, repetition
        self.seeds = type(task.seeds)(repetition, task.split_by)
        self.checkpoints: list[Path] = []
        self.facts: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:  # what repetitions have in common
        if name in ("params", "repetitions", "split_by", "study", "code"):
            return getattr(self._task, name)
        raise AttributeError(f"A repetition without a task of its own has no '{name}'.")

    def record(self, **facts: Any) -> None:
        """Keep facts while the group is trained."""
        self.facts |= facts

    def uses(self, path: Path | str) -> Path:
        """The path of data."""
        study: Path = self.study
        return study / path

    def log(self, step: int, **numbers: float) -> None:
        """Write nothing."""

    def should_prune(self) -> bool:
        """False: the first repetition of a trial decides, if it has a task."""
        return False


def fit_together(fit: FitSettings, tasks: Sequence[Any]) -> list[dict[str, float] | Exception]:
    """Train the group of these tasks, all repetitions of it; the metrics of each task, or why it failed."""
    routed = fit.router.route(tasks[0].params)
    with compilation.kept(routed.training):
        return _fit_together(fit, routed, tasks)


def _fit_together(
    fit: FitSettings, routed: Routed, tasks: Sequence[Any]
) -> list[dict[str, float] | Exception]:
    members = group_of(tasks, routed.training.together)
    kept = [place for place, member in enumerate(members) if not isinstance(member, Companion)]
    prepared, absent = _prepared(fit, routed, members)
    loops, why = _loops(fit, routed, members, prepared, absent)
    if all(place in absent for place in kept):  # of the others nothing is kept
        of_task = {members[place].repetition: absent[place] for place in kept}
        return [of_task[task.repetition] for task in tasks]
    vectorised = None if why else VectorisedProgram(next(loop.program for loop in loops if loop))
    stand_in = next(loop for loop in loops if loop)
    group = Group(
        [loop or replace(stand_in, task=member, silent=True) for loop, member in zip(loops, members)],
        kept,
        vectorised,
        why,
        absent,
    )
    group.run()
    how = {"repetitions": [members[0].repetition, members[-1].repetition], "how": "vectorised"}
    if group.why_in_turn:
        how |= {"how": "in turn", "why": group.why_in_turn}
    print(_report(how), flush=True)
    results = {}
    for place in kept:
        task = members[place]
        task.record(together=how)
        results[task.repetition] = _result(fit, group, place, prepared[place], task)
    return [results[task.repetition] for task in tasks]


def group_of(tasks: Sequence[Any], size: int) -> list[Any]:
    """All repetitions of the group that these tasks belong to; companions in place of those without a task."""
    first, *_ = tasks
    start = first.repetition - first.repetition % size
    # there are no folds beyond the last one
    stop = min(start + size, first.repetitions) if first.split_by == "fold" else start + size
    own = {task.repetition: task for task in tasks}
    return [own.get(number) or Companion(first, number) for number in range(start, stop)]


def _prepared(
    fit: FitSettings, routed: Routed, members: Sequence[Any]
) -> tuple[list[PreparedData | None], dict[int, Exception]]:
    """The data of each repetition, the same object if they are split in the same way; and why some have none."""
    made: dict[Any, tuple[Any, PreparedData | NeurofitError]] = {}
    split = data.as_split({**fit.router.data, **routed.data}["split"])

    def key(member: Any) -> tuple[int, int | None]:
        return data.split_seed(split, member), member.repetition if member.split_by == "fold" else None

    for member in sorted(members, key=lambda one: isinstance(one, Companion)):  # tasks record what they read
        if key(member) not in made:
            made[key(member)] = member, _prepared_or_error(fit, routed, member)
    found: list[PreparedData | None] = []
    absent: dict[int, Exception] = {}
    for place, member in enumerate(members):
        reader, prepared = made[key(member)]
        if read := reader.facts.get("inputs", {}):
            member.record(inputs={**member.facts.get("inputs", {}), **read})
        if isinstance(prepared, NeurofitError):
            absent[place] = prepared
            found.append(None)
        else:
            found.append(prepared)
    return found, absent


def _prepared_or_error(fit: FitSettings, routed: Routed, member: Any) -> PreparedData | NeurofitError:
    try:
        return prepared_data(fit, routed, member)
    except NeurofitError as error:
        return error


def _loops(
    fit: FitSettings,
    routed: Routed,
    members: Sequence[Any],
    prepared: Sequence[PreparedData | None],
    absent: dict[int, Exception],
) -> tuple[list[Loop | None], str]:
    """The loop of each repetition, and why they must be trained in turn, if they must.

    None in place of one that cannot start; `absent` then has the reason.
    """
    present = [one for one in prepared if one is not None]
    why = _why_in_turn(routed, present) if present else ""
    first: tuple[Likeness, PreparedData] | None = None
    seen: dict[int, Any] = {}  # what loops need of the same data, made once
    loops: list[Loop | None] = []
    for place, (member, of_member) in enumerate(zip(members, prepared)):
        loops.append(None)
        if of_member is None:
            continue
        try:
            model = new_model(fit, routed, of_member, member)
            if not isinstance(member, Companion):
                write_recipe(fit, routed, of_member, model, member)
            freeze(model, routed.training.freeze)
            same_data = first is not None and of_member is first[1]
            if first is not None and same_data and first[0].holds_for(model):
                program = first[0].program
            else:
                program = program_of(routed, of_member, model)
                if same_data:
                    why = why or "its repetitions have models that differ in more than their weights"
            first = first or (Likeness(program, of_member), of_member)
            if id(of_member) not in seen:
                seen[id(of_member)] = monitored(routed, of_member)
            part, name, recordings = seen[id(of_member)]
            loop = Loop(program, member, part, name, recordings, silent=isinstance(member, Companion))
        except NeurofitError as error:  # such as no weights of this repetition to start from
            absent[place] = error
            continue
        start = program.start(model)
        loop.begin(start.weights, start.other)
        loops[-1] = loop
    return loops, why


def _why_in_turn(routed: Routed, prepared: Sequence[PreparedData]) -> str:
    """What is known beforehand of why repetitions cannot be vectorised; empty if nothing is."""
    if routed.training.optimizer == "lbfgs":
        return "L-BFGS is SciPy's, which trains one model"
    if prepared[0].classes is not None:
        return "a model with a label is trained alone"
    if any(one is not prepared[0] for one in prepared):
        return "each repetition has a split of its own"
    if any(isinstance(one, DiskImages) for one in prepared[0].parts.train.inputs.values()):
        return "the images stay on disk"
    return ""


class Likeness:
    """Whether other models differ from that of a program in their weights only.

    All are called with the same weights, in training and not: predictions, penalties and other variables must agree.
    The weights are near those that the program's model starts from: a weight of 0 would hide what it multiplies.

    Parameters
    ----------
    program : Program
    prepared : PreparedData
    """

    def __init__(self, program: Program, prepared: PreparedData) -> None:
        few = {
            name: np.asarray(values[:IMAGES_COMPARED], program.training.dtype)
            for name, values in prepared.parts.train.inputs.items()
        }
        self.program, self._inputs = program, as_model_takes(program.model, few)
        random = np.random.default_rng(0)
        self._weights = [
            tf.convert_to_tensor(
                keras.ops.convert_to_numpy(one) + random.normal(0, 0.01, one.shape).astype(one.dtype)
            )
            for one in program.model.trainable_variables
        ]
        self._other = [tf.convert_to_tensor(one.value) for one in program.model.non_trainable_variables]
        self._shapes, self._expected = _shapes(program.model), self._returned(program.model)

    def holds_for(self, model: keras.Model) -> bool:
        """Whether this model differs in its weights only."""
        if _shapes(model) != self._shapes:
            return False
        found = self._returned(model)
        return len(found) == len(self._expected) and all(map(_agree, found, self._expected))

    def _returned(self, model: keras.Model) -> list[np.ndarray]:
        called = [
            model.stateless_call(
                self._weights, self._other, self._inputs, training=training, return_losses=True
            )
            for training in (False, True)
        ]
        return [keras.ops.convert_to_numpy(one) for one in keras.tree.flatten(called)]


def _shapes(model: keras.Model) -> list[tuple[int, ...]]:
    return [tuple(one.shape) for one in (*model.trainable_variables, *model.non_trainable_variables)]


def _agree(one: np.ndarray, other: np.ndarray) -> bool:
    if one.shape != other.shape:
        return False
    least = 1e-5 * float(np.abs(other).max(initial=0.0))
    return np.allclose(one, other, rtol=1e-3, atol=least, equal_nan=True)


def _result(
    fit: FitSettings, group: Group, place: int, prepared: PreparedData | None, task: Any
) -> dict[str, float] | Exception:
    """The metrics of one repetition after its training, or why it failed."""
    if place in group.errors or prepared is None:
        return group.errors[place]
    loop = group.loops[place]
    kept = loop.kept_weights()
    loop.program.install(*kept)
    print(f"\nRepetition {task.repetition}:")
    try:
        facts = end(group.reasons[place], loop.snapshot.progress)
        return finished(fit, loop, prepared, task, kept, facts)
    except Exception as error:  # also one of the user's own `scored`: the others are scored all the same
        return error


def _report(how: dict[str, Any]) -> str:
    first, last = how["repetitions"]
    said = f"Repetitions {first} to {last} were trained together, {how['how']}"
    return f"{said}: {how['why']}." if "why" in how else f"{said}."
