"""`neurofit status`: how experiments stand, from their files and their queues; scripts are never loaded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from neurofit.cli import following, options, terminal, wording
from neurofit.cli.following import exit_code
from neurofit.cli.wording import next_command

if TYPE_CHECKING:
    from neurofit.orchestrate.watch import WatchedStatus
    from neurofit.tables.query import TaskQuery

HEADERS = [
    "experiment",
    "new",
    "queued",
    "running",
    "stopped",
    "done",
    "failed",
    "lost",
    "cancelled",
    "total",
]


@click.command()
@options.selector("selectors", many=True, metavar="[SELECTOR]…", required=False)
@options.states
@options.where
@click.option("--watch", is_flag=True, help="Look again and again, until nothing is queued or running.")
@click.option(
    "--wait",
    "wait_seconds",
    type=options.SECONDS,
    metavar="SECONDS",
    help="Wait until nothing is queued or running; exit code 4 if it takes longer.",
)
@options.as_json
def command(
    selectors: Sequence[str],
    states: Sequence[Any],
    where: str | None,
    watch: bool,
    wait_seconds: float | None,
    as_json: bool,
) -> int:
    """How experiments stand: all of them, or those named; `exp3:17` and `--state failed` list tasks.

    Exit code 3 where tasks failed, were lost or stopped, 4 where --wait was over too soon, 5 where a queue
    could not be asked, 1 where there may be experiments that cannot be read.
    """
    from neurofit.experiments.selector import Selection, naming_all
    from neurofit.orchestrate.watch import Watch, until_over
    from neurofit.store.layout import discover_experiments
    from neurofit.tables.query import TaskQuery, parse_query

    study = options.here()
    discovered = discover_experiments(study)
    unseen = [] if selectors else discovered.unseen
    whole = (
        []
        if selectors
        else [TaskQuery(name, Selection(name), frozenset(states), where) for name in discovered.names]
    )
    queries = whole or [parse_query(study, one, states, where) for one in selectors]
    selectors = selectors or [naming_all(query.name) for query in queries]
    watches = [
        Watch(study, query.name, query.keys, details=watch and terminal.is_rich()) for query in queries
    ]
    waited = watch or wait_seconds is not None
    if waited:
        rounds = until_over(watches, wait_seconds)
        looks = _watched(rounds) if watch and not as_json else list(rounds)[-1]
    else:
        looks = [one.read() for one in watches]
    if as_json:
        _print_json(queries, looks, unseen)
    else:
        _say(queries, looks, unseen, selectors)
    return exit_code(looks, waited=waited) or int(bool(unseen))


def _watched(rounds: Iterator[list[WatchedStatus]]) -> list[WatchedStatus]:
    return following.show(rounds, "Ctrl-C ends the watch, and nothing else.")


def _print_json(queries: list[TaskQuery], looks: list[WatchedStatus], unseen: list[str]) -> None:
    from neurofit.orchestrate.fail_fast import fail_fast_notes
    from neurofit.orchestrate.overview import of_experiment, of_queues, of_stopped, of_tasks

    record: dict[str, Any] = {
        "unseen": unseen,
        "halted": [sentence for look in looks for sentence in fail_fast_notes(look.status)],
        "experiments": [{**of_experiment(look.status), **_outdated(look)} for look in looks],
        "stopped": [stop for look in looks for stop in of_stopped(look.status, look.keys)],
        "queues": [queue for look in looks for queue in of_queues(look.status)],
    }
    narrow = [look for query, look in zip(queries, looks) if not query.is_everything]
    if narrow:
        record["tasks"] = [task for look in narrow for task in of_tasks(look.status, look.keys)]
    terminal.as_json(record)


def _outdated(look: WatchedStatus) -> dict[str, int]:
    from neurofit.orchestrate.remarks import outdated_now

    old = outdated_now(look.status.files.study, look.status, look.status.all_keys())
    return {"done_other_code": old.code, "done_other_data": old.data}


def _say(
    queries: list[TaskQuery], looks: list[WatchedStatus], unseen: list[str], selectors: Sequence[str]
) -> None:
    from neurofit.orchestrate.overview import of_experiment
    from neurofit.orchestrate.remarks import newer_attempts, outdated_now

    whole = [of_experiment(look.status) for query, look in zip(queries, looks) if query.is_everything]
    if whole:
        rows = [[one["name"], *(one[state] or "" for state in HEADERS[1:-1]), one["total"]] for one in whole]
        terminal.table(HEADERS, rows, styles=["bold", *HEADERS[1:-1], ""])
    for query, look in zip(queries, looks):
        if not query.is_everything:
            _say_tasks(look)
    for look in looks:
        _say_queues(look)
        for line in newer_attempts(look.status, look.keys):
            terminal.note(f"{look.status.name}: {line}")
        if line := outdated_now(look.status.files.study, look.status, look.keys).sentence(look.status.name):
            terminal.note(f"{look.status.name}: {line}")
    for problem in unseen:
        terminal.problem(problem)
    if not looks:
        terminal.say("Nothing was submitted yet.")
    terminal.hint(*_next(selectors, looks))


def _say_tasks(look: WatchedStatus) -> None:
    from neurofit.orchestrate.overview import of_tasks
    from neurofit.orchestrate.remarks import label

    name = look.status.name
    records = of_tasks(look.status, look.keys)
    if not records:
        terminal.say(f"No task of {name} is in that state.")
        return
    rows = [
        [wording.task(name, key), label(look.status.of(key)), r["attempt"], _cause(r)]
        for key, r in zip(look.keys, records)
    ]
    terminal.table(["task", "state", "attempt", "cause"], rows, styles=["", "state", "", "dim"])


def _cause(record: dict[str, Any]) -> str | None:
    if record["newer"]:
        return record["newer"]["cause"]
    if record["cause"] is None and record["result"] not in (None, record["attempt"]):
        return f"again; attempt {record['result']} counts until then"
    return record["cause"]


def _say_queues(look: WatchedStatus) -> None:
    from neurofit.orchestrate.fail_fast import fail_fast_notes
    from neurofit.orchestrate.overview import of_queues, of_stopped

    for stop in of_stopped(look.status, look.keys):
        tasks = wording.count(stop["tasks"], "task")
        terminal.note(f"{stop['experiment']}: {tasks} stopped: {wording.cut(stop['message'])}")
    for queue in of_queues(look.status):
        for reason, number in queue["reasons"].items():
            terminal.note(
                f"{queue['experiment']}: {wording.count(number, 'job')} of {queue['submission']} waiting: "
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
                f"{queue['experiment']}: {jobs} of {queue['submission']} missing from the queue's answers. "
                f"Until {until} they count as queued; what is missing after that has ended."
            )
        if queue["problem"]:
            age = queue["seconds_since_a_sign"]
            seen = f" The last sign of life is {wording.roughly(age)} old." if age is not None else ""
            terminal.problem(queue["problem"] + seen)
    for problem in dict.fromkeys([*fail_fast_notes(look.status), *look.status.problems]):
        terminal.problem(problem)


def _next(selectors: Sequence[str], looks: list[WatchedStatus]) -> list[str]:
    """What somebody would do now, about the first experiment that needs something.

    Parameters
    ----------
    selectors : of the looks, in their order
    """
    from neurofit.store.state import FAILED_OR_LOST, UNFINISHED

    for selector, look in zip(selectors, looks):
        failed = [key for key in look.keys if look.status.of(key).state in FAILED_OR_LOST]
        if failed:
            again = next_command("submit", selector, backend=look.status.runner_of(failed), retry=True)
            return [next_command("failures", selector), again]
    for selector, look in zip(selectors, looks):
        if not look.is_over:
            return [next_command("status", selector, watch=True)]
    for selector, look in zip(selectors, looks):
        if look.ended < look.total or any(look.counts[state] for state in UNFINISHED):
            return [next_command("submit", selector, backend=look.status.runner_of(look.keys))]
    return [next_command("results", selectors[0])] if looks else ["neurofit list"]
