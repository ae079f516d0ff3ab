"""What to run: an experiment (a fit, a grid, repetitions), its runs and their tasks.

A fit is any function `fit(task) -> dict of numbers`. `docs/architecture.md` lists the optional attributes of a
fit; no others are used. Creating an experiment checks everything that can be checked without running it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from neurofit.errors import GridError, nearest
from neurofit.experiments.fits import REQUIRED, FitAdapter, call
from neurofit.experiments.grid.grid import Grid, grid
from neurofit.experiments.grid.nodes import Row, Rule
from neurofit.experiments.grid.params import identity, plain, short
from neurofit.experiments.grid.search import Search
from neurofit.experiments.seeds import Seeds

__all__ = ["REQUIRED", "Experiment", "Run", "Seeds", "Task", "call"]
SPLITS = (None, "repetition", "fold")
MOST_TASKS = 1_000_000


@dataclass(frozen=True)
class Run:
    """One combination of architecture and arguments. `number` is None if it is not a point of the grid."""

    number: int | None
    id: str
    architecture: str = field(compare=False)
    params: dict[str, Any] = field(compare=False)
    derived: dict[str, Any] = field(compare=False)
    rules: tuple[Rule, ...] = field(default=(), compare=False, repr=False)
    trial: int | None = field(default=None, compare=False)  # of a search; `params` lacks what is suggested
    group: str | None = field(default=None, compare=False)  # what the trials of one search have in common

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments that the fit receives: the given ones and those derived from them."""
        return {**self.params, **self.derived}

    @property
    def registered_number(self) -> int:
        """The number. Raises ValueError if the run has none, because it is not on the grid."""
        if self.number is None:
            raise ValueError(f"run {self.id} is not on the grid and has no number")
        return self.number


@dataclass(frozen=True)
class Task:
    """One repetition of a run."""

    run: Run
    repetition: int


@dataclass(frozen=True)
class Experiment:
    """A fit, the grid of its arguments, and the number of repetitions.

    Parameters
    ----------
    fit : callable
        A function of a task that returns a dict of numbers, or a callable object with optional attributes, such
        as `neurofit.models.Fit`.
    grid : Grid, optional
        The combinations of arguments to run. The default is one run without arguments.
    repetitions : int, default 1
        Tasks per run. Repetition 3 has seed 3 in every run.
    split_by : {None, "repetition", "fold"}, default None
        What the split of the data depends on. With None, all tasks share one split; with "repetition", each
        repetition has its own; with "fold", repetition k tests on fold k, and there are as many folds as
        repetitions.
    files : sequence of str, optional
        Paths or patterns, relative to the study, of small files that jobs need and that the code does not
        name. They are copied with the code.
    inputs : sequence of str or Path, optional
        Files or folders of data that every task reads, relative to the study (`inputs=["data/cells.npz"]`).
        Outcomes record their digests, as with `task.uses(path)`.
    needs : str or sequence of str, optional
        Names of experiments of the study that must be done before this one starts (`needs="it/features"`).
        `submit` queues them first. They are no part of the runs' ids.

    Raises
    ------
    GridError
        A parameter is invalid, the fit has no argument of a given name, or it rejects a combination.
    """

    fit: Callable[..., Any]
    grid: Grid = field(default_factory=grid)
    repetitions: int = 1
    split_by: str | None = None
    files: Sequence[str] = ()
    inputs: Sequence[str | Path] = ()
    needs: str | Sequence[str] = ()
    name: str = field(default="", init=False)
    path: Path | None = field(default=None, init=False)
    hint: str | None = field(default=None, init=False)  # why loading the script was slow

    def __post_init__(self) -> None:
        FitAdapter(self.fit)  # raises GridError if `fit` is not a fit
        if not isinstance(self.grid, Grid):
            raise GridError(
                f"grid must be a Grid, got {short(self.grid)}. Write grid=neurofit.grid(filters=[4, 9])."
            )
        if (
            isinstance(self.repetitions, bool)
            or not isinstance(self.repetitions, int)
            or self.repetitions < 1
        ):
            raise GridError(f"repetitions must be an integer of at least 1, got {short(self.repetitions)}.")
        if self.split_by not in SPLITS:
            raise GridError(f"split_by must be None, 'repetition' or 'fold', got {short(self.split_by)}.")
        if isinstance(self.inputs, (str, Path)) or not all(
            isinstance(one, (str, Path)) for one in self.inputs
        ):
            raise GridError(
                f'inputs must be a list of paths, got {short(self.inputs)}. Write inputs=["data/cells.npz"].'
            )
        if self.split_by == "fold" and self.repetitions < 2:
            raise GridError(
                'split_by="fold" uses one fold per repetition and needs at least 2 repetitions, '
                f"got {self.repetitions}. Set repetitions to the number of folds."
            )
        if isinstance(self.files, str) or not all(isinstance(one, str) for one in self.files):
            raise GridError(
                f"files must be a list of paths or patterns, got {short(self.files)}. Write files=['lib/*.csv']."
            )
        if not isinstance(self.needs, str) and (
            not isinstance(self.needs, Sequence) or not all(isinstance(one, str) for one in self.needs)
        ):
            raise GridError(
                f'needs must be the names of experiments, got {short(self.needs)}. Write needs="it/features".'
            )
        if "" in self.needed():
            raise GridError('needs has an empty name. Write needs="it/features".')
        if not self._runs:
            raise GridError("The grid has no points: .where(…) removed all of them.")
        must_be_manageable(len(self._runs), self.repetitions)
        self._check_runs()

    def needed(self) -> list[str]:
        """The names in `needs`, each once."""
        return [self.needs] if isinstance(self.needs, str) else list(dict.fromkeys(self.needs))

    @property
    def search(self) -> Search | None:
        """What is searched for, if the grid has a search."""
        return self.grid.search

    @cached_property
    def searches(self) -> dict[str, Run]:
        """What the trials of a search have in common → the first of them, for each point of a grid in its order."""
        found: dict[str, Run] = {}
        for run in self._runs:
            if run.group is not None:
                found.setdefault(run.group, run)
        return found

    def with_trials(self, trials: int) -> Experiment:
        """This experiment with another number of trials in its search."""
        return replace(self, grid=self.grid.with_trials(trials)).at(self.name, self.path, hint=self.hint)

    def runs(self) -> list[Run]:
        """Every run, with the numbers that the grid assigns.

        A run that is already registered keeps its registered number (see `numbered`).
        """
        return list(self._runs)

    def arguments(self) -> dict[str, Any]:
        """Every argument that a grid or a command line can set, with its default.

        The default is `REQUIRED` for an argument that has none.
        """
        return dict(self._arguments)

    @property
    def accepts_any(self) -> bool:
        """Whether the fit takes any argument: it declares none and reads `task.params` itself."""
        return self.adapter.accepts_any

    def settings(self) -> dict[str, Any]:
        """Settings of the fit other than its arguments, as JSON. They are part of every run's id."""
        return dict(self._settings)

    def architectures(self) -> list[str]:
        """The names of the architectures that can be fitted; for a plain function, its name."""
        return self.adapter.architectures()

    def defaults(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The default values, as JSON, of the arguments that are not in `params`."""
        return self.adapter.defaults(params)

    def varied(self, run: Run, changes: Mapping[str, Any]) -> Run:
        """A run with some arguments changed and the derived arguments computed again.

        If the grid has such a point, the result is that run; otherwise its number is None. A derived argument that
        is among the changes keeps the given value and becomes part of the run's id.

        Parameters
        ----------
        run : Run
        changes : mapping of str to value
            New values of arguments, by name.

        Returns
        -------
        Run

        Raises
        ------
        GridError
            The fit has no argument of a given name, or it rejects the combination.
        """
        given = {name: plain(value, f"argument '{name}'") for name, value in changes.items()}
        row = _with(run, given)
        varied = self._run(None, row.values, row.derived, run.rules)
        self._check(varied.arguments, "These arguments")
        return self._by_id.get(varied.id, varied)

    def suggested(self, run: Run, values: Mapping[str, Any]) -> Run:
        """A trial with the arguments that were suggested for it, and those that are derived from them.

        Raises
        ------
        GridError
            The fit rejects the combination, or a function of the script does.
        """
        given = {name: plain(value, f"argument '{name}'") for name, value in values.items()}
        row = _with(run, given)
        arguments = {**row.values, **row.derived}
        self._check(arguments, f"Run {run.number}")
        return replace(
            run, architecture=self._architecture(row.values), params=row.values, derived=row.derived
        )

    def restored(self, number: int, params: Mapping[str, Any], derived: Mapping[str, Any]) -> Run:
        """A run with these arguments, whether the grid has it or not.

        Raises
        ------
        GridError
            The fit has no argument of a given name, or it rejects the combination.
        """
        run = self._run(number, dict(params), dict(derived), ())
        self._check(run.arguments, f"Run {number}")
        return run

    @property
    def script(self) -> Path:
        """The path of the script. Raises ValueError if the experiment was not loaded from one."""
        if self.path is None:
            raise ValueError("this experiment was not loaded from a script")
        return self.path

    def at(self, name: str, path: Path | None, *, hint: str | None = None) -> Experiment:
        """A copy of this experiment with the name and the path of its script."""
        placed = copy.copy(self)
        for attribute, value in (("name", name), ("path", path), ("hint", hint)):
            object.__setattr__(placed, attribute, value)
        return placed

    def main(self) -> None:
        """Run one task chosen on the command line: `python jobs/exp3.py --filters 16 --repetition 3`."""
        import neurofit

        neurofit.main(self)

    @cached_property
    def adapter(self) -> FitAdapter:
        """The fit, with a default for every optional attribute."""
        return FitAdapter(self.fit)

    @cached_property
    def _arguments(self) -> dict[str, Any]:
        return self.adapter.arguments()

    @cached_property
    def _settings(self) -> dict[str, Any]:
        return self.adapter.settings()

    @cached_property
    def _settings_id(self) -> str:
        return identity(self._settings)

    @cached_property
    def _runs(self) -> tuple[Run, ...]:
        return tuple(self._run(p.number, p.values, p.derived, p.rules, p.trial) for p in self.grid.points())

    @cached_property
    def _by_id(self) -> dict[str, Run]:
        return {run.id: run for run in reversed(self._runs)}

    def _run(
        self,
        number: int | None,
        params: dict[str, Any],
        derived: dict[str, Any],
        rules: tuple[Rule, ...],
        trial: int | None = None,
    ) -> Run:
        architecture = self._architecture(params)
        what: dict[str, Any] = {"architecture": architecture, "params": params, "settings": self._settings_id}
        if self.split_by is not None:
            what["split_by"] = self.split_by
        if self.split_by == "fold":
            what["repetitions"] = self.repetitions
        own = identity(what)
        if trial is None:
            return Run(number, own, architecture, params, derived, rules)
        return Run(number, identity([own, trial]), architecture, params, derived, rules, trial, own)

    def _architecture(self, params: Mapping[str, Any]) -> str:
        default = self._arguments.get("architecture", REQUIRED)
        if "architecture" in params and (self.accepts_any or "architecture" in self._arguments):
            return str(params["architecture"])
        return str(self.architectures()[0] if default is REQUIRED else default)

    def _check_runs(self) -> None:
        sizes: dict[tuple[Any, ...], set[int | None]] = {}
        for run in self._runs:
            kind = (run.architecture, *run.arguments, run.trial is not None)
            if kind not in sizes:
                self._check_run(run)
            try:
                size = self.adapter.repetitions_together(run.arguments)
            except GridError as error:
                raise GridError(f"Run {run.number}: {error}") from error
            if size not in sizes.setdefault(kind, {size}):
                sizes[kind].add(size)
                self._check_run(run)

    def _check_run(self, run: Run) -> None:
        if run.trial is None:
            self._check(run.arguments, f"Run {run.number}")
            return
        assert self.search is not None  # a trial is of a search
        suggested = [self.suggested(run, values) for values in self.search.examples(run.arguments)]
        self._check_groups(suggested)

    def _check_groups(self, suggested: Sequence[Run]) -> None:
        """Raise GridError if a search changes how many repetitions are trained together."""
        sizes = {self.adapter.repetitions_together(run.arguments) for run in suggested}
        if len(sizes) > 1:
            numbers = " or ".join(str(size) for size in sorted(sizes, key=lambda size: size or 0))
            raise GridError(
                f"The search changes how many repetitions of a trial are trained together ({numbers}), which must be "
                "known when its tasks are divided among jobs, before its arguments are suggested. Give 'together' one "
                "value, such as Training(together=3), or make it an axis of a grid."
            )

    def _check(self, arguments: Mapping[str, Any], where: str) -> None:
        if not self.accepts_any:
            for name in arguments:
                if name not in self._arguments:
                    raise GridError(
                        f"{where}: the fit has no argument '{name}'.{nearest(name, self._arguments)} "
                        f"Its arguments: {', '.join(self._arguments) or 'none'}."
                    )
        missing = [
            name for name, default in self._arguments.items() if default is REQUIRED and name not in arguments
        ]
        if missing:
            raise GridError(
                f"{where}: the required argument '{missing[0]}' has no value. "
                f"Add an axis {missing[0]}=[…] to the grid."
            )
        try:
            self.adapter.check(arguments)
        except GridError as error:
            raise GridError(f"{where}: {error}") from error


def _with(run: Run, given: Mapping[str, Any]) -> Row:
    """The arguments of a run with others in their place, and those derived from them that are not given."""
    row = Row({**run.params, **given}, {}, ())
    for rule in run.rules:
        if rule.name not in given:
            row = rule.applied(row)
    return row


def must_be_manageable(runs: int, repetitions: int) -> None:
    """Raise GridError if there are more tasks than files and queues can handle in reasonable time."""
    if runs * repetitions > MOST_TASKS:
        raise GridError(
            f"{runs} runs × {short(repetitions)} repetitions are more than {MOST_TASKS:,} tasks, the "
            "limit for one experiment. Use fewer repetitions, or divide the grid among several scripts."
        )
