"""Progress of an experiment's tasks: queue a plan, watch its tasks, and print how they ended.

On a terminal, progress is a display that is redrawn; elsewhere, a line is printed now and then. Ctrl-C and
SIGTERM stop the local pool in order; when the terminal closes (SIGHUP), only the watching ends.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from neurofit import exit_codes
from neurofit.cli import terminal, wording
from neurofit.cli.wording import counted, duration, next_command, results_command, task
from neurofit.text import cell_width, clock, printable, roughly

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from neurofit.orchestrate.forecast import Forecast
    from neurofit.orchestrate.plan import Plan
    from neurofit.orchestrate.raises import Part
    from neurofit.orchestrate.stages import Needed, Stage
    from neurofit.orchestrate.submit import Submitted
    from neurofit.status.experiment_status import ExperimentStatus
    from neurofit.status.submission_status import SubmissionStatus
    from neurofit.status.watch import Watch, WatchedStatus
    from neurofit.store.submissions import TaskKey

_LINE_SECONDS = 10.0  # between two lines of progress, if stdout is not a terminal


def show(rounds: Iterable[list[WatchedStatus]], remark: str = "") -> list[WatchedStatus]:
    """Show the progress of experiments while they run.

    Parameters
    ----------
    rounds : iterable of list of WatchedStatus
        The statuses of the watched experiments, again and again; at least once.
    remark : str, optional
        A line below the display.

    Returns
    -------
    list of WatchedStatus
        The last round.
    """
    return _draw(rounds, remark) if terminal.is_rich() else _print(rounds)


def exit_code(statuses: Sequence[WatchedStatus], *, waited: bool) -> int:
    """The exit code for these experiments; `waited` says that the command waited for their end."""
    from neurofit.status.needs import need_stops
    from neurofit.store.state import UNFINISHED

    if any(one.status.unanswered for one in statuses):
        return exit_codes.QUEUE_UNREACHABLE
    if waited and not all(one.is_over for one in statuses):
        return exit_codes.STILL_RUNNING
    if any(one.counts[state] for one in statuses for state in UNFINISHED):
        return exit_codes.TASKS_FAILED
    if waited and any(need_stops(one.status) for one in statuses):
        return exit_codes.TASKS_FAILED
    return exit_codes.OK


def tell(statuses: Sequence[ExperimentStatus]) -> None:
    """Run the notify commands that are due; a command that fails is reported, and changes no exit code."""
    if not any(submission.record.notify for status in statuses for submission in status.submissions):
        return
    from neurofit.orchestrate import notices

    for status in statuses:
        for sentence in notices.tell(status):
            terminal.problem(sentence)


def queue_and_watch(
    plan: Plan,
    parts: Sequence[Part],
    cost: Forecast,
    selector: str,
    *,
    needed: Needed | None = None,
    before: Sequence[Stage] = (),
    stays: bool,
    wait_seconds: float | None,
    as_json: bool,
) -> int:
    """Queue the tasks of a plan, and watch them if `stays` and they run on this machine, or for `wait_seconds`.

    The tasks of `before`, which the plan's experiment needs, are queued first. `needed` is all that it needs, loaded.
    Each of the plan's parts is a submission of its own.

    Returns
    -------
    int
        The exit code of the command.
    """
    from neurofit.orchestrate import signals

    try:
        with signals.raised():
            return _queue_and_watch(plan, parts, cost, selector, needed, before, stays, wait_seconds, as_json)
    except (signals.Signalled, OSError) as error:
        cause = error if isinstance(error, signals.Signalled) else error.__context__  # the terminal is gone
        if not isinstance(cause, signals.Signalled) or cause.number == signal.SIGINT:
            raise
        _print_that_tasks_continue(selector)
        return exit_codes.SIGNAL + cause.number


def _queue_and_watch(
    plan: Plan,
    parts: Sequence[Part],
    cost: Forecast,
    selector: str,
    needed: Needed | None,
    before: Sequence[Stage],
    stays: bool,
    wait_seconds: float | None,
    as_json: bool,
) -> int:
    from neurofit.backends.runner import runs_here
    from neurofit.orchestrate.raises import summary
    from neurofit.store.state import ACTIVE

    earlier = _queue_stages(before, as_json)
    queued = _queue(parts, needed, "" if as_json else "Queued as")
    runner = parts[0].runner
    stages = [{**stage.summary(), **_answers(found)} for stage, found in earlier]
    record = {**plan.summary(cost.jobs), **summary(parts), "stages": stages, **_answers(queued)}
    waits = wait_seconds is not None
    if not queued and not (waits and any(plan.counts[state] for state in ACTIVE)):
        code = _print_nothing_queued(plan, record, selector, as_json)
        tell([plan.status])
        return code
    if not as_json and not queued:
        terminal.say("Nothing to queue; waiting for the tasks in progress.")
    last = queued[-1] if queued else None
    if waits or (stays and runs_here(runner)):
        covered = plan.keys() if waits else [task.key for task in plan.tasks]
        return _watch(
            plan, last, covered, record, selector, runs_here(runner), wait_seconds, as_json, earlier
        )
    if as_json:
        terminal.as_json(record)
    terminal.hint(next_command("status", selector, watch=True), next_command("cancel", selector))
    tell([plan.status])
    return exit_codes.SIGNAL + last.signal if last and last.signal else exit_codes.OK


def _queue_stages(before: Sequence[Stage], as_json: bool) -> list[tuple[Stage, list[Submitted]]]:
    """Queue what is needed first. If a signal has come meanwhile, nothing further is queued."""
    from neurofit.errors import Interrupted

    found = []
    for stage in before:
        name = stage.plan.experiment.name
        queued = _queue(stage.parts, stage.needed, "" if as_json else f"{name}: queued as")
        found.append((stage, queued))
        if queued and (number := queued[-1].signal):
            names = " and ".join(one.name for one in queued)
            raise Interrupted(f"Interrupted. {name} was queued as {names}, and nothing else.", number)
    return found


def _queue(parts: Sequence[Part], needed: Needed | None, said: str) -> list[Submitted]:
    """Queue parts of a plan, each with its own requests, and print `said` with the name of each submission.

    If a signal has come meanwhile, no further part is queued.
    """
    from neurofit.orchestrate.submit import submit

    found: list[Submitted] = []
    for part in parts:
        one = submit(part.plan, part.runner, terminal.note, needed) if part.plan.tasks else None
        if one:
            found.append(one)
            if said:
                terminal.say(f"{said} {one.name}{wording.after_jobs(one.after)}.")
            if one.signal:
                break
    return found


def _answers(queued: Sequence[Submitted]) -> dict[str, Any]:
    """The submissions, the ids of their jobs, and those of the jobs that they wait for in the queue."""
    names = [one.name for one in queued]
    return {
        "submission": names[-1] if names else None,
        "submissions": names,
        "ids": [id for one in queued for id in one.ids],
        "after": list(dict.fromkeys(id for one in queued for id in one.after)),
    }


def _print_that_tasks_continue(selector: str) -> None:
    """Print it if there still is a terminal."""
    try:
        terminal.note(
            "Only the watching ended; the tasks continue. Next: "
            f"{next_command('status', selector, watch=True)}"
        )
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())


def _print_nothing_queued(plan: Plan, record: dict[str, Any], selector: str, as_json: bool) -> int:
    from neurofit.store.state import ACTIVE, FAILED_OR_LOST

    failed = any(plan.counts[state] for state in FAILED_OR_LOST)
    if as_json:
        terminal.as_json(record)
    elif any(plan.counts[state] for state in ACTIVE):
        terminal.say("Nothing to queue: the remaining tasks are queued or running.")
        terminal.hint(next_command("status", selector, watch=True))
    elif failed:
        terminal.say("Nothing to queue. Add --retry to queue the tasks that failed.")
        terminal.hint(next_command("failures", selector), next_command("submit", selector, retry=True))
    else:
        terminal.say("Nothing to queue.")
        terminal.hint(results_command(selector))
    return exit_codes.TASKS_FAILED if failed else exit_codes.OK


def _watch(
    plan: Plan,
    queued: Submitted | None,
    keys: list[TaskKey],
    record: dict[str, Any],
    selector: str,
    runs_here: bool,
    wait_seconds: float | None,
    as_json: bool,
    earlier: Sequence[tuple[Stage, Sequence[Submitted]]] = (),
) -> int:
    from neurofit.backends.runner import runs_here as is_here
    from neurofit.orchestrate.signals import Signalled
    from neurofit.status.watch import Watch

    pool = queued if runs_here else None  # a signal stops the pool, but no queue
    watch = Watch(plan.study, plan.experiment.name, lambda status: keys, details=terminal.is_rich())
    pools = [
        (Watch(plan.study, stage.plan.experiment.name), one)
        for stage, found in earlier
        for one in found
        if is_here(stage.runner)
    ]
    number = None
    try:
        if queued and queued.signal:
            raise Signalled(queued.signal)
        remark = "Ctrl-C stops the tasks; finished tasks are kept." if pool else ""
        watched = _last(watch, wait_seconds, as_json, remark)
    except Signalled as error:
        if error.number == signal.SIGHUP:
            raise
        number = error.number
        if pool:
            for stage_watch, one in reversed(pools):
                _stop_submission(stage_watch, one)
        watched = _stop_pool(watch, pool, as_json) if pool else watch.read()
    if as_json:
        after = {str(state): count for state, count in watched.counts.items()}
        terminal.as_json({**record, "after": after})
    else:
        _print_end(watched, selector, interrupted=number is not None)
    if number is None:  # otherwise the pool's last process does it
        tell([watched.status])
    return exit_codes.SIGNAL + number if number else exit_code([watched], waited=True)


def _last(watch: Watch, limit_seconds: float | None, as_json: bool, remark: str) -> WatchedStatus:
    from neurofit.status.watch import until_over

    rounds = until_over([watch], limit_seconds)
    return (list(rounds)[-1] if as_json else show(rounds, remark))[0]


def _stop_pool(watch: Watch, pool: Submitted, as_json: bool) -> WatchedStatus:
    """Ask the pool to stop and wait for its end; a second signal ends it at once."""
    from neurofit.orchestrate.cancel import stop
    from neurofit.orchestrate.signals import Signalled

    submission = _submission(watch, pool)
    remark = "Stopping: running tasks save a checkpoint. Press Ctrl-C again to end them at once."
    while True:
        stop(watch.study, submission)
        if not terminal.is_rich():
            terminal.note(remark)
        try:
            return _last(watch, None, as_json, remark)
        except Signalled as error:
            if error.number == signal.SIGHUP:
                raise
            remark = "Ending the running tasks at once."


def _submission(watch: Watch, pool: Submitted) -> SubmissionStatus:
    return next(one for one in watch.read().status.submissions if one.files.name == pool.name)


def _stop_submission(watch: Watch, pool: Submitted) -> None:
    """Ask the pool of a stage to stop; its tasks save a checkpoint, and nobody waits for that here."""
    from neurofit.orchestrate.cancel import stop

    stop(watch.study, _submission(watch, pool))


def _print_end(watched: WatchedStatus, selector: str, *, interrupted: bool) -> None:
    from neurofit.experiments.selector import naming
    from neurofit.orchestrate.attempts import newer_attempts
    from neurofit.orchestrate.failures import fail_fast_notes, failures
    from neurofit.status.needs import need_stops
    from neurofit.store.state import FAILED_OR_LOST, UNFINISHED

    name = watched.status.name
    terminal.say(f"{name}: {counted(_counts(watched))} after {duration(watched.seconds)}.")
    states = FAILED_OR_LOST if interrupted else UNFINISHED
    has_failures = any(watched.counts[state] for state in states)
    kinds = failures(watched.status, watched.keys, states) if has_failures else []
    for line in wording.failure_lines(name, kinds):
        terminal.say(line)
    for line in newer_attempts(watched.status, watched.keys):
        terminal.note(line)
    for sentence in [*fail_fast_notes(watched.status), *need_stops(watched.status)]:
        terminal.problem(sentence)
    terminal.problems_of(watched.status)
    if not watched.is_over:
        terminal.hint(next_command("status", selector, watch=True))
    elif interrupted:
        terminal.hint(next_command("submit", selector, rerun=None))
    elif kinds:
        retry = any(watched.counts[state] for state in FAILED_OR_LOST)
        terminal.hint(
            next_command("failures", selector), next_command("submit", selector, retry=retry, rerun=None)
        )
    else:
        on_grid = all(map(watched.status.is_on_grid, watched.keys))
        terminal.hint(results_command(selector if on_grid else naming(name, watched.keys)))


def _print(rounds: Iterable[list[WatchedStatus]]) -> list[WatchedStatus]:
    printed_at = time.monotonic()
    printed: list[str] = []
    statuses: list[WatchedStatus] = []
    for statuses in rounds:
        counts = [f"{one.status.name}: {counted(_counts(one))}" for one in statuses]
        is_over = all(one.is_over for one in statuses)
        if not is_over and time.monotonic() - printed_at > _LINE_SECONDS and counts != printed:
            for one, line in zip(statuses, counts):
                terminal.say(f"{line} ({_times(one)})")
            printed_at, printed = time.monotonic(), counts
    return statuses


def _draw(rounds: Iterable[list[WatchedStatus]], remark: str) -> list[WatchedStatus]:
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    console = terminal.console()
    statuses: list[WatchedStatus] = []
    with Live(console=console, auto_refresh=False, transient=True) as live:
        for statuses in rounds:
            drawn = [one for one in statuses if not one.is_over] or statuses
            blocks = [block for one in drawn for block in _blocks(one, console, named=len(statuses) > 1)]
            live.update(Group(*blocks[: console.height - 2], Text(remark, style="dim")), refresh=True)
    return statuses


def _blocks(watched: WatchedStatus, console: Console, *, named: bool) -> list[RenderableType]:
    """The name of an experiment, a bar, the numbers of tasks by state, and the tasks that run."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    bar = Table.grid(padding=(0, 2, 0, 0))
    bar.add_row(
        ProgressBar(
            max(1, watched.total),
            watched.ended,
            width=min(40, console.width // 2),
            complete_style="green",
            finished_style="green",
        ),
        Text(f"{watched.ended:,}/{watched.total:,}"),
        Text(_times(watched), style="dim"),
    )
    counts = Text()
    for state, number in _counts(watched).items():
        counts.append(f"{number:,} {state}   ", style=terminal.STYLES.get(state, ""))
    name = [Text(printable(watched.status.name), style="bold")] if named else []
    return [*name, bar, counts, *_rows_of_tasks(watched, console)]


def _rows_of_tasks(watched: WatchedStatus, console: Console) -> list[RenderableType]:
    """A row per running task. Whatever the width, it begins with the run and the repetition."""
    from rich.text import Text

    shown = watched.at_work[: max(1, console.height - 6)]
    name = printable(watched.status.name)
    is_short = cell_width(name) <= console.width // 4
    tasks = [task(name, one.key) if is_short else task("", one.key)[1:] for one in shown]
    times = [clock(one.seconds) for one in shown]
    breadth, of_time = max(map(cell_width, tasks), default=0), max(map(len, times), default=0)
    rows: list[RenderableType] = []
    for one, words, seconds in zip(shown, tasks, times):
        row = Text(f"{words}{' ' * (breadth - cell_width(words))}  ", no_wrap=True, overflow="ellipsis")
        row.append(f"{seconds:>{of_time}}  {printable(one.said)}", style="dim")
        rows.append(row)
    return rows


def _counts(watched: WatchedStatus) -> dict[str, int]:
    order = ("done", "failed", "lost", "cancelled", "stopped", "running", "queued", "new")
    counts = {str(state): number for state, number in watched.counts.items()}
    return {state: counts[state] for state in order if counts.get(state)}


def _times(watched: WatchedStatus) -> str:
    """'1:02, 3.1 tasks/s, about 12 min left'"""
    left = watched.left_seconds if not watched.is_over else None
    rate = f", {watched.rate:.1f} tasks/s" if watched.rate and watched.rate >= 1 else ""
    return f"{clock(watched.seconds)}{rate}{f', about {roughly(left)} left' if left else ''}"
