"""Times, counts, plans and failures as text, and the commands that a command suggests next.

A suggested command is about the same tasks as the running one: it keeps the selector, the conditions and the
runner, quoted for a shell.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurofit.text import clock, command, count as count, printable, roughly

if TYPE_CHECKING:
    from neurofit.orchestrate.failures import Failure
    from neurofit.orchestrate.forecast import Forecast
    from neurofit.orchestrate.plan import Plan


def duration(seconds: float) -> str:
    """'0.3 s', '42 s', '1:02:03'"""
    return roughly(seconds) if seconds < 60 else clock(seconds)


def local_time(timestamp: str) -> str:
    """'14:32:05', with the date if it is not today"""
    import datetime

    time = datetime.datetime.fromisoformat(timestamp).astimezone()
    return time.strftime("%H:%M:%S" if time.date() == datetime.date.today() else "%Y-%m-%d %H:%M:%S")


def counted(counts: Mapping[Any, int]) -> str:
    """'31 done, 1 failed, 11 queued'"""
    return ", ".join(f"{number:,} {state}" for state, number in counts.items() if number) or "nothing"


def task(name: str, key: tuple[int, int]) -> str:
    """'exp3:17/3'"""
    return f"{name}:{key[0]}/{key[1]}"


def short_path(path: Path) -> str:
    """The path, relative to the current folder if that is shorter."""
    return min(os.path.relpath(path), str(path), key=len)


def plan_rows(plan: Plan) -> list[tuple[str, int, str]]:
    """State, number of tasks, and what `submit` does with them; only states that some task has."""
    options, old = plan.options, plan.outdated
    again = "from scratch" if options.rerun else "again"
    retried = f"will be queued, {again}" if options.retry or options.rerun else "not queued (add --retry)"
    done = "will be queued, from scratch" if options.rerun else "kept"
    if old.either:
        done = f"{old.either:,} of them with {old.what} than now; {done}"
        done += "" if options.rerun else " (add --rerun to repeat them)"
    action = {
        "new": "will be queued",
        "queued": "already queued",
        "running": "already running",
        "stopped": f"will be queued, from {'scratch' if options.rerun else 'their checkpoints'}",
        "done": done,
        "failed": retried,
        "lost": f"will be queued, {again}",
        "cancelled": retried,
    }
    return [
        (str(state), plan.counts[state], action[str(state)])
        for state in type(next(iter(plan.counts)))
        if plan.counts[state]
    ]


def trial(plan: Plan) -> str:
    """'a trial off the grid with epochs=5'; says how many runs are on the grid, if there are any

    'the best 3 trials again, off the grid' for those of a search.
    """
    from neurofit.experiments.grid.params import short

    if (best := plan.options.best) is not None:
        return f"the best {f'{best} trials' if best > 1 else 'trial'} again, off the grid"
    changes = ", ".join(f"{name}={short(value)}" for name, value in plan.options.changes.items())
    off = len(plan.off_grid())
    where = "off the grid" if off == len(plan.runs) else f"({len(plan.runs) - off:,} on the grid)"
    return f"a trial {where} with {changes}"


def after_jobs(ids: Sequence[str]) -> str:
    """', to start after the jobs 12, 13'; empty without ids."""
    if not ids:
        return ""
    more = f" and {len(ids) - 4:,} more" if len(ids) > 4 else ""
    return f", to start after the job{'s' if len(ids) > 1 else ''} {', '.join(ids[:4])}{more}"


def cost_line(plan: Plan, cost: Forecast) -> str:
    """'40 tasks in 8 jobs, 2 at a time; about 3 min (9.0 s per task so far).'"""
    jobs = count(cost.jobs, "job")
    at_a_time = f", {cost.at_a_time} at a time" if cost.at_a_time and cost.jobs > 1 else ""
    return f"{count(len(plan.tasks), 'task')} in {jobs}{at_a_time}{_cost(cost)}."


def together_sentence(plan: Plan) -> str:
    """How many repetitions are trained together, and how many of them without being kept; empty if none are."""
    sizes = sorted(set(plan.trained_together.values()))
    if not sizes:
        return ""
    numbers = " or ".join(map(str, sizes))
    left = plan.not_kept
    more = (
        f"; a group is trained whole, so {count(left, 'repetition')} that no task needs will be trained and dropped"
        if left
        else ""
    )
    return f"{numbers} repetitions of a run are trained together{more}."


def resources(requested: Mapping[str, float | None]) -> str:
    """'16 GB, 120 min, 2 cores'; only what the user requested."""
    units = {"memory_gb": "GB", "walltime_minutes": "min", "cpus": "cores"}
    texts = [f"{value:g} {units[name]}" for name, value in requested.items() if value is not None]
    return ", ".join("1 core" if text == "1 cores" else text for text in texts)


def _cost(cost: Forecast) -> str:
    if cost.task_seconds is None or cost.total_seconds is None or cost.total_seconds < 2:
        return ""
    so_far = f"{roughly(cost.task_seconds)} per task so far"
    if cost.wall_seconds is not None:
        return f"; about {roughly(cost.wall_seconds)} ({so_far})"
    return f"; about {roughly(cost.total_seconds)} in sequence ({so_far})"


def failure_lines(name: str, failures: Sequence[Failure], most: int = 3) -> list[str]:
    """What failed, where in the user's code, and where the log is: one example of each kind of failure."""
    lines = []
    for failure in failures[:most]:
        number = len(failure.tasks)
        others = f" (and {count(number - 1, 'other task')} with the same failure)" if number > 1 else ""
        first, *more = failure.message.strip().splitlines() or [""]
        lines.append(f"{task(name, failure.example)} {failure.verb}: {cut(first)}{others}")
        lines += [f"    {cut(line)}" for line in more[:3]]
        lines += [f"    {failure.where}"] if failure.where else []
        lines += [f"    log: {short_path(failure.log)}"] if failure.log else []
    if len(failures) > most:
        others = count(len(failures) - most, "other kind")
        lines.append(f"{others} of failure; to see all: {command('failures', name)}")
    return lines


def cut(line: str, most: int = 300) -> str:
    """The line without control characters, and with at most this many characters."""
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
    """The path, quoted for a shell."""
    import shlex

    return shlex.quote(short_path(path))


# options of the running command that a suggested one never repeats, and those that only `submit` repeats
NEVER_REPEATED = frozenset(
    {"dry_run", "yes", "as_json", "detach", "wait_seconds", "watch", "follow", "lines", "raw"}
)
OF_SUBMIT = frozenset(
    {"backend", "workers", "memory_gb", "walltime_minutes", "cpus", "repetitions", "keep_going"}
)


def next_command(verb: str, selectors: str | Sequence[str], **changes: Any) -> str:
    """A command about the tasks of the running command.

    Options of the running command are kept if `verb` has them too: conditions and states, and from one submit
    to the next its runner and resources.

    Parameters
    ----------
    verb : str
        The name of the command.
    selectors : str or sequence of str
        As the user gave them.
    **changes
        Options to add or replace, by their names (`state=["failed"]`, `retry=True`); None removes one.

    Returns
    -------
    str
        A line for a shell.
    """
    ctx = click.get_current_context()
    known = _options(verb)
    kept = {}
    for parameter in ctx.command.params:
        name = parameter.name or ""
        wanted = _was_given(ctx, name) and name in known and name not in NEVER_REPEATED
        if wanted and (ctx.info_name == verb or name not in OF_SUBMIT):
            kept[known[name]] = _texts(ctx.params[name])
    words = [selectors] if isinstance(selectors, str) else list(selectors)
    return command(verb, *words, **{**kept, **changes})


def results_command(selector: str) -> str:
    """The command that shows what the running command has done: of a search's best trials, `search best`."""
    context = click.get_current_context()
    if context.params.get("best") is None:
        return next_command("results", selector)
    from neurofit.experiments.selector import parse

    where = context.params.get("where")
    return command("search best", parse(selector).experiment, top=context.params["best"], where=where)


def _options(verb: str) -> dict[str, str]:
    """The name of each option of a command in its function → its name on the command line."""
    from neurofit.cli.application import group

    found = group.get_command(click.Context(group), verb)
    return {
        one.name: max(one.opts, key=len).lstrip("-").replace("-", "_")
        for one in (found.params if found else [])
        if isinstance(one, click.Option) and one.name
    }


def _was_given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _texts(value: Any) -> Any:
    """The value as on the command line."""
    if isinstance(value, (list, tuple)):
        return [str(one) for one in value]
    return value
