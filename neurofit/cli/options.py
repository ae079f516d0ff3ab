"""Arguments and options that several commands share, and how they complete."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from neurofit.study import Study

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
dry_run = click.option("-n", "--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
yes = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
where = click.option("--where", metavar="CONDITION", help="Only runs whose arguments meet it: 'lr < 1e-3'.")


def here() -> Study:
    """The study that the current folder is in."""
    from neurofit import study

    return study.find(Path.cwd())


def complete_experiment(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of scripts, found without loading any."""
    from neurofit.errors import NeurofitError
    from neurofit.experiments.scripts import discover

    try:
        return [entry.name for entry in discover(here()) if entry.name.startswith(incomplete)]
    except NeurofitError:
        return []


def complete_runner(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    from neurofit.backends import BUILT_IN, runner
    from neurofit.errors import NeurofitError

    try:
        known = {*runner.names(here().runners), *BUILT_IN}
    except NeurofitError:
        known = set(BUILT_IN)
    return sorted(name for name in known if name.startswith(incomplete))


def selector(
    name: str = "selector", *, many: bool = False, metavar: str = "SELECTOR", required: bool = True
) -> Callable:
    """An argument that names an experiment, and perhaps which of its tasks."""
    nargs = -1 if many else 1
    return click.argument(
        name, nargs=nargs, metavar=metavar, required=required, shell_complete=complete_experiment
    )


class Amount(click.ParamType):
    """A number that a runner's setting may have; minutes also as H:MM:SS or D-H:MM:SS."""

    name = "amount"

    def __init__(self, setting: str) -> None:
        self.setting = setting

    def convert(self, value: Any, parameter: click.Parameter | None, ctx: click.Context | None) -> float:
        from neurofit.backends.base import minutes_of
        from neurofit.backends.runner import out_of_bounds

        number = minutes_of(str(value)) if self.setting.endswith("_minutes") else None
        try:
            number = float(value) if number is None else number
        except ValueError:
            number = float("nan")
        if expected := out_of_bounds(self.setting, number):
            self.fail(f"'{value}': {expected}.", parameter, ctx)
        return number


class _Seconds(click.ParamType):
    """How long to wait: 0 or more, and finite."""

    name = "seconds"

    def convert(self, value: Any, parameter: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not 0 <= number <= LONGEST_WAIT:
            self.fail(
                f"'{value}': expected a number of seconds from 0 to {LONGEST_WAIT:.0f}.", parameter, ctx
            )
        return number


LONGEST_WAIT = 31_536_000.0  # a year
SECONDS = _Seconds()


class _State(click.ParamType):
    name = "state"

    def convert(self, value: Any, parameter: click.Parameter | None, ctx: click.Context | None) -> Any:
        from neurofit.errors import nearest
        from neurofit.store.state import State

        known = [str(state) for state in State]
        if str(value) not in known:
            self.fail(
                f"There is no state '{value}'.{nearest(str(value), known)} States: {', '.join(known)}.",
                parameter,
                ctx,
            )
        return State(str(value))

    def shell_complete(self, ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        from neurofit.store.state import State

        return [CompletionItem(str(state)) for state in State if str(state).startswith(incomplete)]


states = click.option(
    "--state",
    "states",
    type=_State(),
    multiple=True,
    metavar="STATE",
    help="Only tasks in this state; may be repeated.",
)
