"""Run a command: the one place where errors become a line on stderr and an exit code.

0 fine    1 an error    2 wrong usage    3 some tasks failed, were lost or stopped
4 still running when --wait was over    5 a queue could not be asked
128 + N a signal ended it: 130 Ctrl-C, 141 the reader of our output went away, 143 kill, 129 the terminal was
closed
"""

from __future__ import annotations

import gc
import io
import os
import sys

import click

from neurofit.cli import terminal
from neurofit.errors import NeurofitError
from neurofit.text import printable

INTERRUPTED = 130
BROKEN_PIPE = 141  # as a shell reports a program that SIGPIPE ended


def run(command: click.Command, name: str, arguments: list[str] | None = None) -> int:
    """The exit code of a command, whose callback returns one or None."""
    terminal.set_up()
    stdout = sys.stdout
    gc.set_threshold(
        50_000
    )  # ten thousand tasks are many objects, none of them garbage before the command ends
    try:
        status = command.main(arguments, prog_name=name, standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except NeurofitError as error:
        terminal.error(str(error))
        return error.exit_code
    except click.ClickException as error:
        said = io.StringIO()
        error.show(said)
        print(printable(said.getvalue()), end="", file=sys.stderr)
        return error.exit_code
    except click.Abort:
        click.echo(err=True)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output, `| head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        terminal.error(f"{error.filename}: {error.strerror}." if error.filename else f"{error}.")
        return 1
    except SystemExit:
        if sys.stdout is stdout:
            raise
        return BROKEN_PIPE  # click replaces it where the reader went away while the command printed
