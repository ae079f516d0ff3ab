"""`neurofit runners`: the profiles in runners/, and whether they would work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from neurofit.cli import options, terminal, wording
from neurofit.text import command as suggested

if TYPE_CHECKING:
    from neurofit.backends.base import Finding
    from neurofit.backends.runner import Runner
    from neurofit.orchestrate.runner_check import Canary
    from neurofit.study import Study

STILL_WAITING, NOT_ASKED = 4, 5


@click.group(invoke_without_command=True)
@options.as_json
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """The queues that this study can use, with their settings; `runners check NAME` tries one."""
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


def _settings(settings: dict) -> str:
    import json

    return ", ".join(f"{name}: {json.dumps(value)}" for name, value in settings.items()).replace('"', "")


def _place(path: str | None) -> str:
    from pathlib import Path

    return wording.short_path(Path(path)) if path else "(built in, its defaults)"


@command.command()
@click.argument("name", shell_complete=options.complete_runner)
@click.option("--canary/--no-canary", default=True, help="Whether to queue a job that tells what it sees.")
@click.option(
    "--wait",
    "wait_seconds",
    type=options.SECONDS,
    default=120,
    metavar="SECONDS",
    help="How long that job may take; 120 without.",
)
@options.as_json
def check(name: str, canary: bool, wait_seconds: float, as_json: bool) -> int:
    """Whether a job would be accepted by this runner, and what it would see.

    One small job is queued, as any other would be, and tells of its node: interpreter, libraries, cores,
    memory, GPUs, folders, clock. It leaves nothing behind.

    Exit code 1 where something is wrong, 4 where the job did not end in time, 5 where the queue could not be
    asked.
    """
    from neurofit.backends import runner

    study = options.here()
    chosen = runner.load(study.runners, name)
    found = chosen.backend.check()
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
        terminal.note("No job was queued, because of that.")
    if not bad:
        terminal.hint(suggested("submit", "EXPERIMENT", backend=name))
    elif sent and sent.is_waiting:
        terminal.hint(suggested("runners check", name, wait=f"{max(600, 2 * wait_seconds):.0f}"))
    else:
        terminal.hint(f"edit {_place(str(chosen.path))}" if chosen.path else "neurofit runners")
    return _exit_code(sent, found)


def _send(study: Study, chosen: Runner, wait_seconds: float, as_json: bool) -> tuple[Canary, list[Finding]]:
    from neurofit.orchestrate import runner_check

    say = (lambda text: None) if as_json else (lambda text: terminal.note(f"  a job of neurofit is {text}"))
    sent = runner_check.send(study, chosen, wait_seconds, say)
    seen = runner_check.findings(sent, chosen, study)
    if not as_json:
        _print(seen)
    if sent.left:
        terminal.problem(
            f"{sent.left} stays, because the queue may still have the job. Remove it when it is gone."
        )
    return sent, seen


def _print(findings: list[Finding]) -> None:
    for finding in findings:
        mark = terminal.styled("✓", fg="green") if finding.ok else terminal.styled("✗", fg="red")
        advice = f": {finding.advice}".replace("\n", "\n    ") if finding.advice else ""
        terminal.say(f"{mark} {finding.what}{advice}")


def _exit_code(sent: Canary | None, found: list[Finding]) -> int:
    if not all(finding.answered for finding in found):
        return NOT_ASKED
    if sent and sent.is_waiting:
        return STILL_WAITING
    return 0 if all(finding.ok for finding in found) else 1
