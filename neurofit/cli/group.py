"""Which commands there are. Their modules load when they are used; `neurofit --help` loads none."""

from __future__ import annotations

import importlib
from typing import Any

import click

from neurofit.errors import nearest

COMMANDS = {
    "init": "Make a folder a study, with an example to start from.",
    "list": "The experiments of this study.",
    "show": "An experiment's axes, runs and repetitions.",
    "submit": "Queue what is not done yet, and watch it where it runs here.",
    "run": "Do one task here and now, in the foreground.",
    "status": "How experiments stand.",
    "logs": "What tasks printed.",
    "failures": "Why tasks failed, and what helps.",
    "cancel": "End what is queued or running.",
    "choose": "Choose which attempt at a task counts.",
    "results": "The table of results.",
    "plot": "Pictures of results, training and models.",
    "runners": "The queues that this study can use, and whether they work.",
    "data": "The recordings under data/; `data add` puts some there.",
    "clean": "Remove what no result needs.",
}
EPILOG = """\b
Tasks are selected alike everywhere: exp3, exp3:17 (a run), exp3:17-40,last,
exp3:17/3 (repetition 3), with --state failed and --where 'lr < 1e-3'.

\b
Exit codes: 0 fine, 1 an error, 2 wrong usage, 3 some tasks failed, were
lost or stopped, 4 still running when --wait was over, 5 a queue that could not
be asked.

\b
Completion: eval "$(_NEUROFIT_COMPLETE=bash_source neurofit)" in ~/.bashrc
(zsh_source in ~/.zshrc; fish_source for fish).
"""


class Commands(click.Group):
    """A group whose commands are the modules of `neurofit.cli.commands`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        return importlib.import_module(f"neurofit.cli.commands.{name}").command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"There is no command '{args[0]}'.{nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=line) for name, line in COMMANDS.items() if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)


def _print_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        import neurofit

        click.echo(f"neurofit {neurofit.__version__}")
        ctx.exit()


@click.group(
    cls=Commands,
    invoke_without_command=True,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show it."
)
@click.pass_context
def group(ctx: click.Context) -> None:
    """From an experiment script to a table of results, on whichever queue you have."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
