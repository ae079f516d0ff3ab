"""The command `neurofit`: which commands it has, and how one runs.

A command's module loads when the command is used; `neurofit --help` loads none of them. `run` is the only
place where an error becomes a message on stderr and an exit code.
"""

from __future__ import annotations

import gc
import importlib
import io
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from neurofit import exit_codes
from neurofit.cli import terminal
from neurofit.errors import NeurofitError, described, missing_extra, nearest

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

COMMANDS = {
    "init": "Create a study in a folder, with an example experiment.",
    "list": "List the experiments of this study.",
    "show": "Show the axes, runs and repetitions of an experiment.",
    "submit": "Queue the tasks of an experiment that are not done.",
    "run": "Run one task here, in the foreground.",
    "debug": "Run one task again here; the attempt never counts.",
    "status": "Show how many tasks are queued, running, done or failed.",
    "logs": "Show what tasks printed.",
    "failures": "Explain why tasks failed, and what to do about it.",
    "cancel": "Cancel queued and running tasks.",
    "choose": "Choose which attempt of a task counts.",
    "results": "Print the table of results.",
    "search": "Show the best trials of a search, or export them.",
    "plot": "Plot results, training and models.",
    "export": "Write results for TensorBoard, MLflow or W&B.",
    "report": "Write an HTML file that shows experiments to others.",
    "predict": "Predict responses to other images.",
    "runners": "List the runners of this study; `runners check` tries one.",
    "data": "List the data sets of this study; `data add` adds recordings.",
    "clean": "Remove files that no result needs.",
    "pack": "Put the small files of finished runs into one archive per run.",
    "unpack": "Restore the files of packed runs.",
}
UNLISTED = ("answer",)  # started by other commands, not by hand
CODES = "\n".join(f"  {code:<7}  {meaning}" for code, meaning in exit_codes.MEANINGS.items())
EPILOG = f"""\b
Selectors, the same in every command:
  exp3             all tasks of an experiment
  exp3:17          run 17
  exp3:17-40,last  runs 17 to 40, and the last one
  exp3:17/3        repetition 3 of run 17
  exp3:best        the run with the best scores on validation images
Add --state failed or --where 'lr < 1e-3' to narrow the selection.

\b
Examples:
  neurofit init study
  neurofit submit exp3
  neurofit results exp3 --by run

\b
Exit codes:
{CODES}
  128 + N  ended by signal N; 130 after Ctrl-C

\b
To complete commands, experiments and options with the Tab key, add this line
to ~/.bashrc (zsh: zsh_source in ~/.zshrc; fish: fish_source):
  eval "$(_NEUROFIT_COMPLETE=bash_source neurofit)"
"""


class Commands(click.Group):
    """A group whose commands are the modules of `neurofit.cli.commands`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS and cmd_name not in UNLISTED:
            return None
        command = importlib.import_module(f"neurofit.cli.commands.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in (*COMMANDS, *UNLISTED) and not args[0].startswith("-"):
            ctx.fail(f"There is no command '{args[0]}'.{nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        commands = [
            CompletionItem(name, help=line) for name, line in COMMANDS.items() if name.startswith(incomplete)
        ]
        return commands + click.Command.shell_complete(self, ctx, incomplete)


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
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
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
@click.pass_context
def group(ctx: click.Context) -> None:
    """Run grids of models on this machine or on a cluster, and tabulate the results."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run(command: click.Command, name: str, arguments: list[str] | None = None, **context: Any) -> int:
    """Run a command and print its error, if there is one.

    Parameters
    ----------
    command : click.Command
        Its callback returns an exit code, or None for 0.
    name : str
        The name of the program, for the usage line.
    arguments : list of str, optional
        By default those of this process.
    **context
        For the context of the command (`obj`).

    Returns
    -------
    int
        The exit code, see `neurofit.exit_codes`.
    """
    terminal.set_up()
    stdout = sys.stdout
    # ten thousand tasks are many objects, and none of them is garbage before the command ends
    gc.set_threshold(50_000)
    try:
        status: Any = command.main(arguments, prog_name=name, standalone_mode=False, **context)
        sys.stdout.flush()
        return status if isinstance(status, int) else exit_codes.OK
    except NeurofitError as error:
        terminal.error(str(error))
        return error.exit_code
    except ModuleNotFoundError as error:
        if missing_extra(error) is None:
            raise
        terminal.error(described(error))
        return exit_codes.ERROR
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        terminal.remark(shown.getvalue())
        return error.exit_code
    except click.Abort:
        click.echo(err=True)
        return exit_codes.INTERRUPTED
    except BrokenPipeError:  # the reader of the output, such as `head`, has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_codes.BROKEN_PIPE
    except OSError as error:
        terminal.error(f"{error.filename}: {error.strerror}." if error.filename else f"{error}.")
        return exit_codes.ERROR
    except SystemExit:
        if sys.stdout is stdout:
            raise
        return exit_codes.BROKEN_PIPE  # click replaces stdout if its reader goes away while it prints
