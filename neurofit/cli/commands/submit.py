"""`neurofit submit`: print the plan, queue its tasks, and watch them if they run on this machine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from neurofit.cli import options, terminal, wording
from neurofit.cli.foreground import pairs, parsed
from neurofit.cli.selecting import note_each, of_script
from neurofit.cli.wording import next_command
from neurofit.text import command as suggested

if TYPE_CHECKING:
    from neurofit.backends.runner import Runner
    from neurofit.experiments.experiment import Experiment
    from neurofit.orchestrate.forecast import Forecast
    from neurofit.orchestrate.hosts import Exclusion
    from neurofit.orchestrate.plan import Plan
    from neurofit.orchestrate.raises import Part
    from neurofit.orchestrate.stages import Needed, Stage
    from neurofit.study import Study


@click.command(
    epilog=options.examples(
        "neurofit submit exp3 --dry-run",
        "neurofit submit exp3:0-9 --workers 4",
        "neurofit submit exp3 --backend slurm-gpu --memory 24 --minutes 2:00:00",
        "neurofit submit exp3 --retry",
        "neurofit submit exp3:best --repetitions 20",
        "neurofit submit exp3 --set epochs=5 --repetitions 1",
        "neurofit submit exp3 --best 3 --repetitions 10",
        "neurofit submit maps --backend features=slurm-gpu --backend slurm-cpu",
    )
)
@options.selector("selector", metavar="EXPERIMENT[:RUNS[/REPETITIONS]]")
@click.option(
    "--backend",
    "backends",
    multiple=True,
    metavar="[EXPERIMENT=]RUNNER",
    shell_complete=options.complete_runner,
    help="Use the profile RUNNER in runners/, or a backend with default settings; with EXPERIMENT=, for that "
    "stage only.  [default: local]",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1, max=10_000),
    metavar="N",
    help="Run N tasks at a time in the local pool (overrides the runner).",
)
@click.option(
    "--memory",
    "memory_gb",
    type=options.Amount("memory_gb"),
    metavar="GB",
    help="Request this memory per job, in GB (overrides the runner).",
)
@click.option(
    "--minutes",
    "walltime_minutes",
    type=options.Amount("walltime_minutes"),
    metavar="MINUTES",
    help="Limit the time per job, in minutes, H:MM:SS or D-H:MM:SS (overrides the runner).",
)
@click.option(
    "--cpus",
    type=click.IntRange(min=1, max=100_000),
    metavar="N",
    help="Request N CPU cores per job (overrides the runner).",
)
@options.where
@options.best_by("--by", "--best-by")
@click.option(
    "--repetitions",
    type=click.IntRange(min=1),
    metavar="N",
    help="Queue N repetitions of each run (overrides the experiment).",
)
@click.option(
    "--trials",
    type=click.IntRange(min=1, max=100_000),
    metavar="N",
    help="Search with N trials instead of what the script says.",
)
@click.option(
    "--best",
    type=click.IntRange(min=1, max=10_000),
    metavar="N",
    help="Repeat the N best trials of each search with seeds that it has not used, off the grid; 10 repetitions "
    "unless --repetitions says otherwise.",
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Queue a trial: every run with this argument replaced, off the grid (repeatable).",
)
@click.option(
    "--retry",
    is_flag=True,
    help="Also queue tasks that failed or were cancelled; they continue from their last checkpoints. Tasks that "
    "ran out of memory or time get more, up to what the queue allows.",
)
@click.option(
    "--rerun", is_flag=True, help="Also queue tasks that are done, and start all tasks from scratch."
)
@click.option(
    "--keep-going", is_flag=True, help="Continue even if the first tasks all fail with the same exception."
)
@click.option(
    "--no-exclude",
    is_flag=True,
    help="Also use hosts on which jobs died three times because of the host; see `neurofit runners hosts`.",
)
@click.option(
    "--detach", is_flag=True, help="Return at once; the local pool keeps running, even after you log out."
)
@click.option(
    "--wait",
    "wait_seconds",
    type=options.SECONDS,
    metavar="SECONDS",
    help="Watch for at most SECONDS, also tasks queued before; exit with 4 if tasks are still running.",
)
@options.dry_run
@options.yes
@options.as_json
def command(
    selector: str,
    backends: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    as_json: bool,
    detach: bool,
    wait_seconds: float | None,
    memory_gb: float | None,
    walltime_minutes: float | None,
    cpus: int | None,
    no_exclude: bool,
    **given: Any,
) -> int:
    """Queue the tasks of an experiment that are not done.

    Tasks that are done, queued or running are never queued twice, so you can repeat the command to continue
    an experiment. Tasks that run on this machine are watched until they end. Ctrl-C stops them, and their
    progress is kept.

    With --set, the tasks are a trial: runs of their own, off the grid, which are never averaged with those of
    the grid. Repeat a trial with the same --set.

    What the experiment needs (`needs=` in its script) is queued first, and its own tasks wait for that: in the
    local pool, and in the queues of SLURM, Grid Engine and PBS, also if the stages have different runners.
    """
    from dataclasses import replace

    from neurofit.orchestrate.forecast import forecast
    from neurofit.orchestrate.raises import parts
    from neurofit.orchestrate.stages import order, stages

    if detach and wait_seconds is not None:
        raise click.UsageError("--detach returns at once and --wait waits: give one of the two.")
    study = options.here()
    asked = {"memory_gb": memory_gb, "walltime_minutes": walltime_minutes, "cpus": cpus}
    default, runners, excluded = _runners(study, backends, given.pop("workers"), asked, no_exclude)
    plan = _plan(study, selector, **given)
    needed = order(study, plan.experiment)
    fixed = [name for name, value in asked.items() if value is not None]
    before = stages(plan, needed, default, runners, fixed)
    chosen = runners.get(plan.experiment.name, default)
    plan_parts = parts(plan, chosen, fixed)
    cost = replace(forecast(plan, chosen), jobs=sum(part.jobs for part in plan_parts))
    _look_for_notify(study, [chosen, *(stage.runner for stage in before)])
    if not as_json:
        for sentence in dict.fromkeys(sentence for one in excluded for sentence in one.sentences):
            terminal.note(sentence)
        for stage in before:
            _print_plan(stage.plan, stage.runner, forecast(stage.plan, stage.runner), "", stage.parts)
        _print_plan(plan, chosen, cost, wording.resources(asked), plan_parts)
    if dry_run:
        for one in (*(stage.plan for stage in before), plan):
            if one.data_problem is not None:
                terminal.note(f"{one.experiment.name} could not be queued: {one.data_problem}")
        return _print_script(plan, plan_parts, chosen, cost, selector, as_json, needed, before)
    for one in (*(stage.plan for stage in before), plan):
        one.check_data()
    if plan.tasks and not _is_confirmed(plan, cost, yes, before):
        terminal.say("Nothing was queued.")
        return 1
    from neurofit.cli.progress import queue_and_watch

    return queue_and_watch(
        plan,
        plan_parts,
        cost,
        selector,
        needed=needed,
        before=before,
        stays=not detach,
        wait_seconds=wait_seconds,
        as_json=as_json,
    )


def _look_for_notify(study: Study, runners: list[Runner]) -> None:
    """Print a warning if a notify command is not on this host. Raises RunnerError if it is not one."""
    from neurofit.backends import notify

    for one in {runner.name: runner for runner in runners}.values():
        words = notify.command_of(one.backend, study)
        path, why = notify.program(words, study.root) if words else ("", "")
        if path is None:
            test = suggested("runners check", one.name, no_canary=True, notify=True)
            terminal.problem(
                f"The notify command of runner {one.name} cannot be run here: {why}. `{test}` tries it."
            )


def _runners(
    study: Study, backends: tuple[str, ...], workers: int | None, asked: dict[str, Any], no_exclude: bool
) -> tuple[Runner, dict[str, Runner], list[Exclusion]]:
    """The runner of all stages, those of single stages (`--backend features=slurm-gpu`), and what they leave out."""
    from neurofit.backends import runner
    from neurofit.orchestrate.hosts import exclusion

    excluded = []

    def load(name: str) -> Runner:
        found = runner.with_workers(runner.load(study.runners, name), workers)
        found = runner.with_resources(found, **asked)
        if no_exclude:
            return found
        excluded.append(exclusion(study, found))
        return excluded[-1].runner

    plain = [one for one in backends if "=" not in one]
    if len(plain) > 1:
        raise click.UsageError(
            f"--backend {plain[0]} and --backend {plain[1]}: give one runner for all, and EXPERIMENT=RUNNER for "
            "single stages."
        )
    pairs = [one.split("=", 1) for one in backends if "=" in one]
    default = load(plain[0] if plain else "local")
    return default, {name: load(of_stage) for name, of_stage in pairs}, excluded


def _plan(
    study: Study,
    selector: str,
    where: str | None,
    best_by: str | None,
    changes: tuple[str, ...],
    **given: Any,
) -> Plan:
    from neurofit.experiments.selector import parse
    from neurofit.orchestrate.plan import SubmitOptions, condition, load, make

    selection = parse(selector)
    experiment = load(study, selection.experiment)
    if experiment.hint:
        terminal.note(experiment.hint)
    selection = of_script(study, experiment, selection, best_by)
    replaced = parsed(experiment, pairs(changes))
    for sentence in _doubtful_names(experiment, replaced):
        terminal.note(sentence)
    meets = condition(experiment, where) if where else None
    plan = make(study, experiment, SubmitOptions(selection, meets, changes=replaced, **given))
    numbers = {run.registered_number for run in (*plan.grid, *plan.runs)}
    note_each(selection.absent(experiment.name, numbers, lambda: range(plan.repetitions)))
    return plan


def _doubtful_names(experiment: Experiment, changes: Iterable[str]) -> list[str]:
    """Sentences about replaced arguments that no run has, if the fit takes arguments of any name."""
    from neurofit.errors import nearest

    if not experiment.accepts_any:
        return []
    known = dict.fromkeys(name for run in experiment.runs() for name in run.arguments)
    return [
        f"No run has an argument '{name}', and the fit takes any name: check that it reads it."
        f"{nearest(name, known)}"
        for name in changes
        if name not in known
    ]


def _print_plan(plan: Plan, chosen: Runner, cost: Forecast, asked: str, parts: Iterable[Part]) -> None:
    from neurofit.orchestrate import inodes, job_sizes, searches
    from neurofit.orchestrate.raises import raises
    from neurofit.orchestrate.sizing import proposal

    experiment = plan.experiment
    what = "trial" if all(run.trial is not None for run in plan.runs) else "run"
    runs, repetitions = wording.count(len(plan.runs), what), wording.count(plan.repetitions, "repetition")
    trial = f"{wording.trial(plan)}, " if plan.is_trial else ""
    of_them = f" ({plan.first} to {plan.first + plan.repetitions - 1})" if plan.first else ""
    terminal.say(
        f"{experiment.name}: {trial}{runs} × {repetitions}{of_them}, runner {chosen.name}"
        f"{asked and f' with {asked}'}"
    )
    if (search := searches.summary(experiment)) is not None and not plan.is_trial:
        terminal.say(f"  {searches.sentence(search)}")
    for state, number, action in wording.plan_rows(plan):
        terminal.say(f"  {number:>7,} {terminal.styled(f'{state:<9}', fg=terminal.STYLES[state])} {action}")
    if plan.removed:
        terminal.say(f"  {wording.count(plan.removed, 'run')} no longer on the grid; the results are kept.")
    if sentence := searches.outside_sentence(plan.outside):
        terminal.say(f"  {sentence}")
    if plan.tasks:
        if sentence := wording.together_sentence(plan):
            terminal.say(f"  {sentence}")
        terminal.say(wording.cost_line(plan, cost))
        for sentence in job_sizes.sentences(plan.jobs_of(chosen.backend), chosen.backend, plan.processes):
            terminal.say(f"  {sentence}")
        for one in raises(parts):
            terminal.say(one.sentence)
        if (better := proposal(plan, chosen)) is not None:
            terminal.say(f"{better.sentence} Enough would be {' '.join(better.options)}.")
        files, folder = plan.files(cost.jobs), plan.study.training_data
        if (many := inodes.sentence(files)) is not None:
            terminal.say(many)
        if (scarce := inodes.warning(experiment.name, folder, files, inodes.free(folder))) is not None:
            terminal.problem(scarce)
    terminal.problems_of(plan.status)


def _print_script(
    plan: Plan,
    plan_parts: list[Part],
    chosen: Runner,
    cost: Forecast,
    selector: str,
    as_json: bool,
    needed: Needed,
    before: list[Stage],
) -> int:
    from neurofit.orchestrate.raises import summary
    from neurofit.orchestrate.stages import ID, foreseen
    from neurofit.orchestrate.submit import preview

    after = foreseen(plan, chosen, needed, before) if plan.tasks else ()
    scripts = [(part, preview(part.plan, part.runner, after)) for part in plan_parts]
    if as_json:
        stages = [stage.summary() for stage in before]
        texts = [script for _, script in scripts]
        found = {"stages": stages, "after": list(after), "script": texts[0], "scripts": texts}
        terminal.as_json({**plan.summary(cost.jobs), **summary(plan_parts), **found})
    elif any(script for _, script in scripts):
        for part, script in scripts:
            tasks = f" for {wording.count(len(part.plan.tasks), 'task')}" if len(scripts) > 1 else ""
            terminal.say(f"\nThe runner {chosen.name} would receive{tasks}:\n")
            terminal.say("\n".join(f"    {line}".rstrip() for line in script.splitlines()))
        if ID in after:
            terminal.say(f"\n{ID} stands for the ids of the jobs that are queued first.")
        terminal.hint(next_command("submit", selector))
    else:
        terminal.say("Nothing to queue.")
        terminal.hint(next_command("results", selector))
    return 0


def _is_confirmed(plan: Plan, cost: Forecast, yes: bool, before: list[Stage]) -> bool:
    from neurofit.errors import UsageError
    from neurofit.orchestrate.forecast import doubts, forecast, must_be_said

    if yes:
        return True
    if terminal.is_interactive():
        reasons = doubts(plan, cost)
        for stage in before:
            more = doubts(stage.plan, forecast(stage.plan, stage.runner))
            reasons += [f"{stage.plan.experiment.name}: {reason}" for reason in more]
        return not reasons or terminal.confirmed(f"{' '.join(reasons)} Continue?")
    if reason := must_be_said(plan):
        raise UsageError(reason)
    return True
