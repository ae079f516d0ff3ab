"""Which tasks a picture shows: those selected, once each, with their histories, and notes about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from neurofit import packed
from neurofit.errors import UsageError
from neurofit.experiments.selector import parse
from neurofit.status.experiment_status import ExperimentStatus, read_status
from neurofit.store.history import read_history
from neurofit.store.state import State
from neurofit.store.submissions import TaskKey
from neurofit.study import Study
from neurofit.tables.best import resolved
from neurofit.tables.notes import notes
from neurofit.tables.query import parse_query
from neurofit.tables.rows import read_rows
from neurofit.tables.table import TaskRow, join_words, valid_rows
from neurofit.text import command

HistoryColumns = dict[str, tuple[list[float], list[float]]]  # column of history.csv → steps and values
STARTED = (State.FAILED, State.LOST, State.STOPPED, State.CANCELLED, State.RUNNING)  # may have a history


@dataclass(frozen=True)
class PlottedTask:
    """A task to draw: its row of results, its history, the folder of its attempt, and the selector it matched."""

    row: TaskRow
    history: HistoryColumns
    folder: Path
    selector: str = ""

    @property
    def run(self) -> str:
        """Selector of its run: exp3:17."""
        return f"{self.row['experiment']}:{self.row['run']}"

    @property
    def name(self) -> str:
        """Selector of the task: exp3:17/0."""
        return f"{self.run}/{self.row['repetition']}"

    @property
    def off_grid(self) -> bool:
        return self.row.get("on_grid") is False

    def fact(self, name: str) -> Any:
        return (self.row.get("facts") or {}).get(name)

    def has_values(self, column: str) -> bool:
        """Whether the history has values in a column."""
        return bool(self.history.get(column, ([], []))[0])


@dataclass
class _Collected:
    """What was read so far of the selected experiments."""

    statuses: dict[str, ExperimentStatus] = field(default_factory=dict)
    rows: dict[str, dict[TaskKey, TaskRow]] = field(default_factory=dict)  # experiment → task → row
    tasks: dict[tuple[str, int, int, str | None], PlottedTask] = field(default_factory=dict)
    selected: list[str] = field(default_factory=list)  # sentences: which run is the best one, what is absent


def select_tasks(
    study: Study,
    selectors: Sequence[str],
    states: Collection[State] = (),
    condition: str | None = None,
    *,
    histories: bool = True,
    per_selector: bool = False,
    best_by: str | None = None,
) -> tuple[list[PlottedTask], list[str]]:
    """Read the selected tasks, and the notes that `neurofit results` prints about them.

    Parameters
    ----------
    states : collection of State
        States of the tasks; empty for finished tasks.
    condition : str, optional
        Condition on the arguments, as given to `--where`.
    histories : bool
        Whether to read the histories, and to leave out tasks without one.
    per_selector : bool
        Whether a task that matches several selectors is listed once for each.
    best_by : str, optional
        The metric that decides which run is the best one.

    Raises
    ------
    UsageError
        There is no such task.
    StoreError
        A history is damaged.
    """
    collected = _Collected()
    some_best = any(parse(selector).best for selector in selectors)
    for selector in dict.fromkeys(selectors):
        of_best = best_by if parse(selector).best or not some_best else None
        _collect(collected, study, selector, states, condition, per_selector, of_best)
    tasks = list(collected.tasks.values())
    remarks = [*collected.selected]
    for status in collected.statuses.values():
        remarks += [*status.problems, *status.unanswered]
    for name, rows in collected.rows.items():
        prefix = f"{name}: " if len(collected.rows) > 1 else ""
        remarks += [prefix + note for note in (*notes(rows.values()), *simulated_data(rows.values()))]
    if not tasks:
        every = [row for rows in collected.rows.values() for row in rows.values()]
        raise UsageError(_explain_no_task(selectors, states, every))
    if histories:
        with_history = _read_histories(tasks, selectors)
        if missing := len(tasks) - len(with_history):
            have = "1 task has" if missing == 1 else f"{missing} tasks have"
            remarks.append(f"{have} no history and {'is' if missing == 1 else 'are'} left out.")
        tasks = with_history
    return tasks, list(dict.fromkeys(remarks))


def step_unit(tasks: Iterable[PlottedTask]) -> str:
    """The unit of the steps in histories: "epoch" if the fits record epochs, as neurofit's own do, else "step"."""
    in_epochs = all({"best_epoch", "epochs"} & set(task.row.get("facts") or {}) for task in tasks)
    return "epoch" if in_epochs else "step"


def _collect(
    collected: _Collected,
    study: Study,
    selector: str,
    states: Collection[State],
    condition: str | None,
    per_selector: bool,
    best_by: str | None,
) -> None:
    query = parse_query(study, selector, states, condition)
    if query.name not in collected.statuses:
        collected.statuses[query.name] = read_status(study, query.name)
    status = collected.statuses[query.name]
    query, best = resolved(query, status, best_by)
    if best:
        collected.selected.append(best.sentence)
    collected.selected += query.absent(status)
    keys = set(query.keys(status, of_rows=True))
    for row in valid_rows(read_rows(status, query.selection)):
        key = row["run"], row["repetition"]
        if key not in keys:
            continue
        collected.rows.setdefault(query.name, {})[key] = row
        if states or row["state"] == State.DONE.value:
            files = status.files.task(row["run"], row["id"], row["repetition"]).attempt(row["attempt"] or 0)
            once = (query.name, *key, selector if per_selector else None)
            collected.tasks.setdefault(once, PlottedTask(row, {}, files.folder, selector))


def _read_histories(tasks: Sequence[PlottedTask], selectors: Sequence[str]) -> list[PlottedTask]:
    """The tasks that have a history, with it."""
    found = []
    for task in tasks:
        try:
            history = read_history(task.folder / "history.csv")
        except FileNotFoundError:
            continue
        if any(steps for steps, _ in history.values()):
            found.append(replace(task, history=history))
    if not found:
        scored = any(packed.exists(task.folder / "neurons.csv") for task in tasks)
        hint = " Draw its scores per neuron with --what neurons." if scored else ""
        raise UsageError(f"No task of {' '.join(selectors)} logged anything to history.csv.{hint}")
    return found


def simulated_data(rows: Iterable[TaskRow]) -> list[str]:
    """A note if responses are simulated, which `neurofit results` shows as an argument."""
    parts = [[row.get("params"), row.get("derived"), row.get("defaults")] for row in rows]
    number = sum(any((part or {}).get("data") == "simulated" for part in of) for of in parts)
    several = "" if number == len(parts) else f" of {number} of {len(parts)} tasks"
    return [f"The data{several} is simulated."] if number else []


def _explain_no_task(selectors: Sequence[str], states: Collection[State], rows: Sequence[TaskRow]) -> str:
    named = " ".join(selectors)
    status = f"`{command('status', selectors[0])}`"
    if states:
        asked = " or ".join(str(state) for state in states)
        return f"No task of {named} is in the state {asked}. {status} shows their states."
    if not rows:
        return f"No task of {named} can be read. {status} lists the damaged files."
    counts = Counter(str(row.get("state")) for row in rows)
    listed = join_words(f"{count} {state}" for state, count in counts.items())
    started = next((state.value for state in STARTED if state.value in counts), None)
    if started:
        return f"No task of {named} is done ({listed}). Draw what was logged so far with `--state {started}`."
    return f"No task of {named} is done ({listed}). {status} shows their states."
