"""Arguments and options that several commands share, their types, and their completion in a shell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from neurofit.store.state import State
    from neurofit.study import Study

    FloatType = click.ParamType[float]
    StateType = click.ParamType[State]
else:
    FloatType = StateType = click.ParamType  # generic only for type checkers, before click 8.3

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

LONGEST_WAIT = 31_536_000.0  # seconds in a year

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
dry_run = click.option(
    "-n", "--dry-run", is_flag=True, help="Show what the command would do, and change nothing."
)
yes = click.option("-y", "--yes", is_flag=True, help="Answer yes to every question.")
where = click.option(
    "--where",
    metavar="CONDITION",
    help="Select only runs whose arguments meet CONDITION, for example 'lr < 1e-3'.",
)


def on_host(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command that can read a study on another host; its class is `HostCommand`."""
    host = click.option(
        "--host",
        metavar="USER@HOST:FOLDER",
        help="Read the study in FOLDER on HOST, over SSH; nothing is recorded there.",
    )
    tool = click.option(
        "--neurofit-there",
        metavar="PATH",
        envvar="NEUROFIT_THERE",
        help="With --host: the neurofit on HOST, or none to read its files alone.  [default: the study's own]",
    )
    return host(tool(function))


def best_by(*names: str) -> Decorator:
    """The option that names the metric by which `exp3:best` is chosen; `--by` where that is not taken."""
    return click.option(
        *names,
        "best_by",
        metavar="METRIC",
        help="With exp3:best: choose the run by METRIC, or by min:METRIC or max:METRIC.  [default: of validation]",
    )


def examples(*lines: str) -> str:
    """The end of a command's help: lines of examples, which click does not wrap."""
    return "\n".join(["\b", "Example:" if len(lines) == 1 else "Examples:", *(f"  {line}" for line in lines)])


def here() -> Study:
    """The study that contains the current folder, or the one that the command was started for."""
    from neurofit import study

    ctx = click.get_current_context(silent=True)
    given = ctx.find_object(study.Study) if ctx else None
    if given is not None:
        return given
    return study.find(Path.cwd())


def complete_experiment(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of experiments, found without loading a script."""
    from neurofit.errors import NeurofitError
    from neurofit.experiments.scripts import discover

    try:
        return [entry.name for entry in discover(here()) if entry.name.startswith(incomplete)]
    except NeurofitError:
        return []


def complete_runner(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of the study's runners and of the built-in backends."""
    from neurofit.backends import BUILT_IN, runner
    from neurofit.errors import NeurofitError

    try:
        known = {*runner.names(here().runners), *BUILT_IN}
    except NeurofitError:
        known = set(BUILT_IN)
    return sorted(name for name in known if name.startswith(incomplete))


def selector(
    name: str = "selector", *, many: bool = False, metavar: str = "SELECTOR", required: bool = True
) -> Decorator:
    """An argument that names an experiment, and perhaps which of its tasks."""
    nargs = -1 if many else 1
    return click.argument(
        name, nargs=nargs, metavar=metavar, required=required, shell_complete=complete_experiment
    )


class Amount(FloatType):
    """A number that a runner accepts for one of its settings; minutes also as H:MM:SS or D-H:MM:SS."""

    name = "amount"

    def __init__(self, setting: str) -> None:
        self.setting = setting

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from neurofit.backends.base import minutes_of
        from neurofit.backends.runner import out_of_bounds

        number = minutes_of(str(value)) if self.setting.endswith("_minutes") else None
        try:
            number = float(value) if number is None else number
        except ValueError:
            number = float("nan")
        if expected := out_of_bounds(self.setting, number):
            self.fail(f"'{value}': {expected}.", param, ctx)
        return number


class _Seconds(FloatType):
    """How long to wait: a finite number of seconds, 0 or more."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not 0 <= number <= LONGEST_WAIT:
            self.fail(f"'{value}': expected a number of seconds from 0 to {LONGEST_WAIT:.0f}.", param, ctx)
        return number


SECONDS = _Seconds()


class _State(StateType):
    name = "state"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> State:
        from neurofit.errors import nearest
        from neurofit.store.state import State

        known = [str(state) for state in State]
        if str(value) not in known:
            self.fail(
                f"There is no state '{value}'.{nearest(str(value), known)} States: {', '.join(known)}.",
                param,
                ctx,
            )
        return State(str(value))

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        from neurofit.store.state import State

        return [CompletionItem(str(state)) for state in State if str(state).startswith(incomplete)]


states = click.option(
    "--state",
    "states",
    type=_State(),
    multiple=True,
    metavar="STATE",
    help="Select only tasks in this state (repeatable).",
)
