"""Repetitions of one run that are trained together, from their arguments to the metrics of each.

A group has the repetitions k·N … k·N + N − 1, and is trained whole whatever tasks this process has: a result does not
depend on what else a job was given. Repetitions without a task are companions, of which nothing is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

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
    members = group_of(tasks, routed.training.together)
    prepared = _prepared(fit, routed, members)
    loops, why = _loops(fit, routed, members, prepared)
    kept = [place for place, member in enumerate(members) if not isinstance(member, Companion)]
    group = Group(loops, kept, None if why else VectorisedProgram(loops[0].program), why)
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


def _prepared(fit: FitSettings, routed: Routed, members: Sequence[Any]) -> list[PreparedData]:
    """The data of each repetition; the same object if they are split in the same way."""
    made: dict[Any, tuple[Any, PreparedData]] = {}
    split = data.as_split({**fit.router.data, **routed.data}["split"])

    def key(member: Any) -> tuple[int, int | None]:
        return data.split_seed(split, member), member.repetition if member.split_by == "fold" else None

    for member in sorted(members, key=lambda one: isinstance(one, Companion)):  # tasks record what they read
        if key(member) not in made:
            made[key(member)] = member, prepared_data(fit, routed, member)
    for member in members:
        read = made[key(member)][0].facts.get("inputs", {})
        if read:
            member.record(inputs={**member.facts.get("inputs", {}), **read})
    return [made[key(member)][1] for member in members]


def _loops(
    fit: FitSettings, routed: Routed, members: Sequence[Any], prepared: Sequence[PreparedData]
) -> tuple[list[Loop], str]:
    """The loop of each repetition, and why they must be trained in turn, if they must."""
    why = _why_in_turn(routed, prepared)
    programs: list[Program] = []
    seen: dict[int, Any] = {}  # what loops need of the same data, made once
    loops = []
    for member, of_member in zip(members, prepared):
        model = new_model(fit, routed, of_member, member)
        if not isinstance(member, Companion):
            write_recipe(fit, routed, of_member, model, member)
        freeze(model, routed.training.freeze)
        program = programs[0] if programs else program_of(routed, of_member, model)
        if programs and of_member is not prepared[0]:
            program = program_of(routed, of_member, model)
        elif programs and not _is_same(program, model, of_member):
            program = program_of(routed, of_member, model)
            why = why or "its repetitions have models that differ in more than their weights"
        programs.append(program)
        if id(of_member) not in seen:
            seen[id(of_member)] = monitored(routed, of_member)
        part, name, recordings = seen[id(of_member)]
        loop = Loop(program, member, part, name, recordings, silent=isinstance(member, Companion))
        start = program.start(model)
        loop.begin(start.weights, start.other)
        loops.append(loop)
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


def _is_same(program: Program, model: keras.Model, prepared: PreparedData) -> bool:
    """Whether a model differs from that of the program in its weights only: it predicts the same with them."""
    own, start = program.start(), program.start(model)
    if own.weights.shape != start.weights.shape or [one.shape for one in own.other] != [
        one.shape for one in start.other
    ]:
        return False
    part = prepared.parts.train
    few: dict[str, np.ndarray | DiskImages] = {
        name: np.asarray(values[:IMAGES_COMPARED], program.training.dtype)
        for name, values in part.inputs.items()
    }
    theirs, _ = program.predict(
        start.weights, start.other, data.Arrays(few, part.responses[:IMAGES_COMPARED], None)
    )
    outputs = keras.tree.flatten(model(as_model_takes(few), training=False))
    alone = np.concatenate([keras.ops.convert_to_numpy(one) for one in outputs], axis=-1)
    least = 1e-5 * float(np.abs(alone).max(initial=0.0))
    return np.allclose(theirs, alone, rtol=1e-3, atol=least, equal_nan=True)


def _result(
    fit: FitSettings, group: Group, place: int, prepared: PreparedData, task: Any
) -> dict[str, float] | Exception:
    """The metrics of one repetition after its training, or why it failed."""
    if place in group.errors:
        return group.errors[place]
    loop = group.loops[place]
    kept = loop.kept_weights()
    loop.program.install(*kept)
    print(f"\nRepetition {task.repetition}:")
    try:
        facts = end(group.reasons[place], loop.snapshot.progress)
        return finished(fit, loop, prepared, task, kept, facts)
    except (NeurofitError, OSError) as error:
        return error


def _report(how: dict[str, Any]) -> str:
    first, last = how["repetitions"]
    said = f"Repetitions {first} to {last} were trained together, {how['how']}"
    return f"{said}: {how['why']}." if "why" in how else f"{said}."
