"""What somebody would do next, as commands about the same tasks: runner, selector, conditions and quoting are
kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from neurofit.commands import command

ONLY_NOW = frozenset(
    {"dry_run", "yes", "as_json", "detach", "wait_seconds", "watch", "follow", "lines", "raw"}
)
OF_SUBMIT = frozenset(
    {"backend", "workers", "memory_gb", "walltime_minutes", "cpus", "repetitions", "keep_going"}
)


def next_command(verb: str, selectors: str | Sequence[str], **changes: Any) -> str:
    """A command about the tasks that the running command is about.

    What was given to the running command is kept where `verb` has that option too: conditions and states, and
    from one submit to the next its runner and resources. `changes` are set, or left out where None.

    Parameters
    ----------
    selectors : as they were given
    changes : by the option's own name, `state=["failed"]`, `retry=True`
    """
    ctx = click.get_current_context()
    known = _options(verb)
    kept = {}
    for parameter in ctx.command.params:
        name = parameter.name
        wanted = _was_given(ctx, name) and name in known and name not in ONLY_NOW
        if wanted and (ctx.info_name == verb or name not in OF_SUBMIT):
            kept[known[name]] = _texts(ctx.params[name])
    words = [selectors] if isinstance(selectors, str) else list(selectors)
    return command(verb, *words, **{**kept, **changes})


def _options(verb: str) -> dict[str, str]:
    """click's name of each option of a command → the option as it is written, without its dashes."""
    from neurofit.cli.group import group

    found = group.get_command(click.Context(group), verb)
    return {
        one.name: max(one.opts, key=len).lstrip("-").replace("-", "_")
        for one in found.params
        if isinstance(one, click.Option)
    }


def _was_given(ctx: click.Context, name: str | None) -> bool:
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _texts(value: Any) -> Any:
    """As the command line has it."""
    if isinstance(value, (list, tuple)):
        return [str(one) for one in value]
    return value
