"""`neurofit logs`: show what tasks printed."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurofit.cli import options, terminal, wording
from neurofit.cli.hosts import HostCommand
from neurofit.cli.selecting import select
from neurofit.cli.wording import next_command
from neurofit.text import command as suggested, printable_log

if TYPE_CHECKING:
    from neurofit.status.logs import Log, TaskLogs
    from neurofit.store.state import State

    Part = tuple[TaskLogs, Log, bytes]  # a task, one of its files, and the bytes that are shown of it

MOST_TASKS = 20
LINES_OF_MANY = 20


@click.command(
    cls=HostCommand,
    epilog=options.examples(
        "neurofit logs exp3:17/3",
        "neurofit logs exp3 --failed --tail 5",
        "neurofit logs exp3:17/3 --follow",
        "neurofit logs exp3:best/0",
        "neurofit logs exp3:17/3 --host anna@cluster:studies/v1",
    ),
)
@options.selector()
@options.states
@options.where
@click.option("-f", "--follow", is_flag=True, help="Keep printing until the tasks have ended.")
@click.option("--stderr", "errors_only", is_flag=True, help="Show only the standard error stream.")
@click.option("--failed", is_flag=True, help="Select only tasks that failed or were lost.")
@click.option(
    "--tail",
    "lines",
    type=click.IntRange(min=0),
    metavar="LINES",
    help=f"Show the last LINES lines of each file.  [default: all for one task, {LINES_OF_MANY} for several]",
)
@click.option(
    "--all", "everything", is_flag=True, help="Show also the lines that TensorFlow writes when it starts."
)
@click.option("--raw", is_flag=True, help="Print all bytes unchanged, with colours and control characters.")
@click.option(
    "--attempt",
    type=click.IntRange(min=1),
    metavar="NUMBER",
    help="Show attempt NUMBER instead of the newest.",
)
@options.best_by("--by", "--best-by")
@options.on_host
@options.as_json
def command(
    selector: str,
    states: Sequence[State],
    where: str | None,
    follow: bool,
    errors_only: bool,
    failed: bool,
    lines: int | None,
    everything: bool,
    raw: bool,
    attempt: int | None,
    best_by: str | None,
    as_json: bool,
) -> None:
    """Show what tasks printed in their newest attempts, including attempts that do not count.

    For a task that never started, the log of its job is shown. Lines that TensorFlow writes when it starts, about
    drivers and processors, are left out; they are in the files.
    """
    from neurofit.orchestrate.failures import cause
    from neurofit.status import logs
    from neurofit.store.state import FAILED_OR_LOST, State

    if follow and (as_json or attempt):
        raise click.UsageError("--follow cannot be combined with --json or --attempt.")
    study = options.here()
    if study.copy_of is not None and follow:
        raise click.UsageError("Copies of files do not change: --follow needs a neurofit on the other host.")
    wanted = [*states, *(FAILED_OR_LOST if failed else ())]
    query, status = select(study, selector, wanted, where, best_by)
    keys = query.keys(status)
    several = len(keys) > 1
    everything = everything or raw or as_json
    lines = LINES_OF_MANY if lines is None and several else lines
    if follow:
        _print_all(
            query.name,
            logs.follow(study, query.name, query.keys, lines, MOST_TASKS, everything=everything),
            errors_only,
            named=several,
            raw=raw,
        )
        terminal.hint(next_command("status", selector))
        return
    chosen = [logs.task_logs(status, key, attempt) for key in keys[:MOST_TASKS]]
    parts: list[Part] = []
    left_out: dict[Path, int] = {}
    for task, log in [(one, log) for one in chosen for log in one.logs]:
        if errors_only and log.stream == logs.STDOUT:
            continue
        if everything:
            data = logs.tail(log.path, lines)
        else:
            data, left_out[log.path] = logs.quiet_tail(log.path, lines)
        parts.append((task, log, data))
    stopped = {task.key: cause(status, task.key) for task in chosen if task.state is State.STOPPED}
    if as_json:
        records = [{**_record(task, parts), "stopped": stopped.get(task.key)} for task in chosen]
        terminal.as_json({"experiment": query.name, "tasks": records})
        return
    parts = list({log.path: (task, log, data) for task, log, data in reversed(parts) if data}.values())[::-1]
    _print_all(query.name, parts, errors_only, named=several or len(parts) > 1, raw=raw)
    for key, why in stopped.items():
        terminal.note(f"{wording.task(query.name, key)} stopped: {wording.cut(why)}")
    _print_remarks(query.name, selector, len(keys), chosen, parts)
    if number := sum(left_out.values()):
        terminal.note(
            f"{wording.count(number, 'line')} of TensorFlow's start left out; to see all, add --all."
        )


def _print_all(name: str, parts: Iterable[Part], errors_only: bool, *, named: bool, raw: bool) -> None:
    """Print the text of the files, or with `raw` their bytes, with a title where the next file begins."""
    last = None
    decoders: dict[Path, codecs.IncrementalDecoder] = {}
    for task, log, data in parts:
        if errors_only and log.stream == "stdout":
            continue
        if named and last != log.path:
            attempt = f", attempt {task.attempt}" if task.attempt > 1 else ""
            terminal.say(
                terminal.styled(f"==> {wording.task(name, task.key)}{attempt}, {log.stream} <==", bold=True)
            )
        last = log.path
        if raw:
            terminal.write(data if data.endswith(b"\n") else data + b"\n")
            continue
        decode = decoders.setdefault(
            log.path, codecs.getincrementaldecoder("utf-8")("backslashreplace")
        ).decode
        terminal.say(printable_log(decode(data)).removesuffix("\n"))
        sys.stdout.flush()


def _record(task: TaskLogs, parts: list[Part]) -> dict[str, Any]:
    from neurofit.status.logs import is_there

    files = [
        {"stream": log.stream, "path": str(log.path), "text": data.decode("utf-8", "replace")}
        for owner, log, data in parts
        if owner is task and (data or is_there(log.path))
    ]
    run, repetition = task.key
    return {
        "run": run,
        "repetition": repetition,
        "attempt": task.attempt or None,
        "state": str(task.state),
        "logs": files,
    }


def _print_remarks(name: str, selector: str, number: int, chosen: list[TaskLogs], parts: list[Part]) -> None:
    if number > MOST_TASKS:
        one = wording.task(name, chosen[-1].key)
        terminal.note(
            f"Showing {MOST_TASKS} of {number:,} tasks. To see another one: {suggested('logs', one)}"
        )
    if not chosen:
        terminal.note(f"No task of {name} matches.")
    elif not parts:
        states = ", ".join(dict.fromkeys(str(task.state) for task in chosen))
        terminal.note(f"No output ({wording.count(len(chosen), 'task')}: {states}).")
    else:
        terminal.note(f"Folder: {wording.short_path(parts[-1][1].path.parent)}")
        for task in chosen if len(chosen) == 1 else []:
            if task.counts:
                terminal.note(
                    f"This is attempt {task.attempt}. Attempt {task.counts} counts; to see it, add "
                    f"--attempt {task.counts}."
                )
    terminal.hint(next_command("status", selector))
