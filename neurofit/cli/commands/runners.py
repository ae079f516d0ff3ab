"""`neurofit runners`: the profiles in runners/, and whether they would work."""

from __future__ import annotations

import click

from neurofit.cli import options, terminal, wording


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
    terminal.hint(f"neurofit runners check {works}", f"neurofit submit EXPERIMENT --backend {works}")


def _settings(settings: dict) -> str:
    import json

    return ", ".join(f"{name}: {json.dumps(value)}" for name, value in settings.items()).replace('"', "")


def _place(path: str | None) -> str:
    from pathlib import Path

    return wording.short_path(Path(path)) if path else "(built in, its defaults)"


@command.command()
@click.argument("name", shell_complete=options.complete_runner)
@options.as_json
def check(name: str, as_json: bool) -> int:
    """Whether a job would be accepted by this runner, here and now."""
    from neurofit.backends import runner

    chosen = runner.load(options.here().runners, name)
    findings = chosen.backend.check()
    bad = not all(finding.ok for finding in findings)
    if as_json:
        terminal.as_json({"runner": name, "ok": not bad, "findings": [vars(finding) for finding in findings]})
    else:
        for finding in findings:
            mark = terminal.styled("✓", fg="green") if finding.ok else terminal.styled("✗", fg="red")
            terminal.say(f"{mark} {finding.what}" + (f": {finding.advice}" if finding.advice else ""))
    terminal.hint(
        f"edit {_place(str(chosen.path))}" if bad and chosen.path else f"neurofit submit EXPERIMENT --backend {name}"
    )
    return 1 if bad else 0
