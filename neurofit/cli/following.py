"""Queue a plan and watch it to its end. Ctrl-C and SIGTERM stop a pool of this machine cleanly; where the
terminal is closed (SIGHUP) only the watching ends.

Live progress: a display that is redrawn on a terminal, a line now and then elsewhere.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from neurofit.cli import terminal, wording
from neurofit.cli.wording import clock, counted, next_command, roughly, task, took
from neurofit.text import printable

if TYPE_CHECKING:
    from neurofit.orchestrate.watch import WatchedStatus


if TYPE_CHECKING:
    from neurofit.backends.runner import Runner
    from neurofit.orchestrate.forecast import Forecast
    from neurofit.orchestrate.plan import Plan
    from neurofit.orchestrate.submit import Submitted
    from neurofit.orchestrate.watch import Watch, WatchedStatus
    from neurofit.store.submissions import TaskKey


SOME_FAILED, STILL_RUNNING, NOT_ASKED = 3, 4, 5


def queue_and_follow(
    plan: Plan,
    runner: Runner,
    cost: Forecast,
    selector: str,
    *,
    stays: bool,
    wait_seconds: float | None,
    as_json: bool,
) -> int:
    """Queue what the plan asks for, and watch it if `stays` and it runs here, or for the time given."""
    from neurofit.orchestrate import signals

    try:
        with signals.raised():
            return _queue_and_follow(plan, runner, cost, selector, stays, wait_seconds, as_json)
    except (signals.Signalled, OSError) as error:
        came = error if isinstance(error, signals.Signalled) else error.__context__  # the terminal is gone
        if not isinstance(came, signals.Signalled) or came.number == signal.SIGINT:
            raise
        _say_what_goes_on(selector)
        return 128 + came.number


def _queue_and_follow(
    plan: Plan,
    runner: Runner,
    cost: Forecast,
    selector: str,
    stays: bool,
    wait_seconds: float | None,
    as_json: bool,
) -> int:
    from neurofit.orchestrate.forecast import runs_here
    from neurofit.orchestrate.submit import submit
    from neurofit.store.state import ACTIVE

    queued = submit(plan, runner, terminal.note) if plan.tasks else None
    record = {
        **plan.summary(cost.jobs),
        "submission": queued and queued.name,
        "ids": queued.ids if queued else [],
    }
    waits = wait_seconds is not None
    if queued is None and not (waits and any(plan.counts[state] for state in ACTIVE)):
        return _nothing_queued(plan, record, selector, as_json)
    if not as_json:
        terminal.say(
            f"Queued as {queued.name}." if queued else "Nothing is to be queued; waiting for what is at work."
        )
    if waits or (stays and runs_here(runner)):
        covered = plan.keys() if waits else [task.key for task in plan.tasks]
        return _watched(plan, queued, covered, record, selector, runs_here(runner), wait_seconds, as_json)
    _detached(record, selector, as_json)
    return 128 + queued.signal if queued.signal else 0


def _say_what_goes_on(selector: str) -> None:
    """Where there still is a terminal."""
    try:
        terminal.note(
            f"Only the watching ended; the tasks go on. Next: {next_command('status', selector, watch=True)}"
        )
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())


def _nothing_queued(plan: Plan, record: dict[str, Any], selector: str, as_json: bool) -> int:
    from neurofit.store.state import ACTIVE, FAILED_OR_LOST

    if as_json:
        terminal.as_json(record)
    elif any(plan.counts[state] for state in ACTIVE):
        terminal.say("Nothing is to be queued: the rest is at work already.")
        terminal.hint(next_command("status", selector, watch=True))
    elif any(plan.counts[state] for state in FAILED_OR_LOST):
        terminal.say("Nothing is to be queued; what failed waits for --retry.")
        terminal.hint(next_command("failures", selector), next_command("submit", selector, retry=True))
    else:
        terminal.say("Nothing is to be queued.")
        terminal.hint(next_command("results", selector))
    return SOME_FAILED if any(plan.counts[state] for state in FAILED_OR_LOST) else 0


def _detached(record: dict[str, Any], selector: str, as_json: bool) -> None:
    if as_json:
        terminal.as_json(record)
    terminal.hint(next_command("status", selector, watch=True), next_command("cancel", selector))


def _watched(
    plan: Plan,
    queued: Submitted | None,
    keys: list[TaskKey],
    record: dict[str, Any],
    selector: str,
    runs_here: bool,
    wait_seconds: float | None,
    as_json: bool,
) -> int:
    from neurofit.orchestrate.signals import Signalled
    from neurofit.orchestrate.watch import Watch

    is_ours = runs_here and queued is not None  # the pool
    watch = Watch(plan.study, plan.experiment.name, lambda found: keys, details=terminal.is_rich())
    came = None
    try:
        if queued and queued.signal:
            raise Signalled(queued.signal)
        look = _last(watch, wait_seconds, as_json, "Ctrl-C stops; what is done is kept." if is_ours else "")
    except Signalled as error:
        if error.number == signal.SIGHUP:
            raise
        came = error.number
        look = _stopped(watch, queued, as_json) if is_ours else watch.read()
    if as_json:
        terminal.as_json({**record, "after": {str(state): number for state, number in look.counts.items()}})
    else:
        _say_how_it_ended(look, selector, came is not None)
    return 128 + came if came else exit_code([look], waited=True)


def _last(watch: Watch, limit_seconds: float | None, as_json: bool, remark: str) -> WatchedStatus:
    from neurofit.orchestrate.watch import until_over

    rounds = until_over([watch], limit_seconds)
    return (list(rounds)[-1] if as_json else show(rounds, remark))[0]


def _stopped(watch: Watch, queued: Submitted, as_json: bool) -> WatchedStatus:
    """Ask the pool to stop, wait for its end; asked again, end it at once."""
    from neurofit.orchestrate.cancel import stop
    from neurofit.orchestrate.signals import Signalled

    part = next(one for one in watch.read().status.submissions if one.files.name == queued.name)
    remark = "Stopping: tasks at work save a checkpoint. Ctrl-C again ends them at once."
    while True:
        stop(watch.study, part)
        if not terminal.is_rich():
            terminal.note(remark)
        try:
            return _last(watch, None, as_json, remark)
        except Signalled as error:
            if error.number == signal.SIGHUP:
                raise
            remark = "Ending them at once."


def _say_how_it_ended(look: WatchedStatus, selector: str, interrupted: bool) -> None:
    from neurofit.orchestrate.fail_fast import fail_fast_notes
    from neurofit.orchestrate.failures import failures
    from neurofit.orchestrate.remarks import newer_attempts
    from neurofit.store.state import FAILED_OR_LOST, UNFINISHED

    name = look.status.name
    terminal.say(summary(look))
    states = FAILED_OR_LOST if interrupted else UNFINISHED
    kinds = failures(look.status, look.keys, states) if any(look.counts[state] for state in states) else []
    for line in wording.failed(name, kinds):
        terminal.say(line)
    for line in newer_attempts(look.status, look.keys):
        terminal.note(line)
    for sentence in fail_fast_notes(look.status):
        terminal.problem(sentence)
    terminal.problems_of(look.status)
    if not look.is_over:
        terminal.hint(next_command("status", selector, watch=True))
    elif interrupted:
        terminal.hint(next_command("submit", selector, rerun=None))
    elif kinds:
        retry = any(look.counts[state] for state in FAILED_OR_LOST)
        terminal.hint(
            next_command("failures", selector), next_command("submit", selector, retry=retry, rerun=None)
        )
    else:
        terminal.hint(next_command("results", selector))


def exit_code(looks: Sequence[WatchedStatus], *, waited: bool) -> int:
    """What a script wants to know of these experiments; `waited` for their end."""
    from neurofit.store.state import UNFINISHED

    if any(look.status.unanswered for look in looks):
        return NOT_ASKED
    if waited and not all(look.is_over for look in looks):
        return STILL_RUNNING
    return SOME_FAILED if any(look.counts[state] for look in looks for state in UNFINISHED) else 0


_LINE_SECONDS = 10.0


def show(rounds: Iterable[list[WatchedStatus]], remark: str = "") -> list[WatchedStatus]:
    """Show each round of looks, one per experiment, while they come; gives the last one."""
    return _drawn(rounds, remark) if terminal.is_rich() else _printed(rounds)


def _printed(rounds: Iterable[list[WatchedStatus]]) -> list[WatchedStatus]:
    printed_at, printed = time.monotonic(), []
    for looks in rounds:
        counts = [f"{look.status.name}: {counted(_counts(look))}" for look in looks]
        is_over = all(look.is_over for look in looks)
        if not is_over and time.monotonic() - printed_at > _LINE_SECONDS and counts != printed:
            for look, line in zip(looks, counts):
                terminal.say(f"{line} ({_times(look)})")
            printed_at, printed = time.monotonic(), counts
    return looks


def _drawn(rounds: Iterable[list[WatchedStatus]], remark: str) -> list[WatchedStatus]:
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    console = terminal.console()
    with Live(console=console, auto_refresh=False, transient=True) as live:
        for looks in rounds:
            drawn = [look for look in looks if not look.is_over] or looks
            pictures = [part for look in drawn for part in _picture(look, console, named=len(looks) > 1)]
            live.update(Group(*pictures[: console.height - 2], Text(remark, style="dim")), refresh=True)
    return looks


def _picture(look: WatchedStatus, console: Any, *, named: bool) -> list[Any]:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    bar = Table.grid(padding=(0, 2, 0, 0))
    bar.add_row(
        ProgressBar(
            max(1, look.total),
            look.ended,
            width=min(40, console.width // 2),
            complete_style="green",
            finished_style="green",
        ),
        Text(f"{look.ended:,}/{look.total:,}"),
        Text(_times(look), style="dim"),
    )
    counts = Text()
    for state, number in _counts(look).items():
        counts.append(f"{number:,} {state}   ", style=terminal.STYLES.get(state, ""))
    work = Table.grid(padding=(0, 2, 0, 0))
    work.add_column(no_wrap=True)
    work.add_column(justify="right", style="dim", no_wrap=True)
    work.add_column(no_wrap=True, overflow="ellipsis", style="dim")
    for one in look.at_work[: max(1, console.height - 6)]:
        work.add_row(
            printable(task(look.status.name, one.key)), clock(one.seconds), Text(printable(one.said))
        )
    name = [Text(printable(look.status.name), style="bold")] if named else []
    return [*name, bar, counts, *([work] if look.at_work else [])]


def _counts(look: WatchedStatus) -> dict[str, int]:
    order = ("done", "failed", "lost", "cancelled", "stopped", "running", "queued", "new")
    counts = {str(state): number for state, number in look.counts.items()}
    return {state: counts[state] for state in order if counts.get(state)}


def _times(look: WatchedStatus) -> str:
    left = f", about {roughly(look.left_seconds)} left" if look.left_seconds and not look.is_over else ""
    rate = f", {look.rate:.1f} tasks/s" if look.rate and look.rate >= 1 else ""
    return f"{clock(look.seconds)}{rate}{left}"


def summary(look: WatchedStatus) -> str:
    """'exp3: 43 done, 2 failed after 1:02.'"""
    return f"{look.status.name}: {counted(_counts(look))} after {took(look.seconds)}."
