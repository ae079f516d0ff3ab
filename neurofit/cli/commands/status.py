"""`neurofit status`: show the states of tasks, from files and queues; scripts are never loaded."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from neurofit import exit_codes
from neurofit.cli import options, progress, terminal, wording
from neurofit.cli.hosts import HostCommand
from neurofit.cli.selecting import note_each, with_best
from neurofit.cli.wording import next_command
from neurofit.text import roughly

if TYPE_CHECKING:
    from neurofit.status.watch import WatchedStatus
    from neurofit.store.state import State
    from neurofit.store.submissions import TaskKey
    from neurofit.study import Study
    from neurofit.tables.query import TaskQuery

STATES = ["new", "queued", "running", "stopped", "done", "failed", "lost", "cancelled"]


@click.command(
    cls=HostCommand,
    epilog=options.examples(
        "neurofit status",
        "neurofit status exp3 --watch",
        "neurofit status exp3 --state failed",
        "neurofit status exp3 --wait 3600 && neurofit results exp3",
        "neurofit status --host anna@cluster:studies/v1",
    ),
)
@options.selector("selectors", many=True, metavar="[SELECTOR]...", required=False)
@options.states
@options.where
@click.option("--watch", is_flag=True, help="Show progress until no task is queued or running.")
@click.option(
    "--wait",
    "wait_seconds",
    type=options.SECONDS,
    metavar="SECONDS",
    help="Watch for at most SECONDS; exit with 4 if tasks are still running.",
)
@options.best_by("--by", "--best-by")
@options.on_host
@options.as_json
def command(
    selectors: Sequence[str],
    states: Sequence[State],
    where: str | None,
    watch: bool,
    wait_seconds: float | None,
    best_by: str | None,
    as_json: bool,
) -> int:
    """Show how many tasks of each experiment are queued, running, done or failed.

    Without SELECTOR, all experiments are shown. If you select part of an experiment (exp3:17, --state failed),
    its tasks are listed one by one.

    The exit code is 3 if tasks failed, were lost or stopped, 4 if they were still running when --wait ended,
    5 if a queue could not be asked, and 1 if the files of an experiment cannot be read.
    """
    from neurofit.experiments.selector import Selection, naming_all, parse
    from neurofit.status.watch import Watch, until_over
    from neurofit.store.layout import discover_experiments
    from neurofit.tables.query import TaskQuery

    study = options.here()
    if study.copy_of is not None and (watch or wait_seconds is not None):
        raise click.UsageError("Copies of files do not change: --wait needs a neurofit on the other host.")
    discovered = discover_experiments(study)
    unseen = [] if selectors else discovered.unseen
    whole = (
        []
        if selectors
        else [TaskQuery(name, Selection(name), frozenset(states), where) for name in discovered.names]
    )
    some_best = any(parse(one).best for one in selectors)
    queries = whole or [
        _query(study, one, states, where, best_by if parse(one).best or not some_best else None)
        for one in selectors
    ]
    selectors = selectors or [naming_all(query.name) for query in queries]
    watches = [
        Watch(study, query.name, query.keys, details=watch and terminal.is_rich()) for query in queries
    ]
    waited = watch or wait_seconds is not None
    rounds = until_over(watches, wait_seconds) if waited else iter([[one.read() for one in watches]])
    rounds = _noted(rounds, queries)
    statuses = (
        progress.show(rounds, "Ctrl-C stops only the watching.")
        if watch and not as_json
        else deque(rounds, maxlen=1).pop()
    )
    if as_json:
        _print_json(queries, statuses, unseen)
    else:
        _print_text(queries, statuses, unseen, selectors)
    progress.tell([watched.status for watched in statuses])
    code = progress.exit_code(statuses, waited=waited)
    return exit_codes.ERROR if code == exit_codes.OK and unseen else code


def _query(
    study: Study, selector: str, states: Sequence[State], where: str | None, best_by: str | None
) -> TaskQuery:
    """The selected tasks; the best run stays the same while it is watched."""
    from neurofit.status.experiment_status import read_status
    from neurofit.tables.query import parse_query

    query = parse_query(study, selector, states, where)
    if query.selection.best or best_by is not None:
        query = with_best(query, read_status(study, query.name), best_by)
    return query


def _noted(
    rounds: Iterator[list[WatchedStatus]], queries: Sequence[TaskQuery]
) -> Iterator[list[WatchedStatus]]:
    """The same rounds, after a note which parts of the selections mean nothing."""
    first = next(rounds)
    note_each(sentence for query, watched in zip(queries, first) for sentence in query.absent(watched.status))
    return chain([first], rounds)


def _print_json(queries: list[TaskQuery], statuses: list[WatchedStatus], unseen: list[str]) -> None:
    from neurofit.orchestrate.failures import fail_fast_notes
    from neurofit.orchestrate.notices import of_notices
    from neurofit.orchestrate.overview import of_experiment, of_queues, of_stopped, of_tasks
    from neurofit.status.needs import need_stops, waits

    record: dict[str, Any] = {
        "unseen": unseen,
        "halted": [
            sentence
            for watched in statuses
            for sentence in [*fail_fast_notes(watched.status), *need_stops(watched.status)]
        ],
        "waits": [sentence for watched in statuses for sentence in waits(watched.status)],
        "experiments": [{**of_experiment(watched.status), **_outdated(watched)} for watched in statuses],
        "stopped": [stop for watched in statuses for stop in of_stopped(watched.status, watched.keys)],
        "queues": [queue for watched in statuses for queue in of_queues(watched.status)],
        "notices": [notice for watched in statuses for notice in of_notices(watched.status)],
    }
    narrow = [watched for query, watched in zip(queries, statuses) if not query.is_everything]
    if narrow:
        record["tasks"] = [task for watched in narrow for task in of_tasks(watched.status, watched.keys)]
    terminal.as_json(record)


def _outdated(watched: WatchedStatus) -> dict[str, int]:
    from neurofit.orchestrate.outdated import outdated_now

    old = outdated_now(watched.status.files.study, watched.status, watched.status.all_keys())
    return {"done_other_code": old.code, "done_other_data": old.data}


def _print_text(
    queries: list[TaskQuery], statuses: list[WatchedStatus], unseen: list[str], selectors: Sequence[str]
) -> None:
    from neurofit.orchestrate.attempts import newer_attempts
    from neurofit.orchestrate.outdated import outdated_now
    from neurofit.orchestrate.overview import of_experiment

    whole = [
        of_experiment(watched.status) for query, watched in zip(queries, statuses) if query.is_everything
    ]
    if whole:
        rows = [[one["name"], *(one[state] or "" for state in STATES), one["total"]] for one in whole]
        terminal.table(["experiment", *STATES, "total"], rows, styles=["bold", *STATES, ""])
    for query, watched in zip(queries, statuses):
        if not query.is_everything:
            _print_tasks(watched)
    for watched in statuses:
        _print_queues(watched)
        for line in newer_attempts(watched.status, watched.keys):
            terminal.note(f"{watched.status.name}: {line}")
        old = outdated_now(watched.status.files.study, watched.status, watched.keys)
        if sentence := old.sentence(watched.status.name):
            terminal.note(f"{watched.status.name}: {sentence}")
        off = Counter(str(watched.status.of(key).state) for key in _off_grid(watched))
        if off:
            terminal.note(f"{watched.status.name}: off the grid: {wording.counted(off)}.")
    for problem in unseen:
        terminal.problem(problem)
    if not statuses:
        terminal.say("No experiment has been submitted yet.")
    terminal.hint(*_next(selectors, statuses))


def _off_grid(watched: WatchedStatus) -> list[TaskKey]:
    """Those of the watched tasks that are off the grid."""
    off = {number for number, run in watched.status.registry.runs.items() if not run.on_grid}
    return [key for key in watched.keys if key[0] in off] if off else []


def _print_tasks(watched: WatchedStatus) -> None:
    from neurofit.orchestrate.attempts import label
    from neurofit.orchestrate.overview import of_tasks

    name = watched.status.name
    records = of_tasks(watched.status, watched.keys)
    if not records:
        terminal.say(f"None of the selected tasks of {name} is in that state.")
        return
    rows = [
        [wording.task(name, key), label(watched.status.of(key)), r["attempt"], _cause(r)]
        for key, r in zip(watched.keys, records)
    ]
    terminal.table(["task", "state", "attempt", "cause"], rows, styles=["", "state", "", "dim"])


def _cause(record: dict[str, Any]) -> str | None:
    source = record["newer"] or record
    cause: str | None = source["cause"]
    if cause is None and not record["newer"] and record["result"] not in (None, record["attempt"]):
        return f"runs again; attempt {record['result']} counts until it is done"
    return cause


def _print_queues(watched: WatchedStatus) -> None:
    from neurofit.orchestrate.failures import fail_fast_notes
    from neurofit.orchestrate.notices import problem as notice_problem
    from neurofit.orchestrate.overview import of_queues, of_stopped
    from neurofit.status.needs import need_stops, waits

    for sentence in waits(watched.status):
        terminal.note(f"{sentence}.")
    for stop in of_stopped(watched.status, watched.keys):
        tasks = wording.count(stop["tasks"], "task")
        terminal.note(f"{stop['experiment']}: {tasks} stopped: {wording.cut(stop['message'])}")
    for queue in of_queues(watched.status):
        for reason, number in queue["reasons"].items():
            terminal.note(
                f"{queue['experiment']}: {wording.count(number, 'job')} of {queue['submission']} queued: "
                f"{reason}"
            )
        for cause, number in queue["causes"].items():
            terminal.note(
                f"{queue['experiment']}: {wording.count(number, 'job')} of {queue['submission']} ended: "
                f"{cause}"
            )
        if queue["in_grace"]:
            jobs, until = wording.count(queue["in_grace"], "job"), wording.local_time(queue["grace_until"])
            terminal.note(
                f"{queue['experiment']}: the queue does not list {jobs} of {queue['submission']}. They count as "
                f"queued until {until}, and as ended if they are still missing then."
            )
        if queue["problem"]:
            age = queue["seconds_since_a_sign"]
            seen = f" The last heartbeat is {roughly(age)} old." if age is not None else ""
            terminal.problem(queue["problem"] + seen)
    stops = [*fail_fast_notes(watched.status), *need_stops(watched.status)]
    if unsent := notice_problem(watched.status):
        stops.append(unsent)
    for problem in dict.fromkeys([*stops, *watched.status.problems]):
        terminal.problem(problem)


def _next(selectors: Sequence[str], statuses: list[WatchedStatus]) -> list[str]:
    """The commands to suggest, for the first experiment that needs one; `selectors` belong to `statuses`."""
    from neurofit.experiments.selector import naming
    from neurofit.store.state import ENDED, FAILED_OR_LOST, UNFINISHED, State

    for selector, watched in zip(selectors, statuses):
        if any(watched.counts[state] for state in FAILED_OR_LOST):
            failed = [key for key in watched.keys if watched.status.of(key).state in FAILED_OR_LOST]
            on_grid = all(map(watched.status.is_on_grid, failed))
            named = selector if on_grid else naming(watched.status.name, failed)
            again = next_command("submit", named, backend=watched.status.runner_of(failed), retry=True)
            return [next_command("failures", selector), again]
    for selector, watched in zip(selectors, statuses):
        if not watched.is_over:
            return [next_command("status", selector, watch=True)]
    for selector, watched in zip(selectors, statuses):
        if not any(watched.counts[state] for state in frozenset(State) - (ENDED - UNFINISHED)):
            continue
        keys = filter(watched.status.is_on_grid, watched.keys)
        if any(watched.status.of(key).state not in ENDED - UNFINISHED for key in keys):
            return [next_command("submit", selector, backend=watched.status.runner_of(watched.keys))]
    return [next_command("results", selectors[0])] if statuses else ["neurofit list"]
