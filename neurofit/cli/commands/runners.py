"""`neurofit runners`: list the runners of a study, check one, or list hosts on which jobs died."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from neurofit import exit_codes
from neurofit.cli import options, terminal, wording
from neurofit.text import command as suggested, roughly

if TYPE_CHECKING:
    from neurofit.backends.base import Finding
    from neurofit.backends.runner import Runner
    from neurofit.orchestrate.runner_check import Canary
    from neurofit.study import Study


@click.group(
    invoke_without_command=True,
    epilog=options.examples("neurofit runners", "neurofit runners check slurm-gpu", "neurofit runners hosts"),
)
@options.as_json
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List the runners of this study with their settings.

    `neurofit runners check NAME` tries one; `neurofit runners hosts` lists hosts on which jobs died.
    """
    if ctx.invoked_subcommand is not None:
        return
    from neurofit.orchestrate.overview import of_runners

    records = of_runners(options.here())
    if as_json:
        terminal.as_json({"runners": records})
        return
    rows = [[one["name"], one["backend"], _settings(one["settings"]), _place(one["path"])] for one in records]
    terminal.table(["runner", "backend", "settings", "profile"], rows, styles=["bold", "", "", "dim"])
    for one in records:
        if one["error"]:
            terminal.problem(one["error"])
    works = next((one["name"] for one in records if not one["error"]), "local")
    terminal.hint(suggested("runners check", works), suggested("submit", "EXPERIMENT", backend=works))


def _settings(settings: dict[str, Any]) -> str:
    import json

    return ", ".join(f"{name}: {json.dumps(value)}" for name, value in settings.items()).replace('"', "")


def _place(path: str | None) -> str:
    from pathlib import Path

    return wording.short_path(Path(path)) if path else "(built in, default settings)"


@command.command(
    short_help="Check that a runner accepts jobs, and that they can run.",
    epilog=options.examples(
        "neurofit runners check slurm-gpu",
        "neurofit runners check slurm-gpu --wait 600",
        "neurofit runners check slurm-gpu --no-canary",
        "neurofit runners check slurm-gpu --no-canary --notify",
    ),
)
@click.argument("name", shell_complete=options.complete_runner)
@click.option(
    "--canary/--no-canary",
    default=True,
    help="Queue a small test job, or only ask the queue.  [default: canary]",
)
@click.option(
    "--wait",
    "wait_seconds",
    type=options.SECONDS,
    default=120,
    metavar="SECONDS",
    help="Wait at most SECONDS for the test job.  [default: 120]",
)
@click.option(
    "--notify", "tries_notify", is_flag=True, help="Run the notify command now, with a test message."
)
@options.as_json
def check(name: str, canary: bool, wait_seconds: float, tries_notify: bool, as_json: bool) -> int:
    """Check that the runner NAME accepts jobs, and that they find what they need.

    A small test job is queued like any other. It reports the interpreter, libraries, cores, memory, GPUs,
    folders and clock of its node, and leaves no files. If submissions have a notify command, it is looked for
    on this host, and run only with --notify.

    The exit code is 1 if something is wrong, 4 if the job did not end in time, and 5 if the queue could not
    be asked.
    """
    from neurofit.backends import runner
    from neurofit.orchestrate import job_sizes

    study = options.here()
    chosen = runner.load(study.runners, name)
    found = [
        *chosen.backend.check(),
        *job_sizes.findings(chosen.backend),
        *_of_notify(study, chosen, tries_notify),
    ]
    if not as_json:
        _print(found)
    sent = None
    if canary and all(finding.ok for finding in found):
        sent, seen = _send(study, chosen, wait_seconds, as_json)
        found = [*found, *seen]
    bad = not all(finding.ok for finding in found)
    if as_json:
        records = [vars(finding) for finding in found]
        terminal.as_json({"runner": name, "ok": not bad, "findings": records, "canary": sent and vars(sent)})
    elif canary and sent is None:
        terminal.note("No test job was queued, because of the problems above.")
    if not bad:
        terminal.hint(suggested("submit", "EXPERIMENT", backend=name))
    elif sent and sent.is_waiting:
        terminal.hint(suggested("runners check", name, wait=f"{max(600, 2 * wait_seconds):.0f}"))
    else:
        terminal.hint(f"edit {_place(str(chosen.path))}" if chosen.path else "neurofit runners")
    return _exit_code(sent, found)


def _of_notify(study: Study, chosen: Runner, tries: bool) -> list[Finding]:
    """Whether the notify command is there and, if it is tried, how it ended."""
    from neurofit.backends import notify
    from neurofit.backends.base import Finding
    from neurofit.errors import RunnerError
    from neurofit.orchestrate.notices import tried

    try:
        words = notify.command_of(chosen.backend, study)
    except RunnerError as error:
        return [Finding(False, "the notify command can be read", str(error))]
    if not words:
        missing = f"there is no `notify:` in {chosen.path or 'the runner'} or {study.settings}"
        return [Finding(False, "the notify command was run", missing)] if tries else []
    there = notify.finding(words, study.root)
    return [there, *([tried(words, study, chosen.name)] if tries and there.ok else [])]


def _send(study: Study, chosen: Runner, wait_seconds: float, as_json: bool) -> tuple[Canary, list[Finding]]:
    from neurofit.orchestrate import runner_check

    def say(text: str) -> None:
        if not as_json:
            terminal.note(f"  the test job is {text}")

    sent = runner_check.send(study, chosen, wait_seconds, say)
    seen = runner_check.findings(sent, chosen, study)
    if not as_json:
        _print(seen)
    if sent.left:
        terminal.problem(
            f"{sent.left} was kept because the queue may still have the test job. Remove the folder once the "
            "job is gone."
        )
    return sent, seen


def _print(findings: list[Finding]) -> None:
    for finding in findings:
        mark = terminal.styled("✓", fg="green") if finding.ok else terminal.styled("✗", fg="red")
        advice = f": {finding.advice}".replace("\n", "\n    ") if finding.advice else ""
        terminal.say(f"{mark} {finding.what}{advice}")


def _exit_code(sent: Canary | None, found: list[Finding]) -> int:
    if not all(finding.answered for finding in found):
        return exit_codes.QUEUE_UNREACHABLE
    if sent and sent.is_waiting:
        return exit_codes.STILL_RUNNING
    return exit_codes.OK if all(finding.ok for finding in found) else exit_codes.ERROR


@command.command(
    short_help="List hosts on which jobs died because of the host.",
    epilog=options.examples("neurofit runners hosts", "neurofit runners hosts --json"),
)
@options.as_json
def hosts(as_json: bool) -> None:
    """List the hosts on which jobs died because of the host.

    That is: the host failed, it did not see the study's folder, or it had no free GPU. Memory, time and exceptions
    do not count. A host on which three jobs died within a day is left out of later submits for a day; `submit
    --no-exclude` uses it.
    """
    from neurofit.orchestrate.hosts import of_hosts

    records = of_hosts(options.here())
    if as_json:
        terminal.as_json({"hosts": records})
        return
    if not records:
        terminal.say("No job died because of its host.")
        return
    rows = [
        [
            one["host"],
            one["queue"],
            str(one["deaths"]),
            one["cause"],
            f"{roughly(one['seconds_ago'])} ago",
            f"for another {roughly(one['excluded_seconds'])}" if one["excluded_seconds"] else "no",
        ]
        for one in records
    ]
    columns = ["host", "queue", "deaths", "last cause", "last", "left out"]
    terminal.table(columns, rows, styles=["bold", "", "", "", "dim", ""])
