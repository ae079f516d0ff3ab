"""`python jobs/exp3.py`: one task in this process, with every argument of the fit as an option."""

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
    from neurofit.study import Study

OWN_OPTIONS = ("run", "repetition", "set", "rerun", "pdb", "list", "dry-run", "json", "help")


def main(experiment: Experiment) -> None:
    """Run one task of an experiment in this process, as the command line says, and exit.

    Call it at the end of a script in `jobs/`::

        if __name__ == "__main__":
            nf.main(experiment)

    `python jobs/exp3.py` then runs repetition 0 of the first run, and each argument of the fit is an option:
    `python jobs/exp3.py --filters 16 --repetition 2`. The options `--run`, `--repetition`, `--set`, `--list`,
    `--rerun`, `--pdb`, `--dry-run`, `--json` and `--help` are described by `python jobs/exp3.py --help`. The
    task leaves the same files as one that `neurofit submit` queues.

    Parameters
    ----------
    experiment : Experiment
        The experiment of the script.

    Raises
    ------
    SystemExit
        Always at the end, with an exit code of `neurofit.exit_codes`: 0 if the task is done, 3 if it failed.
    ScriptError
        The call is not below `if __name__ == "__main__":`, and a command loads the script.
    """
    loading = scripts.is_loading()
    if loading == scripts.SPAWNED:
        return  # a process spawned by a task imports functions of the script
    if loading:
        raise ScriptError(
            "nf.main(experiment) is called while a command loads the script, so that every command would run a "
            'task. Write `if __name__ == "__main__":` above the call, and indent the call.'
        )
    file = getattr(sys.modules["__main__"], "__file__", None)
    name = Path(file).name if file else "python"
    sys.exit(application.run(_command(experiment, file), name))


def _command(experiment: Experiment, file: str | None) -> click.Command:
    """The command of a script: arguments of the fit as options, and options of neurofit.

    The argument `learning_rate` is --learning-rate or --learning_rate.
    """
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
            _print_runs(placed)
            return None
        how = {"debug": debug, "rerun": rerun, "dry_run": dry_run, "as_json": as_json}
        return foreground.run_task(study, placed, texts, number, repetition, **how)

    return click.Command(
        "main",
        callback=callback,
        params=[*_fit_options(experiment, arguments), *_own_options()],
        help=_help(experiment),
        context_settings={
            "token_normalize_func": lambda word: word.replace("_", "-"),
            "help_option_names": ["--help", "-h"],
            "max_content_width": 100,
        },
    )


def _options(experiment: Experiment) -> dict[str, str]:
    """click's name of each option → the argument. An argument with the name of a neurofit option needs --set."""
    options: dict[str, str] = {}
    words = set(OWN_OPTIONS)
    for place, name in enumerate(experiment.arguments()):
        word = name.replace("_", "-")
        if word not in words and all(part.isidentifier() for part in name.split(".")):
            words.add(word)
            options[f"argument_{place}"] = name
    return options


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

    parts = [] if default is REQUIRED else [f"default: {short(default)}"]
    if values:
        more = ", …" if len(values) > 6 else ""
        parts.append(f"grid: {', '.join(short(value, 20) for value in values[:6])}{more}")
    return f"[{'; '.join(parts)}]" if parts else ""


def _own_options() -> list[click.Option]:
    return [
        click.Option(
            ["--run", "number"],
            type=click.IntRange(min=0),
            metavar="NUMBER",
            help="Run a task of this run, with the arguments above changed.  [default: the first run]",
        ),
        click.Option(
            ["--repetition"],
            type=click.IntRange(min=0),
            default=0,
            metavar="NUMBER",
            help="Run this repetition, which sets the seeds.  [default: 0]",
        ),
        click.Option(
            ["--set", "changes"],
            multiple=True,
            metavar="NAME=VALUE",
            help="Set an argument of the fit by its name (repeatable).",
        ),
        click.Option(["--list", "listing"], is_flag=True, help="List the runs, and run nothing."),
        click.Option(["--rerun"], is_flag=True, help="Make the attempt count even if the task is done."),
        click.Option(
            ["--pdb", "debug"], is_flag=True, help="Open the debugger where the fit raises an exception."
        ),
        click.Option(["-n", "--dry-run"], is_flag=True, help="Show which task it is, and run nothing."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print the outcome as JSON."),
    ]


def _help(experiment: Experiment) -> str:
    documented = (getattr(sys.modules["__main__"], "__doc__", None) or "").strip().partition("\n")[0]
    return (
        f"{documented}\n\nRun one task in this process, by default repetition 0 of the first run. Arguments of "
        "the fit are options. `neurofit submit` runs all tasks."
    )


def _placed(experiment: Experiment, file: str | None) -> tuple[Study, Experiment]:
    if file is None:
        raise UsageError("nf.main(experiment) works only in a script under jobs/, as in python jobs/exp3.py.")
    return scripts.placed(experiment, Path(file))


def _print_runs(experiment: Experiment) -> None:
    from neurofit.cli.commands.show import print_runs
    from neurofit.orchestrate.overview import of_grid

    print_runs(of_grid(experiment, experiment.runs()))
    terminal.hint(command("show", experiment.name))
