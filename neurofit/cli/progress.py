"""Live progress: a display that is redrawn on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from neurofit.cli import terminal
from neurofit.cli.wording import clock, counted, roughly, task, took
from neurofit.text import printable

if TYPE_CHECKING:
    from neurofit.orchestrate.status.watch import Look

_LINE_SECONDS = 10.0


def show(rounds: Iterable[list[Look]], remark: str = "") -> list[Look]:
    """Show each round of looks, one per experiment, while they come; gives the last one."""
    return _drawn(rounds, remark) if terminal.is_rich() else _printed(rounds)


def _printed(rounds: Iterable[list[Look]]) -> list[Look]:
    printed_at, printed = time.monotonic(), []
    for looks in rounds:
        counts = [f"{look.found.name}: {counted(_counts(look))}" for look in looks]
        is_over = all(look.is_over for look in looks)
        if not is_over and time.monotonic() - printed_at > _LINE_SECONDS and counts != printed:
            for look, line in zip(looks, counts):
                terminal.say(f"{line} ({_times(look)})")
            printed_at, printed = time.monotonic(), counts
    return looks


def _drawn(rounds: Iterable[list[Look]], remark: str) -> list[Look]:
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


def _picture(look: Look, console: Any, *, named: bool) -> list[Any]:
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
        work.add_row(printable(task(look.found.name, one.key)), clock(one.seconds), Text(printable(one.said)))
    name = [Text(printable(look.found.name), style="bold")] if named else []
    return [*name, bar, counts, *([work] if look.at_work else [])]


def _counts(look: Look) -> dict[str, int]:
    order = ("done", "failed", "lost", "cancelled", "stopped", "running", "queued", "new")
    counts = {str(state): number for state, number in look.counts.items()}
    return {state: counts[state] for state in order if counts.get(state)}


def _times(look: Look) -> str:
    left = f", about {roughly(look.left_seconds)} left" if look.left_seconds and not look.is_over else ""
    rate = f", {look.rate:.1f} tasks/s" if look.rate and look.rate >= 1 else ""
    return f"{clock(look.seconds)}{rate}{left}"


def summary(look: Look) -> str:
    """'exp3: 43 done, 2 failed after 1:02.'"""
    return f"{look.found.name}: {counted(_counts(look))} after {took(look.seconds)}."
