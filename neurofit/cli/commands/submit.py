"""`neurofit submit`: the plan first, then the queue, then what becomes of it where it runs here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from neurofit.cli import options, terminal, wording
from neurofit.cli.wording import next_command

if TYPE_CHECKING:
    from neurofit.backends.runner import Runner
    from neurofit.orchestrate.forecast import Forecast
    from neurofit.orchestrate.plan import Plan


@click.command()
@options.selector("selector", metavar="EXPERIMENT[:RUNS[/REPETITIONS]]")
@click.option(
    "--backend",
    default="local",
    metavar="RUNNER",
    shell_complete=options.complete_runner,
    help="The profile in runners/, or a bare backend.  [default: local]",
)
@click.option("--workers", type=click.IntRange(min=1, max=10_000), help="Tasks at a time, in a local pool.")
@click.option(
    "--memory",
    "memory_gb",
    type=options.Amount("memory_gb"),
    metavar="GB",
    help="Memory per job in GB (overrides the runner).",
)
@click.option(
    "--minutes",
    "walltime_minutes",
    type=options.Amount("walltime_minutes"),
    metavar="MINUTES",
    help="Time limit per job: minutes, H:MM:SS or D-H:MM:SS (overrides the runner).",
)
@click.option(
    "--cpus",
    type=click.IntRange(min=1, max=100_000),
    metavar="N",
    help="CPU cores per job (overrides the runner).",
)
@options.where
@click.option("--repetitions", type=click.IntRange(min=1), help="In place of the experiment's own number.")
@click.option("--retry", is_flag=True, help="Also what failed or was cancelled, from its last checkpoint.")
@click.option("--rerun", is_flag=True, help="Also what is done; everything from scratch.")
@click.option(
    "--keep-going", is_flag=True, help="Do not stop when the first tasks all fail with one exception."
)
@click.option("--detach", is_flag=True, help="Return at once; a local pool goes on, also after logout.")
@click.option(
    "--wait",
    "wait_seconds",
    type=options.SECONDS,
    metavar="SECONDS",
    help="Wait at most SECONDS for these tasks, queued now or before; else exit with 4.",
)
@options.dry_run
@options.yes
@options.as_json
def command(
    selector: str,
    backend: str,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    detach: bool,
    wait_seconds: float | None,
    memory_gb: float | None,
    walltime_minutes: float | None,
    cpus: int | None,
    **given: Any,
) -> int:
    """Queue the tasks of an experiment that are not done yet.

    A local pool is watched until it is through; Ctrl-C stops it cleanly. Submitting again goes on where it
    stopped: what is done, queued or running is never queued twice.
    """
    from neurofit.backends import runner
    from neurofit.orchestrate.forecast import forecast, with_resources, with_workers

    if detach and wait_seconds is not None:
        raise click.UsageError("--detach returns at once, --wait does not: give one of them.")
    study = options.here()
    chosen = with_workers(runner.load(study.runners, backend), given.pop("workers"))
    asked = {"memory_gb": memory_gb, "walltime_minutes": walltime_minutes, "cpus": cpus}
    chosen = with_resources(chosen, **asked)
    plan = _plan(study, selector, **given)
    cost = forecast(plan, chosen)
    if not as_json:
        _say_plan(plan, chosen, cost, wording.resources(asked))
    if dry_run:
        return _say_script(plan, chosen, cost, selector, as_json)
    if plan.tasks and not _is_meant(plan, cost, yes):
        terminal.say("Nothing was queued.")
        return 1
    from neurofit.cli.following import queue_and_follow

    return queue_and_follow(
        plan, chosen, cost, selector, stays=not detach, wait_seconds=wait_seconds, as_json=as_json
    )


def _plan(study: Any, selector: str, where: str | None, **given: Any) -> Plan:
    from neurofit.experiments.selector import parse
    from neurofit.orchestrate.plan import SubmitOptions, condition, load, make

    selection = parse(selector)
    experiment = load(study, selection.experiment)
    if experiment.hint:
        terminal.note(experiment.hint)
    return make(study, experiment, SubmitOptions(selection, where and condition(experiment, where), **given))


def _say_plan(plan: Plan, chosen: Runner, cost: Forecast, asked: str) -> None:
    experiment = plan.experiment
    runs, repetitions = wording.count(len(plan.runs), "run"), wording.count(plan.repetitions, "repetition")
    terminal.say(
        f"{experiment.name}: {runs} × {repetitions}, runner {chosen.name}{asked and f' with {asked}'}"
    )
    for state, number, fate in wording.fates(plan):
        terminal.say(f"  {number:>7,} {terminal.styled(f'{state:<9}', fg=terminal.STYLES[state])} {fate}")
    if plan.removed:
        terminal.say(
            f"  {wording.count(plan.removed, 'run')} done before and no longer on the grid; the results stay."
        )
    if plan.tasks:
        terminal.say(wording.spread(plan, cost))
    terminal.problems_of(plan.status)


def _say_script(plan: Plan, chosen: Runner, cost: Forecast, selector: str, as_json: bool) -> int:
    from neurofit.orchestrate.submit import preview

    script = preview(plan, chosen)
    if as_json:
        terminal.as_json({**plan.summary(cost.jobs), "script": script})
    elif script:
        terminal.say(f"\nWhat {chosen.name} would be given:\n")
        terminal.say("\n".join(f"    {line}".rstrip() for line in script.splitlines()))
        terminal.hint(next_command("submit", selector))
    else:
        terminal.say("Nothing is to be queued.")
        terminal.hint(next_command("results", selector))
    return 0


def _is_meant(plan: Plan, cost: Forecast, yes: bool) -> bool:
    from neurofit.errors import UsageError
    from neurofit.orchestrate.forecast import doubts, must_be_said

    if yes:
        return True
    if terminal.is_asked():
        reasons = doubts(plan, cost)
        return not reasons or terminal.confirmed(f"{' '.join(reasons)} Go on?")
    if reason := must_be_said(plan):
        raise UsageError(reason)
    return True
