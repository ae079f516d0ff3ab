"""What `python jobs/exp3.py` does: one task here and now, with every argument of the fit as an option."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurofit import environment
from neurofit.cli import application, foreground, terminal
from neurofit.errors import ScriptError, UsageError
from neurofit.experiments import scripts
from neurofit.text import command

if TYPE_CHECKING:
    from neurofit.experiments.experiment import Experiment

OURS = ("run", "repetition", "set", "rerun", "pdb", "list", "dry-run", "json", "help")


def main(experiment: Experiment) -> None:
    """Do what the command line of the running script says, and exit.

    Raises
    ------
    ScriptError : called while a command loads the script, outside of `if __name__ == "__main__":`
    """
    loading = scripts.is_loading()
    if loading == scripts.SPAWNED:
        return  # a process that a task has spawned looks for its functions in the script
    if loading:
        raise ScriptError(
            "experiment.main() is called while the script is loaded, which would run a task for every command. "
            'Write `if __name__ == "__main__":` above it, and indent it.'
        )
    file = getattr(sys.modules["__main__"], "__file__", None)
    name = Path(file).name if file else "python"
    sys.exit(application.run(_command(experiment, file), name))


def _command(experiment: Experiment, file: str | None) -> click.Command:
    """Our options and the fit's, each argument `learning_rate` as --learning-rate or --learning_rate."""
    arguments = _options(experiment)

    def callback(
        number: int | None,
        repetition: int,
        changes: tuple[str, ...],
        rerun: bool,
        debug: bool,
        listing: bool,
        dry_run: bool,
        as_json: bool,
        **given: str | None,
    ) -> int | None:
        if not (listing or dry_run):
            environment.enter()
        study, placed = _placed(experiment, file)
        texts = {arguments[key]: text for key, text in given.items() if text is not None}
        texts |= foreground.pairs(changes)
        if listing:
            return _list(placed)
        how = {"debug": debug, "rerun": rerun, "dry_run": dry_run, "as_json": as_json}
        return foreground.do(study, placed, texts, number, repetition, **how)

    return click.Command(
        "main",
        callback=callback,
        params=[*_fit_options(experiment, arguments), *_our_options()],
        help=_help(experiment),
        context_settings={
            "token_normalize_func": lambda word: word.replace("_", "-"),
            "help_option_names": ["--help", "-h"],
            "max_content_width": 100,
        },
    )


def _options(experiment: Experiment) -> dict[str, str]:
    """click's own name of each option → the argument. What would hide an option of ours is left to --set."""
    found: dict[str, str] = {}
    words = set(OURS)
    for place, name in enumerate(experiment.arguments()):
        word = name.replace("_", "-")
        if word not in words and all(part.isidentifier() for part in name.split(".")):
            words.add(word)
            found[f"argument_{place}"] = name
    return found


def _fit_options(experiment: Experiment, arguments: dict[str, str]) -> list[click.Option]:
    axes, defaults = experiment.grid.axes(), experiment.arguments()
    return [
        click.Option(
            [f"--{name.replace('_', '-')}", key],
            metavar="VALUE",
            help=_value_help(axes.get(name), defaults[name]),
        )
        for key, name in arguments.items()
    ]


def _value_help(values: list[Any] | None, default: Any) -> str:
    from neurofit.experiments.experiment import REQUIRED
    from neurofit.experiments.grid.params import short

    said = [] if default is REQUIRED else [f"default: {short(default)}"]
    if values:
        more = ", …" if len(values) > 6 else ""
        said.append(f"grid: {', '.join(short(value, 20) for value in values[:6])}{more}")
    return f"[{'; '.join(said)}]" if said else ""


def _our_options() -> list[click.Option]:
    flag = {"is_flag": True}
    return [
        click.Option(
            ["--run", "number"],
            type=click.IntRange(min=0),
            help="The run to start from.  [default: the first]",
        ),
        click.Option(
            ["--repetition"],
            type=click.IntRange(min=0),
            default=0,
            help="Which repetition, that is, which seed.  [default: 0]",
        ),
        click.Option(
            ["--set", "changes"], multiple=True, metavar="NAME=VALUE", help="Any argument by its name."
        ),
        click.Option(["--list", "listing"], **flag, help="List the runs, and do nothing."),
        click.Option(["--rerun"], **flag, help="Make the attempt count although the task is done."),
        click.Option(["--pdb", "debug"], **flag, help="Open the debugger where the fit raises."),
        click.Option(["-n", "--dry-run"], **flag, help="Say what would be done, and do nothing."),
        click.Option(["--json", "as_json"], **flag, help="Print the outcome as JSON."),
    ]


def _help(experiment: Experiment) -> str:
    documented = (getattr(sys.modules["__main__"], "__doc__", None) or "").strip().partition("\n")[0]
    what = "Does one task here and now: the run given, with the arguments below changed."
    return f"{documented}\n\n{what} `neurofit submit` does them all."


def _placed(experiment: Experiment, file: str | None) -> tuple[Any, Experiment]:
    from neurofit.experiments import scripts

    if file is None:
        raise UsageError("experiment.main() is for a script under jobs/: python jobs/exp3.py.")
    return scripts.placed(experiment, Path(file))


def _list(experiment: Experiment) -> None:
    from neurofit.cli.commands.show import print_runs
    from neurofit.orchestrate.overview import of_grid

    print_runs(of_grid(experiment, experiment.runs()))
    terminal.hint(command("show", experiment.name))
