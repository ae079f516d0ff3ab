"""Times, counts, plans and failures in words.

What somebody would do next, as commands about the same tasks: runner, selector, conditions and quoting are
kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurofit.text import command, printable

if TYPE_CHECKING:
    from neurofit.orchestrate.common_factors import CommonFactor
    from neurofit.orchestrate.failures import Failure
    from neurofit.orchestrate.forecast import Forecast
    from neurofit.orchestrate.plan import Plan


def clock(seconds: float) -> str:
    """'0:42', '1:02:03'"""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def took(seconds: float) -> str:
    """'0.3 s', '42 s', '1:02:03'"""
    return roughly(seconds) if seconds < 60 else clock(seconds)


def roughly(seconds: float) -> str:
    """'3 s', '12 min', '5 h', '2 days'"""
    for unit, size, most in (("s", 1.0, 120.0), ("min", 60.0, 7200.0), ("h", 3600.0, 172800.0)):
        if seconds < most:
            return (
                f"{seconds / size:.1f} {unit}"
                if seconds < size * 10 and unit != "min"
                else f"{seconds / size:.0f} {unit}"
            )
    return f"{seconds / 86400:.0f} days"


def local_time(timestamp: str) -> str:
    """'14:32:05', with the date where that is another day"""
    import datetime

    time = datetime.datetime.fromisoformat(timestamp).astimezone()
    return time.strftime("%H:%M:%S" if time.date() == datetime.date.today() else "%Y-%m-%d %H:%M:%S")


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def counted(counts: Mapping[Any, int]) -> str:
    """'31 done, 1 failed, 11 queued'"""
    return ", ".join(f"{number:,} {state}" for state, number in counts.items() if number) or "nothing"


def task(name: str, key: tuple[int, int]) -> str:
    return f"{name}:{key[0]}/{key[1]}"


def short_path(path: Path) -> str:
    """From the current folder, where that is shorter."""
    return min(os.path.relpath(path), str(path), key=len)


def fates(plan: Plan) -> list[tuple[str, int, str]]:
    """State, number of tasks, and what becomes of them; only of those there are."""
    options = plan.options
    again = "from scratch" if options.rerun else "again"
    old = plan.outdated
    other = f"{old.either:,} of them with {old.what} than now; " if old.either else ""
    fate = {
        "new": "to queue",
        "queued": "left alone",
        "running": "left alone",
        "stopped": "to queue, from scratch" if options.rerun else "to queue, from their checkpoints",
        "done": f"{other}to queue, from scratch"
        if options.rerun
        else f"{other}kept{' (--rerun)' if other else ''}",
        "failed": f"to queue, {again}" if options.retry or options.rerun else "left alone (--retry)",
        "lost": f"to queue, {again}",
        "cancelled": f"to queue, {again}" if options.retry or options.rerun else "left alone (--retry)",
    }
    return [
        (str(state), plan.counts[state], fate[str(state)])
        for state in type(next(iter(plan.counts)))
        if plan.counts[state]
    ]


def spread(plan: Plan, cost: Forecast) -> str:
    """'40 tasks in 8 jobs, 2 at a time; about 3 min (9.0 s a task so far)'"""
    jobs = count(cost.jobs, "job")
    at_a_time = f", {cost.at_a_time} at a time" if cost.at_a_time and cost.jobs > 1 else ""
    return f"{count(len(plan.tasks), 'task')} in {jobs}{at_a_time}{_cost(cost)}."


def resources(asked: Mapping[str, float | None]) -> str:
    """'16 GB, 120 min, 2 cores'; only of what is given."""
    units = {"memory_gb": "GB", "walltime_minutes": "min", "cpus": "core(s)"}
    return ", ".join(f"{value:g} {units[name]}" for name, value in asked.items() if value is not None)


def _cost(cost: Forecast) -> str:
    if cost.task_seconds is None or cost.total_seconds is None or cost.total_seconds < 2:
        return ""
    so_far = f"{roughly(cost.task_seconds)} a task so far"
    if cost.wall_seconds is not None:
        return f"; about {roughly(cost.wall_seconds)} ({so_far})"
    return f"; about {roughly(cost.total_seconds)} one after the other ({so_far})"


def failed(name: str, found: Iterable[Failure], most: int = 3) -> list[str]:
    """Lines: what failed, where in the user's code, and where the log is; one example of each kind."""
    found = list(found)
    lines = []
    for failure in found[:most]:
        others = f" (and {count(len(failure.tasks) - 1, 'other')} alike)" if len(failure.tasks) > 1 else ""
        first, *more = failure.message.strip().splitlines() or [""]
        lines.append(f"{task(name, failure.example)} {failure.verb}: {cut(first)}{others}")
        lines += [f"    {cut(line)}" for line in more[:3]]
        lines += [f"    {failure.where}"] if failure.where else []
        lines += [f"    log: {short_path(failure.log)}"] if failure.log else []
    if len(found) > most:
        lines.append(
            f"{count(len(found) - most, 'other kind')} of failure; `{command('failures', name)}` shows them."
        )
    return lines


def shared(common_factors: Iterable[CommonFactor]) -> list[str]:
    """'12 of 14 on gpu07; of the tasks that are done: 3 of 290', and so on."""
    from neurofit.experiments.grid.params import short

    lines = []
    for one in common_factors:
        what = f"on {one.value}" if one.name == "host" else f"with {one.name}={short(one.value)}"
        number = "all" if one.failed == one.of_failed else f"{one.failed:,} of {one.of_failed:,}"
        among = f"{one.done:,} of {one.of_done:,}" if one.done else f"none of {one.of_done:,}"
        lines.append(f"{number} {what}; of the tasks that are done: {among}")
    return lines


def cut(line: str, most: int = 300) -> str:
    text = printable(line.replace("\n", " ").replace("\t", " "))
    return text if len(text) <= most else f"{text[: most - 1]}…"


def size(size_bytes: float) -> str:
    """'340 MB'"""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.3g} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.3g} TB"


def quoted(path: Path) -> str:
    """As a shell takes it."""
    import shlex

    return shlex.quote(short_path(path))


ONLY_NOW = frozenset(
    {"dry_run", "yes", "as_json", "detach", "wait_seconds", "watch", "follow", "lines", "raw"}
)
OF_SUBMIT = frozenset(
    {"backend", "workers", "memory_gb", "walltime_minutes", "cpus", "repetitions", "keep_going"}
)


def next_command(verb: str, selectors: str | Sequence[str], **changes: Any) -> str:
    """A command about the tasks that the running command is about.

    What was given to the running command is kept where `verb` has that option too: conditions and states, and
    from one submit to the next its runner and resources. `changes` are set, or left out where None.

    Parameters
    ----------
    selectors : as they were given
    changes : by the option's own name, `state=["failed"]`, `retry=True`
    """
    ctx = click.get_current_context()
    known = _options(verb)
    kept = {}
    for parameter in ctx.command.params:
        name = parameter.name
        wanted = _was_given(ctx, name) and name in known and name not in ONLY_NOW
        if wanted and (ctx.info_name == verb or name not in OF_SUBMIT):
            kept[known[name]] = _texts(ctx.params[name])
    words = [selectors] if isinstance(selectors, str) else list(selectors)
    return command(verb, *words, **{**kept, **changes})


def _options(verb: str) -> dict[str, str]:
    """click's name of each option of a command → the option as it is written, without its dashes."""
    from neurofit.cli.application import group

    found = group.get_command(click.Context(group), verb)
    return {
        one.name: max(one.opts, key=len).lstrip("-").replace("-", "_")
        for one in found.params
        if isinstance(one, click.Option)
    }


def _was_given(ctx: click.Context, name: str | None) -> bool:
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _texts(value: Any) -> Any:
    """As the command line has it."""
    if isinstance(value, (list, tuple)):
        return [str(one) for one in value]
    return value
