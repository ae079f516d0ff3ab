"""Trials of a search, as a worker sees them: it asks for the arguments of those that have none yet."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from neurofit.errors import NeurofitError, StoreError
from neurofit.experiments.experiment import Experiment, Run
from neurofit.experiments.grid.search import Search
from neurofit.spans import spans
from neurofit.store.records import Outcome, RegisteredRun, SuggestionRecord
from neurofit.store.suggestions import (
    PRUNED_AT,
    content_hash,
    merged,
    read_suggestion,
    write_suggestion,
)
from neurofit.structure import read_record
from neurofit.suggestions.known import Memory, by_state
from neurofit.transient import retry
from neurofit.worker.assignment import Assignment
from neurofit.worker.pruning import Feed, Pruning

if TYPE_CHECKING:
    from neurofit.suggestions.trial import KnownTrial

_SUGGESTING = ("optuna", "cmaes", "scipy", "numpy")  # modules that may take part in a suggestion


class NoSuggestion(NeurofitError):
    """No arguments could be suggested for a trial."""


@dataclass
class Trials:
    """The trials of one submission's experiment. What is known of them is read once, and then what is new."""

    assignment: Assignment
    _memory: Memory | None = None

    @property
    def search(self) -> Search | None:
        experiment = self.assignment.experiment
        return experiment.search if experiment is not None else None

    @property
    def memory(self) -> Memory:
        if self._memory is None:
            self._memory = Memory(self.assignment.files)
        return self._memory

    def with_arguments(self, run: RegisteredRun) -> tuple[RegisteredRun, str]:
        """A trial with all its arguments, and the hash of their suggestion, which is made if there is none.

        Raises
        ------
        NoSuggestion
            No arguments could be suggested, or the script does not have this search.
        """
        experiment = self.assignment.experiment
        if experiment is None or experiment.search is None or run.group is None:
            raise NoSuggestion("The script has no search, so this trial cannot get its arguments.")
        files = self.assignment.files
        trial = self._trial(experiment, run)
        try:
            suggestion = retry(lambda: read_suggestion(files, run))
            if suggestion is None and self.assignment.record.scratch:
                raise NoSuggestion(
                    "This trial has not started, so it has no arguments. Submit it first: an attempt that does not "
                    "count decides nothing for the search."
                )
            if suggestion is None:
                suggestion = write_suggestion(files, run, self._suggested(experiment, trial, run))
            derived = experiment.suggested(trial, suggestion.values).derived
        except (NeurofitError, ImportError) as error:
            raise NoSuggestion(f"No arguments could be suggested for this trial: {error}") from error
        return merged(run, suggestion.values, derived), content_hash(suggestion)

    def metric_of(self, run: RegisteredRun) -> str | None:
        """The metric that a task of this run must return; None if it is no trial."""
        return self.search.metric if run.trial is not None and self.search is not None else None

    def known(self, run: RegisteredRun) -> list[KnownTrial]:
        """The other trials of the same search that have arguments."""
        assert self.search is not None and run.group is not None  # the run is a trial
        repetitions = self.assignment.record.repetitions
        return self.memory.trials(self.search, run.group, repetitions, without=run.trial)

    def pruning(self, run: RegisteredRun, steps: int | None) -> Pruning | None:
        """What decides whether a trial ends early, None if nothing does.

        Parameters
        ----------
        run : RegisteredRun
            The trial.
        steps : int or None
            The last step of its fit, if that is known.
        """
        search = self.search
        if search is None or search.pruner is None or run.trial is None or run.group is None:
            return None
        known = self.known(run)
        return Pruning(search, run.group, run.trial, known, Feed(known), steps)

    def pruned_at(self, run: RegisteredRun) -> int | float | None:
        """The step at which the first repetition of a trial was ended early; None if it was not."""
        if run.trial is None:
            return None
        for attempt in reversed(self.assignment.task_files(run.number, 0).attempts()):
            try:
                outcome = retry(partial(read_record, attempt.outcome, Outcome))
            except (FileNotFoundError, StoreError):
                continue
            if outcome.state == "done":
                step = (outcome.facts or {}).get(PRUNED_AT)
                return step if isinstance(step, (int, float)) else None
        return None

    def _trial(self, experiment: Experiment, run: RegisteredRun) -> Run:
        """The run as the script has it: with the rules of its derived arguments."""
        assert run.group is not None and run.trial is not None  # the run is a trial
        try:
            return experiment.searches[run.group]
        except KeyError:
            raise NoSuggestion(
                "The submitted script has no search with the arguments and settings of this trial."
            ) from None

    def _suggested(self, experiment: Experiment, trial: Run, run: RegisteredRun) -> SuggestionRecord:
        # the sampler is imported only where a trial has no arguments yet
        from neurofit.suggestions.suggesting import Request, inside, suggest

        search = experiment.search
        assert search is not None and run.group is not None and run.trial is not None
        known = self.known(run)
        request = Request(search, trial.params, run.trial, self.assignment.files.name, run.group)
        told = inside(search, trial.params, known)
        values = suggest(request, told)
        return SuggestionRecord(
            trial=run.trial,
            group=run.group,
            values=values,
            derived=experiment.suggested(trial, values).derived,
            sampler=search.sampler,
            seed=request.seed,
            known={
                state: [list(span) for span in spans(numbers)] for state, numbers in by_state(told).items()
            },
            search=search.identity,
            metric=search.metric,
            direction="maximize" if search.maximizes else "minimize",
            submission=self.assignment.submission.name,
            versions=_versions(),
            t=round(time.time(), 3),
        )


def _versions() -> dict[str, str]:
    """Versions of what may have suggested arguments, on which they depend."""
    found = {name: getattr(sys.modules.get(name), "__version__", None) for name in _SUGGESTING}
    return {name: str(version) for name, version in found.items() if version is not None}
