"""Which tasks a picture is of: those selected, once each, with what they logged; and what a reader has to
know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from neurofit.errors import UsageError
from neurofit.status.experiment_status import ExperimentStatus, read_status
from neurofit.store.history import read_history
from neurofit.store.state import State
from neurofit.study import Study
from neurofit.tables.notes import notes
from neurofit.tables.query import parse_query
from neurofit.tables.rows import read_rows
from neurofit.tables.table import Row, join_words, valid_rows
from neurofit.text import command

Logged = dict[str, tuple[list[float], list[float]]]
BEGAN = (State.FAILED, State.LOST, State.STOPPED, State.CANCELLED, State.RUNNING)  # may have logged something


@dataclass(frozen=True)
class Told:
    """A task that is drawn: its row of results, column → steps and values of its history, and who selected
    it.
    """

    row: Row
    logged: Logged
    folder: Path
    selector: str = ""

    @property
    def run(self) -> str:
        return f"{self.row['experiment']}:{self.row['run']}"

    @property
    def name(self) -> str:
        return f"{self.run}/{self.row['repetition']}"

    @property
    def off_grid(self) -> bool:
        return self.row.get("on_grid") is False

    def fact(self, name: str):
        return (self.row.get("facts") or {}).get(name)


@dataclass
class _Found:
    """What selectors mean, as far as they were read."""

    stands: dict[str, ExperimentStatus] = field(default_factory=dict)
    rows: dict[str, dict[tuple, Row]] = field(default_factory=dict)  # experiment → run and repetition → row
    told: dict[tuple, Told] = field(default_factory=dict)


def tasks(
    study: Study,
    selectors: Sequence[str],
    states: Collection[State] = (),
    condition: str | None = None,
    *,
    histories: bool = True,
    apart: bool = False,
) -> tuple[list[Told], list[str]]:
    """The selected tasks (of any state that is named, else done), and what `neurofit results` would say of
    them.

    Parameters
    ----------
    histories : only those that logged something, with what they did
    apart : a task that several selectors name is there once for each, not once in all

    Raises
    ------
    UsageError : there is none
    StoreError : a history is damaged
    """
    found = _Found()
    for selector in dict.fromkeys(selectors):
        _select(found, study, selector, states, condition, apart)
    told = list(found.told.values())
    said = [problem for stand in found.stands.values() for problem in (*stand.problems, *stand.unanswered)]
    for name, rows in found.rows.items():
        of = [*notes(rows.values()), *_simulated(rows.values())]
        said += [f"{name}: {one}" if len(found.rows) > 1 else one for one in of]
    if not told:
        raise UsageError(
            _nobody(selectors, states, [row for rows in found.rows.values() for row in rows.values()])
        )
    if histories:
        silent, told = len(told), _with_histories(told, selectors)
        if silent := silent - len(told):
            said.append(f"{silent} {'task' if silent == 1 else 'tasks'} without a history: left out.")
    return told, list(dict.fromkeys(said))


def unit(told: Iterable[Told]) -> str:
    """What steps of histories are: "epoch" where the fits count those, as neurofit's own do."""
    return (
        "epoch" if all({"best_epoch", "epochs"} & set(one.row.get("facts") or {}) for one in told) else "step"
    )


def _select(
    found: _Found, study: Study, selector: str, states: Collection[State], condition: str | None, apart: bool
) -> None:
    choice = parse_query(study, selector, states, condition)
    if choice.name not in found.stands:
        found.stands[choice.name] = read_status(study, choice.name)
    stand = found.stands[choice.name]
    keys = set(choice.keys(stand, of_rows=True))
    for row in valid_rows(read_rows(stand, choice.selection)):
        key = row["run"], row["repetition"]
        if key not in keys:
            continue
        found.rows.setdefault(choice.name, {})[key] = row
        if states or row["state"] == State.DONE.value:
            files = stand.files.task(row["run"], row["id"], row["repetition"]).attempt(row["attempt"] or 0)
            once = (choice.name, *key, selector if apart else None)
            found.told.setdefault(once, Told(row, {}, files.folder, selector))


def _with_histories(told: Sequence[Told], selectors: Sequence[str]) -> list[Told]:
    found = []
    for one in told:
        try:
            logged = read_history(one.folder / "history.csv")
        except FileNotFoundError:
            continue
        if any(steps for steps, _ in logged.values()):
            found.append(replace(one, logged=logged))
    if not found:
        scored = any((one.folder / "neurons.csv").exists() for one in told)
        instead = " What they scored can be drawn: --what neurons." if scored else ""
        raise UsageError(f"No task of {' '.join(selectors)} has logged anything into a history.csv.{instead}")
    return found


def _simulated(rows: Iterable[Row]) -> list[str]:
    """What `neurofit results` shows as an argument: responses that nobody recorded."""
    parts = [[row.get(part) or {} for part in ("params", "derived", "defaults")] for row in rows]
    number = sum(any(part.get("data") == "simulated" for part in of) for of in parts)
    several = "" if number == len(parts) else f" of {number} of {len(parts)} tasks"
    return [f"The data{several} is simulated."] if number else []


def _nobody(selectors: Sequence[str], states: Collection[State], rows: Sequence[Row]) -> str:
    named = " ".join(selectors)
    if states:
        asked = " or ".join(str(state) for state in states)
        return f"No task of {named} is in the state {asked}. `{command('status', selectors[0])}` shows how they stand."
    if not rows:
        return f"No task of {named} can be read. `{command('status', selectors[0])}` names what is damaged."
    counts = Counter(str(row.get("state")) for row in rows)
    listed = join_words(f"{count} {state}" for state, count in counts.items())
    began = next((state.value for state in BEGAN if state.value in counts), None)
    more = (
        f"`--state {began}` draws what was logged until then."
        if began
        else f"`{command('status', selectors[0])}` shows how they stand."
    )
    return f"No task of {named} is done ({listed or 'there is none'}). {more}"
