"""`neurofit search`: list searches, print the best trials of one, or write its trials as a study of Optuna."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurofit.cli import options, terminal, wording
from neurofit.text import command as suggested

if TYPE_CHECKING:
    from neurofit.experiments.experiment import Experiment
    from neurofit.orchestrate.best_trials import BestOfSearch, BestTrial, Confirmed
    from neurofit.status.experiment_status import ExperimentStatus
    from neurofit.study import Study

_CONFIRMED = {"best": 3, "repetitions": 10}  # what is suggested


@click.group(
    invoke_without_command=True,
    epilog=options.examples(
        "neurofit search", "neurofit search best exp3", "neurofit search export exp3 --optuna exp3.db"
    ),
)
@options.as_json
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List the searches of this study that have been submitted.

    `neurofit search best` prints the best trials of one; `neurofit search export` writes all of them for Optuna's
    dashboard. `neurofit plot EXPERIMENT --what search` draws them.
    """
    if ctx.invoked_subcommand is not None:
        return
    from neurofit.orchestrate.best_trials import searches

    records = searches(options.here())
    if as_json:
        terminal.as_json({"searches": records})
        return
    if not records:
        terminal.say("No search has been submitted. grid=nf.search(…) in an experiment's script makes one.")
        terminal.hint("neurofit list")
        return
    rows = [
        [
            one["experiment"],
            one["searches"],
            f"{one['ended']:,}/{one['trials']:,}",
            one["metric"],
            one["direction"],
        ]
        for one in records
    ]
    terminal.table(["experiment", "searches", "trials", "metric", "direction"], rows, styles=["bold"])
    terminal.hint(suggested("search best", records[0]["experiment"]))


@command.command(
    short_help="Print the best trials of a search.",
    epilog=options.examples(
        "neurofit search best exp3",
        "neurofit search best exp3 --top 10",
        "neurofit search best exp3 --where \"optimizer == 'adam'\" --json",
    ),
)
@options.selector("name", metavar="EXPERIMENT")
@click.option(
    "--top",
    type=click.IntRange(min=1, max=100_000),
    default=3,
    metavar="N",
    help="Print the N best trials of each search.  [default: 3]",
)
@options.where
@options.as_json
def best(name: str, top: int, where: str | None, as_json: bool) -> None:
    """Print the best trials by the metric of the search, which is of validation.

    The value of a trial is the mean over its repetitions. Trials that were pruned, failed or are not finished
    are left out. Where a search is combined with a grid, each point of the grid has its own best trials.

    The best score of a search is optimistic, because it was chosen as the best of many. `neurofit submit
    EXPERIMENT --best N` repeats the best trials with other seeds; then their means, with intervals at 95 %, are
    shown as `confirmed`.
    """
    from neurofit.orchestrate import plan
    from neurofit.orchestrate.best_trials import best_trials

    study = options.here()
    experiment, status = _loaded(study, name)
    meets = plan.condition(experiment, where) if where else None
    found = best_trials(experiment, status, top, meets)
    if as_json:
        terminal.as_json(_record(experiment, found))
        return
    _print(experiment, found)
    terminal.problems_of(status)
    shown = [one for part in found for one in part.best]
    if not shown:
        terminal.hint(suggested("status", name), suggested("submit", name))
    elif all(one.confirmed for one in shown):
        terminal.hint(suggested("plot", name, what="search"))
    else:
        fewest = min(len(part.best) for part in found)
        confirm = {**_CONFIRMED, "best": max(1, min(3, fewest)), "where": where}
        terminal.hint(suggested("submit", name, **confirm), suggested("plot", name, what="search"))


def _loaded(study: Study, name: str) -> tuple[Experiment, ExperimentStatus]:
    """An experiment with a search, and its status. Raises UsageError if it has none, or tasks are selected."""
    from neurofit.errors import UsageError
    from neurofit.experiments.selector import parse
    from neurofit.orchestrate import plan
    from neurofit.orchestrate.best_trials import must_have_search
    from neurofit.status.experiment_status import read_status

    selection = parse(name)
    if selection.runs or selection.repetitions or selection.best:
        raise UsageError(
            f"'{name}' selects tasks, and a search is looked at as a whole: write {selection.experiment}."
        )
    experiment = plan.load(study, selection.experiment)
    must_have_search(experiment)
    return experiment, read_status(study, experiment.name)


def _print(experiment: Experiment, found: list[BestOfSearch]) -> None:
    search = experiment.search
    assert search is not None  # it was looked for
    for part in found:
        at = f", {part.point.label}" if part.point.label else ""
        better = "higher" if search.maximizes else "lower"
        counts = {state: number for state, number in part.point.counts().items() if number}
        order = ("finished", "pruned", "failed", "open", "new")
        counted = wording.counted({state: counts[state] for state in order if state in counts})
        trials = wording.count(len(part.point.runs), "trial")
        terminal.say(f"{experiment.name}{at}: {trials} by {search.metric}, {better} is better: {counted}.")
        if not part.best:
            terminal.say("  No trial is finished.")
            continue
        terminal.table(*_table(search.metric, part))
        terminal.say()
    tried = max((part.point.counts()["finished"] for part in found), default=0)
    if any(part.best for part in found):
        terminal.note(_optimistic(tried, confirmed=any(one.confirmed for part in found for one in part.best)))


def _optimistic(tried: int, *, confirmed: bool) -> str:
    chosen = (
        f"The best score of a search is optimistic: it was chosen as the best of {tried:,} finished trials by this "
        "same number."
    )
    if confirmed:
        return f"{chosen} Report what is confirmed, which has other seeds."
    return f"{chosen} To see what the best trials are worth, repeat them with other seeds."


def _table(metric: str, part: BestOfSearch) -> tuple[list[str], list[list[Any]]]:
    names = list(dict.fromkeys(name for one in part.best for name in one.trial.known.values))
    has_confirmed = any(one.confirmed for one in part.best)
    headers = ["rank", "run", "trial", metric, *["confirmed"] * has_confirmed, "repetitions", *names]
    rows = []
    for one in part.best:
        values = one.trial.known.values
        row: list[Any] = [one.rank, one.trial.run, one.trial.number, _figures(one.value)]
        row += [*[_confirmed(one.confirmed)] * has_confirmed, one.repetitions]
        rows.append([*row, *(_shown(values[name]) if name in values else "" for name in names)])
    return headers, rows


def _shown(value: Any) -> Any:
    from neurofit.experiments.grid.params import short

    return _figures(value) if isinstance(value, float) else value if type(value) is int else short(value)


def _figures(value: float) -> float:
    """With four significant digits."""
    return float(f"{value:.4g}")


def _confirmed(one: Confirmed | None) -> str:
    """'0.452 ± 0.012, n=10, run 30'"""
    from neurofit.orchestrate.best_trials import waits

    if one is None:
        return ""
    waiting = f", {waits(one)} to come" if waits(one) else ""
    if one.mean is None:
        return f"run {one.run}, none done{waiting}"
    half = f" ± {one.half_width:.2g}" if one.half_width is not None else ""
    return f"{one.mean:.4g}{half}, n={one.done}, run {one.run}{waiting}"


def _record(experiment: Experiment, found: list[BestOfSearch]) -> dict[str, Any]:
    search = experiment.search
    assert search is not None  # it was looked for
    return {
        "experiment": experiment.name,
        "metric": search.metric,
        "direction": search.direction,
        "searches": [
            {
                "point": part.point.given,
                "trials": len(part.point.runs),
                **{
                    state: part.point.counts()[state]
                    for state in ("finished", "pruned", "failed", "open", "new")
                },
                "best": [_trial_record(one) for one in part.best],
            }
            for part in found
        ],
    }


def _trial_record(one: BestTrial) -> dict[str, Any]:
    confirmed = one.confirmed
    return {
        "rank": one.rank,
        "run": one.trial.run,
        "trial": one.trial.number,
        "value": one.value,
        "repetitions": one.repetitions,
        "searched": one.trial.known.values,
        "arguments": one.trial.arguments,
        "confirmed": confirmed
        and {
            "run": confirmed.run,
            "done": confirmed.done,
            "mean": confirmed.mean,
            "half_width": confirmed.half_width,
            "level": 0.95,
            "states": {str(state): number for state, number in confirmed.states.items()},
        },
    }


@command.command(
    short_help="Write the trials of a search for Optuna's dashboard.",
    epilog=options.examples(
        "neurofit search export exp3 --optuna exp3.db",
        "neurofit search export exp3 --optuna exp3.db --replace",
    ),
)
@options.selector("name", metavar="EXPERIMENT")
@click.option(
    "--optuna",
    "output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="Write a study of Optuna to FILE, an SQLite database.",
)
@click.option("--replace", is_flag=True, help="Replace an earlier export in FILE.")
@options.as_json
def export(name: str, output: Path, replace: bool, as_json: bool) -> None:
    """Write every trial of a search as a study of Optuna, one study for each point of a grid.

    The file is a copy for Optuna's dashboard and its plots. neurofit never reads it: what you change in it has no
    effect on the search. Trials keep their numbers; those that have not started are `WAITING`.
    """
    from neurofit.exports import optuna_study

    study = options.here()
    optuna_study.require()
    optuna_study.check(output, study, replace=replace)
    experiment, status = _loaded(study, name)
    replaced = output.exists()
    written = optuna_study.export(experiment, status, output)
    terminal.problems_of(status)
    opened = f"optuna-dashboard sqlite:///{wording.quoted(output)}"
    if as_json:
        terminal.as_json({"file": str(output), "studies": written, "replaced": replaced, "open": opened})
        return
    studies = f" in {len(written):,} studies" if len(written) > 1 else ""
    terminal.say(f"Saved {output}: {wording.count(sum(written.values()), 'trial')}{studies}.")
    terminal.hint(opened)
