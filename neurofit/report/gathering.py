"""What a report says about each experiment, gathered from its files; the script is never executed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import neurofit
from neurofit.errors import NameUnknown, UsageError
from neurofit.experiments import scripts
from neurofit.experiments.grid.params import short
from neurofit.orchestrate.attempts import newer_attempts
from neurofit.orchestrate.explanations import Explanation, explained
from neurofit.orchestrate.failures import fail_fast_notes
from neurofit.orchestrate.outdated import outdated_now
from neurofit.plotting.tasks import simulated_data
from neurofit.report.costs import Cost, asked_for, costs
from neurofit.report.drawing import Drawn, draw
from neurofit.report.pictures import states_bar
from neurofit.report.recipe import Setting, recipe_of, splits_of
from neurofit.report.svg import Svg
from neurofit.report.tables import (
    AxisComparison,
    RunTable,
    comparisons,
    decisive_metric,
    run_table,
    tasks_csv,
)
from neurofit.status.experiment_status import ExperimentStatus, read_status
from neurofit.store.layout import code_store, discover_experiments
from neurofit.store.state import ACTIVE, UNFINISHED, State
from neurofit.store.submissions import TaskKey
from neurofit.study import Study
from neurofit.tables.best import Best, best_of, resolved
from neurofit.tables.notes import notes
from neurofit.tables.query import parse_query
from neurofit.tables.rows import read_rows

if TYPE_CHECKING:
    from neurofit.tables.table import TaskRow

MOST_VALUES = 12  # of an axis, listed
MOST_FAILURES = 20  # kinds of failures, described
MOST_SUBMISSIONS = 20
SELECTED_TASKS = 12  # of a failure, named


@dataclass(frozen=True)
class Axis:
    """An argument with several values, and a text about those that are not listed."""

    name: str
    values: list[str]
    more: str = ""


@dataclass(frozen=True)
class FailureNote:
    """A failure, with the selectors of some of its tasks."""

    explanation: Explanation
    tasks: list[str]
    more: int


@dataclass(frozen=True)
class Count:
    """How many tasks have a value."""

    text: str
    tasks: int


@dataclass(frozen=True)
class SubmissionNote:
    """A submission as a reader of a report needs it."""

    name: str
    created: str
    runner: str
    tasks: int
    resources: str
    commit: str
    host: str


@dataclass(frozen=True)
class ExperimentReport:
    """All that is said about one experiment, or about the selected tasks of it."""

    selector: str
    name: str
    anchor: str
    docstring: str
    script: str
    axes: list[Axis]
    fixed: list[tuple[str, str]]
    runs: int
    repetitions: int
    states: dict[str, int]
    ran: int  # tasks with an outcome
    states_bar: Svg
    metric: str | None
    better: str
    best: str
    table: RunTable
    comparisons: list[AxisComparison]
    not_compared: list[str]
    drawn: Drawn
    failures: list[FailureNote]
    more_failures: int
    costs: list[Cost]
    recipe: list[Setting]
    recipe_of: str
    splits: list[Setting]
    notes: list[str]
    problems: list[str]
    commits: list[Count]
    codes: list[Count]
    versions: list[Count]
    hosts: list[Count]
    submissions: list[SubmissionNote]
    more_submissions: int
    csv: str = field(repr=False)

    @property
    def total(self) -> int:
        return sum(self.states.values())

    @property
    def done(self) -> int:
        return self.states.get(str(State.DONE), 0)

    @property
    def active(self) -> int:
        """Tasks that are queued or running."""
        return sum(self.states.get(str(state), 0) for state in ACTIVE)

    @property
    def failed(self) -> int:
        return sum(self.states.get(str(state), 0) for state in UNFINISHED)

    @property
    def summary(self) -> str:
        """The first paragraph of the script's docstring."""
        return self.paragraphs[0] if self.docstring else ""

    @property
    def paragraphs(self) -> list[str]:
        """The paragraphs of the docstring, on one line each; those with indented lines keep their lines."""
        found = [one.strip("\n") for one in re.split(r"\n[ \t]*\n", self.docstring)]
        return [one if re.search(r"^[ \t*-]", one, re.M) else " ".join(one.split()) for one in found]


@dataclass(frozen=True)
class Report:
    """What a report says."""

    study: str
    created: str
    version: str
    experiments: list[ExperimentReport]
    left_out: list[str]  # sentences about experiments without runs
    notes: list[str] = field(default_factory=list)  # sentences about what the selections mean


def gather(
    study: Study,
    selectors: Sequence[str],
    *,
    condition: str | None = None,
    metric: str | None = None,
    best_by: str | None = None,
) -> Report:
    """Read what a report says about these experiments.

    Parameters
    ----------
    study : Study
    selectors : sequence of str
        Experiments, or selected tasks of them; empty for all experiments that were submitted.
    condition : str, optional
        Condition on the arguments, as given to `--where`.
    metric : str, optional
        The metric that decides. Default: the correlation on the test set, or the first score.
    best_by : str, optional
        The metric that decides which run `exp3:best` is.

    Raises
    ------
    UsageError, NameUnknown
        There is no such experiment, task or metric, or none was submitted.
    """
    wanted = list(dict.fromkeys(selectors)) or _all_experiments(study)
    queries = [parse_query(study, selector, (), condition) for selector in wanted]
    some_best = any(query.selection.best for query in queries)
    found: list[ExperimentReport] = []
    every: list[TaskRow] = []
    left_out: list[str] = []
    said: list[str] = []
    statuses: dict[str, ExperimentStatus] = {}
    for selector, query in zip(wanted, queries):
        if query.name not in statuses:
            statuses[query.name] = read_status(study, query.name)
        status = statuses[query.name]
        query, best = resolved(query, status, best_by if query.selection.best or not some_best else None)
        said += [best.sentence] if best else []
        said += query.absent(status)
        keys = query.keys(status)
        if not keys:
            left_out.append(
                " ".join([f"{query.name} has no runs, so there is nothing to report.", *status.problems])
            )
            continue
        chosen = set(keys)
        rows = [
            row for row in read_rows(status, query.selection) if (row["run"], row["repetition"]) in chosen
        ]
        every += rows
        anchor = f"experiment-{len(found) + 1}"
        found.append(_experiment(study, status, selector, keys, rows, metric, best, anchor))
    if not found:
        raise UsageError("\n".join(left_out))
    if metric is not None and not any(one.metric == metric for one in found):
        if not any(one.metric for one in found):
            raise UsageError(f"No task has a metric '{metric}', because none is done.")
        decisive_metric(every, metric)  # raises an error that lists the metrics
    now = datetime.now(timezone.utc).astimezone().strftime("%Y-%m-%d %H:%M %Z")
    return Report(study.root.name, now, neurofit.__version__, found, left_out, said)


def _all_experiments(study: Study) -> list[str]:
    discovered = discover_experiments(study)
    if not discovered.names:
        raise NameUnknown(
            " ".join(
                [
                    f"No experiment was submitted in {study.root} yet, so there is nothing to report.",
                    *discovered.unseen,
                    "`neurofit list` lists the scripts.",
                ]
            )
        )
    return [name if ":" not in name else f"{name}:all" for name in discovered.names]


def _experiment(
    study: Study,
    status: ExperimentStatus,
    selector: str,
    keys: Collection[TaskKey],
    rows: list[TaskRow],
    metric: str | None,
    best: Best | None,
    anchor: str,
) -> ExperimentReport:
    other = ""
    try:
        decisive = decisive_metric(rows, metric)
    except UsageError:
        decisive = decisive_metric(rows, None)
        other = f"No task has a metric '{metric}', so runs are ordered by {decisive.name if decisive else 'number'}."
    table = run_table(rows, decisive)
    compared, not_compared = comparisons(status.name, rows, decisive)
    drawn = draw(status, rows, table, decisive)
    explanations = explained(status, keys, rows if _is_whole(rows, status) else None)
    docstring, script = _asked(study, status)
    axes, fixed = _axes(rows)
    of_best, recipe = recipe_of(status, rows, table)
    chosen = set(keys)
    ran = [row for row in rows if row.get("started")]
    counts = Counter(status.of(key).state for key in keys)
    states = {str(state): counts[state] for state in State if counts[state]}
    submissions = [
        part for part in reversed(status.submissions) if any(task.key in chosen for _, task in part.planned())
    ]
    return ExperimentReport(
        selector=selector,
        name=status.name,
        anchor=anchor,
        docstring=docstring,
        script=script,
        axes=axes,
        fixed=fixed,
        runs=len({row["run"] for row in rows}),
        repetitions=status.repetitions,
        states=states,
        ran=len(ran),
        states_bar=states_bar(states),
        metric=decisive.name if decisive else None,
        better=decisive.better if decisive else "",
        best=best.sentence if best else _best(rows, status.name) if _is_whole(rows, status) else "",
        table=table,
        comparisons=compared,
        not_compared=not_compared,
        drawn=drawn,
        failures=[_failure(status.name, one) for one in explanations[:MOST_FAILURES]],
        more_failures=max(0, len(explanations) - MOST_FAILURES),
        costs=costs(status, keys),
        recipe=recipe,
        recipe_of=of_best,
        splits=splits_of(rows, recipe),
        notes=[*filter(None, [other]), *_notes(study, status, selector, keys, rows)],
        problems=[*status.problems, *status.unanswered],
        commits=_counted(map(_commit, ran)),
        codes=_counted(str(row.get("code") or "unknown") for row in ran),
        versions=_counted(
            f"{name} {version}" for row in ran for name, version in (row.get("versions") or {}).items()
        ),
        hosts=_counted(str(row.get("host") or "unknown") for row in ran),
        submissions=[
            SubmissionNote(
                part.name,
                (part.record.created or "").replace("T", " ")[:16],
                part.record.runner,
                sum(map(len, part.jobs)),
                asked_for(part.record),
                (part.record.commit or "")[:10] + (" (changed)" if part.record.dirty else ""),
                part.record.host or "",
            )
            for part in submissions[:MOST_SUBMISSIONS]
        ],
        more_submissions=max(0, len(submissions) - MOST_SUBMISSIONS),
        csv=tasks_csv(rows),
    )


def _is_whole(rows: list[TaskRow], status: ExperimentStatus) -> bool:
    """Whether these are the rows of all tasks of the experiment."""
    return len(rows) == len(status.all_keys())


def _best(rows: list[TaskRow], name: str) -> str:
    """Which run `NAME:best` means, or an empty text if validation scores do not decide."""
    try:
        return best_of(rows, name).sentence
    except UsageError:
        return ""


def _commit(row: TaskRow) -> str:
    commit = row.get("commit")
    if not commit:
        return "not in a git repository"
    return f"{commit}, with changes that were not committed" if row.get("dirty") else str(commit)


def _counted(values: Any) -> list[Count]:
    return [Count(text, number) for text, number in Counter(values).most_common()]


def _notes(
    study: Study, status: ExperimentStatus, selector: str, keys: Collection[TaskKey], rows: list[TaskRow]
) -> list[str]:
    old = outdated_now(study, status, keys).sentence(selector)
    found = [
        *notes(rows),
        *simulated_data(rows),
        *newer_attempts(status, keys),
        old or "",
        *fail_fast_notes(status),
    ]
    return list(dict.fromkeys(filter(None, found)))


def _asked(study: Study, status: ExperimentStatus) -> tuple[str, str]:
    """The docstring of the script as it was submitted last, and the script's path in the study."""
    script = f"jobs/{status.name}.py"
    places: list[Path] = []
    for part in reversed(status.submissions):
        script = part.record.script
        places.append(code_store(study) / part.record.code / script)
        break
    for path in [*places, study.root / script]:
        if documented := scripts.docstring(path):
            return documented, script
    return "", script


def _axes(rows: list[TaskRow]) -> tuple[list[Axis], list[tuple[str, str]]]:
    """The arguments with several values, and the others with their value; runs off the grid do not count.

    A run that leaves out an argument which others set has its default.
    """
    on_grid = [row for row in rows if row.get("on_grid") is not False] or rows
    given = [
        {"architecture": row.get("architecture"), **(row.get("params") or {}), **(row.get("derived") or {})}
        for row in on_grid
    ]
    values: dict[str, dict[str, Any]] = {name: {} for arguments in given for name in arguments}
    for row, arguments in zip(on_grid, given):
        for name, value in {**(row.get("defaults") or {}), **arguments}.items():
            if name in values:
                values[name].setdefault(short(value, 60), value)
    axes, fixed = [], []
    for name, known in values.items():
        texts = list(known)
        numeric = all(type(value) in (int, float) for value in known.values())
        if numeric:
            texts.sort(key=lambda one: known[one])
        if len(texts) > MOST_VALUES and numeric:
            low, high = (f"{known[one]:.4g}" for one in (texts[0], texts[-1]))
            axes.append(Axis(name, [], f"{len(texts)} values from {low} to {high}"))
        elif len(texts) > MOST_VALUES:
            axes.append(Axis(name, texts[:MOST_VALUES], f"and {len(texts) - MOST_VALUES} more"))
        elif len(texts) > 1:
            axes.append(Axis(name, texts))
        elif name != "architecture" or any("architecture" in (row.get("params") or {}) for row in on_grid):
            fixed.append((name, texts[0]))
    return axes, fixed


def _failure(name: str, explanation: Explanation) -> FailureNote:
    tasks = [f"{name}:{run}/{repetition}" for run, repetition in explanation.failure.tasks]
    return FailureNote(explanation, tasks[:SELECTED_TASKS], max(0, len(tasks) - SELECTED_TASKS))
