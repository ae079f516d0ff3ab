"""`neurofit show`: show the axes and runs of an experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from neurofit.cli import options, terminal, wording
from neurofit.cli.selecting import note_each, of_script
from neurofit.cli.wording import next_command
from neurofit.text import command as suggested


@click.command(
    epilog=options.examples(
        "neurofit show exp3", "neurofit show exp3 --where 'filters > 16'", "neurofit show exp3:best"
    )
)
@options.selector(metavar="EXPERIMENT[:RUNS]")
@options.where
@options.best_by("--by", "--best-by")
@options.as_json
def command(selector: str, where: str | None, best_by: str | None, as_json: bool) -> None:
    """Show the axes, runs and repetitions of an experiment.

    The number of a run never changes after the first submission. Of a search, the ranges are shown, and the trials
    that have arguments already.
    """
    from neurofit.experiments import scripts
    from neurofit.experiments.selector import parse
    from neurofit.orchestrate.overview import of_grid
    from neurofit.orchestrate.plan import chosen, condition, load, runs_of
    from neurofit.orchestrate.searches import with_suggestions
    from neurofit.store.layout import ExperimentFiles
    from neurofit.store.registry import read_registry

    study, selection = options.here(), parse(selector)
    experiment = load(study, selection.experiment)
    selection = of_script(study, experiment, selection, best_by)
    files = ExperimentFiles(study, experiment.name)
    registry = read_registry(files.registry)
    runs = with_suggestions(files, registry, runs_of(experiment, registry))
    found = chosen(experiment, runs, selection, condition(experiment, where) if where else None)
    numbers = [run.registered_number for run in runs]
    note_each(selection.absent(experiment.name, numbers, lambda: range(experiment.repetitions)))
    record = of_grid(experiment, found)
    if as_json:
        terminal.as_json(record)
        return
    assert experiment.path is not None  # it was loaded from a script
    _print_record(record, scripts.head(experiment.path), experiment.path)
    if experiment.hint:
        terminal.note(experiment.hint)
    terminal.hint(next_command("submit", selector, dry_run=True), suggested("run", experiment.name))


def _print_record(record: dict[str, Any], title: str, path: Path) -> None:
    terminal.say(terminal.styled(record["name"], bold=True) + (f" · {title}" if title else ""))
    terminal.say(f"{wording.short_path(path)}: {', '.join(record['architectures'])}")
    if record["needs"]:
        terminal.say(f"  needs {', '.join(record['needs'])}")
    print_runs(record)


def print_runs(record: dict[str, Any]) -> None:
    """Print the axes and the runs of an experiment; of a search, the ranges and the trials with arguments."""
    from neurofit.experiments.grid.params import short

    search = record.get("search")
    searched = search["arguments"] if search else {}
    for name, values in record["axes"].items():
        if name in searched:
            continue
        shown = ", ".join(short(value, 30) for value in values[:8])
        more = f", … {len(values)} values" if len(values) > 8 else ""
        terminal.say(f"  {name} = {shown}{more}")
    for name, range in searched.items():
        terminal.say(f"  {name} = {range}")
    runs = record["runs"]
    if search:
        runs = _print_search(record, search)
    else:
        terminal.say(f"{_number(record, 'run')}\n")
    names = list(dict.fromkeys([*record["axes"], *searched]))
    rows = [[run["run"], run["id"][:8], *(_cell(run["params"], name) for name in names)] for run in runs]
    for row in rows if search else ():
        row[:] = [
            float(f"{value:.4g}") if type(value) is float else value for value in row
        ]  # were not chosen by hand
    if rows:
        terminal.table(["run", "id", *names], rows, styles=["bold", "dim"])


def _print_search(record: dict[str, Any], search: dict[str, Any]) -> list[dict[str, Any]]:
    """Print what is searched for; return the runs of the table: those that have all arguments."""
    from neurofit.orchestrate.searches import sentence

    names = search["arguments"].keys()
    trials = [run for run in record["runs"] if "trial" in run]
    waiting = sum(not names <= run["params"].keys() for run in trials)
    terminal.say(sentence(search))
    all_trials = len(trials) == len(record["runs"])
    number = _number(record, "trial" if all_trials else "run")
    if waiting == len(trials):
        terminal.say(f"{number}; the arguments of a trial are chosen when it starts.\n")
    elif waiting:
        terminal.say(f"{number}, {waiting:,} of them without arguments so far.\n")
    else:
        terminal.say(f"{number}\n")
    return [run for run in record["runs"] if "trial" not in run or names <= run["params"].keys()]


def _number(record: dict[str, Any], what: str) -> str:
    """'30 runs × 3 repetitions'"""
    repetitions = wording.count(record["repetitions"], "repetition")
    return f"{wording.count(len(record['runs']), what)} × {repetitions}"


def _cell(params: dict[str, Any], name: str) -> Any:
    from neurofit.experiments.grid.params import short

    value = params.get(name, "")
    return value if type(value) in (int, float) or name not in params else short(value)
