"""The tasks that a selector on the command line means, with the best run looked up for `exp3:best`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

import click

from neurofit.cli import terminal
from neurofit.text import command

if TYPE_CHECKING:
    from neurofit.experiments.experiment import Experiment
    from neurofit.experiments.selector import Range, Selection
    from neurofit.status.experiment_status import ExperimentStatus
    from neurofit.store.state import State
    from neurofit.study import Study
    from neurofit.tables.query import TaskQuery


def select(
    study: Study,
    selector: str,
    states: Collection[State] = (),
    where: str | None = None,
    best_by: str | None = None,
) -> tuple[TaskQuery, ExperimentStatus]:
    """The selected tasks of a submitted experiment, and its status; a note says which run is the best one."""
    from neurofit.status.experiment_status import read_status
    from neurofit.tables.query import parse_query

    query = parse_query(study, selector, states, where)
    status = read_status(study, query.name)
    query = with_best(query, status, best_by)
    note_each(query.absent(status))
    return query, status


def note_each(sentences: Iterable[str]) -> None:
    """Say each of these once, such as which parts of selections mean nothing."""
    for sentence in dict.fromkeys(sentences):
        terminal.note(sentence)


def with_best(query: TaskQuery, status: ExperimentStatus, best_by: str | None) -> TaskQuery:
    """The query with the best run in place of `best`."""
    if not query.selection.best and best_by is None:
        return query
    from neurofit.tables.best import resolved  # loads pandas

    found, best = resolved(query, status, best_by)
    if best:
        terminal.note(best.sentence)
    return found


def named(study: Study, selector: str, best_by: str | None) -> str:
    """The selector with the number of the best run in place of `best`."""
    from neurofit.experiments.selector import BEST, parse

    selection = parse(selector)
    has_parts = any(len(ranges or ()) > 1 for ranges in (selection.runs, selection.repetitions))
    if not (selection.best or has_parts) and best_by is None:
        return selector
    query, _ = select(study, selector, best_by=best_by)
    if not selection.best:
        return selector
    assert query.selection.runs is not None  # the best run was found
    name, _, tasks = selector.rpartition(":")
    return f"{name}:{tasks.replace(BEST, str(query.selection.runs[0].first), 1)}"


def of_script(study: Study, experiment: Experiment, selection: Selection, best_by: str | None) -> Selection:
    """A selection of an experiment that was loaded from its script, with the best run looked up."""
    if not selection.best and best_by is None:
        return selection
    from neurofit.status.experiment_status import read_status
    from neurofit.tables.best import resolved_selection  # loads pandas

    found, best = resolved_selection(selection, read_status(study, experiment.name), best_by)
    if best:
        terminal.note(best.sentence)
    return found


def single(selector: str, selection: Selection, ranges: tuple[Range, ...] | None) -> int | None:
    """The only run, or repetition, of a selection of one task; None if it names none."""
    from neurofit.experiments.selector import Range

    if ranges is None:
        return None
    if len(ranges) == 1 and ranges[0] == Range(None, None):
        raise click.UsageError(
            f"'{selector}': 'last' is not looked up here; name the run by its number, for example "
            f"{selection.experiment}:17/3. `{command('show', selection.experiment)}` lists the runs."
        )
    if len(ranges) > 1 or ranges[0].first != ranges[0].last:
        raise click.UsageError(
            f"'{selector}' selects several tasks; expected a single one, for example "
            f"{selection.experiment}:17/3. `neurofit submit` runs all of them."
        )
    return ranges[0].first
