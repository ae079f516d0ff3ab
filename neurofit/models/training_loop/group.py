"""The loop around a group: repetitions of a run that one program trains together.

Every repetition has its own `Loop`, which validates, decides and logs as it does alone. A group is trained vectorised,
or, where its model does not vectorise or its data differ, in turn: each repetition up to the next validation, by one
compiled program. Every repetition that is kept has the checkpoint of the whole group, since its weights depend in their
last digits on the others.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from neurofit.errors import Diverged
from neurofit.models.training_loop import checkpoint
from neurofit.models.training_loop.checkpoint import GROUP, GroupSnapshot, Member
from neurofit.models.training_loop.loop import EVENTS, PRUNED, Loop
from neurofit.models.training_loop.program import State
from neurofit.models.training_loop.vectorised import NotVectorised, VectorisedProgram, stacked, unstacked

# Repetitions per vectorised step. On a CPU, more take longer each, because they leave its cache (docs/performance.md)
AT_ONCE, ON_GPU = 32, 1_000
WEIGHTS_AT_ONCE = 400_000  # of all of them, for the same reason
LEAST_AT_ONCE = 8  # where fewer fit, repetitions are trained faster in turn

log = logging.getLogger(__name__)


@dataclass
class Group:
    """One training of several repetitions.

    Parameters
    ----------
    loops : sequence of Loop
        Of all repetitions, not started.
    kept : sequence of int
        Places of the repetitions that tasks of this process keep.
    vectorised : VectorisedProgram, optional
        None to train in turn.
    why_in_turn : str, default ""
        Why there is no vectorised program.
    absent : mapping of int to Exception, optional
        Repetitions that cannot start, and why. Their loops only hold their places.
    clock : callable
        Returns seconds.
    """

    loops: Sequence[Loop]
    kept: Sequence[int]
    vectorised: VectorisedProgram | None = None
    why_in_turn: str = ""
    absent: Mapping[int, Exception] = field(default_factory=dict)
    clock: Any = time.monotonic
    reasons: dict[int, str] = field(default_factory=dict, init=False)  # place → why its training ended
    errors: dict[int, Exception] = field(default_factory=dict, init=False)
    _batches: list[tuple[int, ...]] = field(default_factory=list, init=False)
    _is_first: bool = field(default=True, init=False)  # whether the next call compiles

    def __post_init__(self) -> None:
        self.training = self.loops[0].training
        self.errors |= self.absent
        self._n_weights = int(self.loops[0].snapshot.state.weights.shape[0])
        if self.vectorised is not None and at_once(self._n_weights) < LEAST_AT_ONCE:
            self.vectorised = None
            self.why_in_turn = f"with {self._n_weights:,} weights each, that is faster on a CPU"

    @property
    def active(self) -> list[int]:
        """Places of the repetitions whose training goes on."""
        return [
            place
            for place in range(len(self.loops))
            if place not in self.reasons and place not in self.errors
        ]

    def run(self) -> None:
        """Train all repetitions to their ends. Weights are not put into a model."""
        tasks = [self.loops[place].task for place in self.kept]
        for task in tasks:
            task.keep(EVENTS)
        self._resume(tasks)
        for loop in self.loops:
            loop.open()
        self._saved = self.clock()
        while self.active:
            self._train()
            self._prune()
            self._checkpoint(tasks)
        for loop in self.loops:
            loop.scalars.close()

    # Training

    def _train(self) -> None:
        """Train the active repetitions for some epochs, and validate those for which that is due."""
        if self.vectorised is not None:
            try:
                self._train_vectorised(self.vectorised)
                return
            except NotVectorised as reason:
                self.vectorised, self.why_in_turn, self._batches = None, str(reason), []
            except tf.errors.ResourceExhaustedError:  # of a GPU: the states are as before
                self._halve()
                return
        active = self.active
        lowest = self._epoch(active)
        # L-BFGS may do fewer iterations than it was asked for: the others then wait
        behind = [place for place in active if self._epoch([place]) == lowest]
        count = self.loops[behind[0]].how_many(1 / len(behind))
        for place in behind:
            # each is judged before the next one is trained: they may share a program, which knows the last call only
            with self._failing(place):
                self._judge(place, self.loops[place].train(count))

    def _train_vectorised(self, program: VectorisedProgram) -> None:
        active = self.active
        is_new = self._regrouped(active)
        first = self.loops[active[0]]
        count, started = first.how_many(), self.clock()
        given = {place: self.loops[place].next_epochs(count) for place in active}
        ended = given[active[0]]  # of those that have ended, which are trained on and left as they were
        after: dict[int, tuple[State, np.ndarray, np.ndarray]] = {}
        for batch in self._batches:
            orders, rates = zip(*(given.get(place, ended) for place in batch))
            state = stacked([self.loops[place].snapshot.state for place in batch])
            state, cost, penalised = program.epochs(state, np.stack(orders, axis=1), np.array(rates))
            after |= dict(zip(batch, zip(unstacked(state), cost.T, penalised.T)))
            if first.is_due(first.snapshot.progress.epoch + count) and first.monitored is not None:
                for place, seen in zip(batch, program.seen(state, first.monitored)):
                    self.loops[place].seen = seen
        pace = None if is_new or self._is_first else (self.clock() - started) / count
        self._is_first = False
        for place in active:
            self.loops[place].pace = pace
            with self._failing(place):
                self._judge(place, self.loops[place].took(*after[place]))

    def _regrouped(self, active: Sequence[int]) -> bool:
        """Whether the repetitions of each step are other ones than before: at the start, and when half have ended.

        Only where a validation is due: how many epochs a call has depends on the clock, and results must not.
        """
        if not self._batches:
            self._batches = batches(range(len(self.loops)), at_once(self._n_weights))
            if len(active) == len(self.loops):
                return True
        together = {place for batch in self._batches for place in batch}
        due = self._epoch(active) % self.training.validate_every == 0
        if due and 2 * len(active) <= len(together):
            most = len(self._batches[0]) if len(self._batches) > 1 else at_once(self._n_weights)
            self._batches = batches(active, most)
            return True
        return False

    def _halve(self) -> None:
        """Train half as many repetitions per step, after memory was not enough for all."""
        size = len(self._batches[0])
        if size == 1:
            raise
        places = sorted({place for batch in self._batches for place in batch})
        self._batches, self._is_first = batches(places, math.ceil(size / 2)), True
        log.info("Memory is not enough for %s repetitions per step: now %s.", size, len(self._batches[0]))

    def _epoch(self, places: Iterable[int]) -> int:
        """The epoch of those that are least far."""
        return min(self.loops[place].snapshot.progress.epoch for place in places)

    @contextlib.contextmanager
    def _failing(self, place: int) -> Iterator[None]:
        """A repetition that diverges fails; the others go on."""
        try:
            yield
        except Diverged as error:
            self.errors[place] = error

    def _judge(self, place: int, losses: tuple[float, float]) -> None:
        loop = self.loops[place]
        reason = loop.judged(*losses)
        if reason is None and loop.snapshot.progress.epoch >= self.training.epochs:
            reason = "epochs"
        if reason is not None:
            self.reasons[place] = reason

    def _prune(self) -> None:
        """End all repetitions of a trial if its first one was ended early, which decides for the others."""
        pruned = next((place for place, reason in self.reasons.items() if reason == PRUNED), None)
        if pruned is None:
            return
        facts = self.loops[pruned].task.facts
        for place, loop in enumerate(
            self.loops
        ):  # also those that have ended: alone, they would not have begun
            if place not in self.errors:
                self.reasons[place] = PRUNED
                loop.task.record(pruned_at=facts["pruned_at"])

    # Checkpoints

    def _checkpoint(self, tasks: Sequence[Any]) -> None:
        if not self.active:
            return
        epoch = self._epoch(self.active)
        stop = tasks[0].should_stop()  # a request is made to the process, and so to all
        if stop or self.clock() - self._saved >= 60 * self.training.checkpoint_minutes:
            for loop in self.loops:
                loop.scalars.flush()
            with contextlib.ExitStack() as published:
                first, *others = [published.enter_context(task.save_checkpoint(epoch)) for task in tasks]
                checkpoint.save_group(first, self._snapshot())
                for other in others:
                    _link(first, other)
            self._saved = self.clock()
        if stop:
            for loop in self.loops:
                loop.scalars.close()
            tasks[0].stop(epoch)

    def _snapshot(self) -> GroupSnapshot:
        members = [
            Member(
                loop.snapshot,
                self.reasons.get(place),
                str(self.errors[place]) if place in self.errors else None,
            )
            for place, loop in enumerate(self.loops)
        ]
        return GroupSnapshot(
            tuple(members), tuple(self._batches), self.why_in_turn, tuple(sorted(self.absent))
        )

    def _resume(self, tasks: Sequence[Any]) -> None:
        """Go on from the newest checkpoint that all kept repetitions have."""
        lists = [task.checkpoints for task in tasks]
        named = [{folder.name: folder for folder in folders} for folders in lists]
        for name in named[0]:
            copies = [folders[name] for folders in named if name in folders]
            if len(copies) < len(tasks) or (group := self._loaded(copies)) is None:
                continue
            for task, folders, folder in zip(tasks, lists, copies):
                for newer in folders[
                    : folders.index(folder)
                ]:  # which others lack: it would displace what all have
                    shutil.rmtree(newer, ignore_errors=True)
                task.resume(folder)
            self._take_up(group)
            return

    def _loaded(self, copies: Sequence[Path]) -> GroupSnapshot | None:
        """What a checkpoint has, from the first of its copies that is whole."""
        like = [loop.snapshot.state for loop in self.loops]
        for folder in copies:
            group = checkpoint.load_group(folder, like)
            if group is not None and group.absent == tuple(sorted(self.absent)):
                return group
            log.warning("Checkpoint %s is damaged, or of another group: skipped.", folder)
        return None

    def _take_up(self, group: GroupSnapshot) -> None:
        for place, (loop, member) in enumerate(zip(self.loops, group.members)):
            loop.snapshot = member.snapshot
            if member.reason is not None:
                self.reasons[place] = member.reason
            if member.error is not None:
                self.errors.setdefault(place, Diverged(member.error))
        self._batches, self.why_in_turn = list(group.batches), group.why_in_turn
        if self.why_in_turn:
            self.vectorised = None


def at_once(n_weights: int) -> int:
    """The most repetitions of so many weights that one vectorised step trains."""
    if tf.config.list_physical_devices("GPU"):
        return ON_GPU
    return min(AT_ONCE, max(1, WEIGHTS_AT_ONCE // n_weights))


def batches(places: Sequence[int], most: int) -> list[tuple[int, ...]]:
    """The repetitions of each vectorised step, in as few and as equal steps of at most `most` as possible.

    All have the same number, so that one program trains them: the last one repeats its last repetition.
    """
    number = math.ceil(len(places) / most)
    size = math.ceil(len(places) / number)
    cut = [tuple(places[start : start + size]) for start in range(0, len(places), size)]
    return [one + (one[-1],) * (size - len(one)) for one in cut]


def _link(source: Path, target: Path) -> None:
    """Give a checkpoint the files of another one, which take their space once if the file system can."""
    for name in GROUP:
        try:
            os.link(source / name, target / name)
        except OSError:
            shutil.copy(source / name, target / name)
