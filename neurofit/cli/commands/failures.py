"""`neurofit failures`: explain why tasks failed, were lost or stopped, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from neurofit import exit_codes
from neurofit.cli import options, terminal, wording
from neurofit.cli.selecting import select
from neurofit.cli.wording import next_command

if TYPE_CHECKING:
    from neurofit.orchestrate.explanations import Explanation


@click.command(
    epilog=options.examples("neurofit failures exp3", "neurofit failures exp3 --where 'filters == 32'")
)
@options.selector()
@options.where
@options.best_by("--by", "--best-by")
@options.as_json
def command(selector: str, where: str | None, best_by: str | None, as_json: bool) -> int | None:
    """Explain why tasks failed, were lost or stopped, and what to do about it.

    Tasks with the same failure are listed once, with the arguments and hosts that they have in common and
    the end of one log. The exit code is 3 if there are failures.
    """
    from neurofit.orchestrate.attempts import newer_attempts
    from neurofit.orchestrate.explanations import explained
    from neurofit.store.state import UNFINISHED
    from neurofit.tables.query import TaskQuery

    study = options.here()
    query, status = select(study, selector, UNFINISHED, where, best_by)
    explanations = explained(status, query.keys(status))
    if as_json:
        terminal.as_json(
            {"experiment": query.name, "failures": [one.record(query.name) for one in explanations]}
        )
        return exit_codes.TASKS_FAILED if explanations else None
    for one in explanations:
        _print_explanation(query.name, one)
    terminal.problems_of(status)
    for line in newer_attempts(status, TaskQuery(query.name, query.selection, condition=where).keys(status)):
        terminal.note(line)
    if not explanations:
        terminal.say("None of the selected tasks failed, was lost or stopped.")
        terminal.hint(next_command("status", selector))
        return None
    terminal.hint(explanations[0].remedy.command)
    return exit_codes.TASKS_FAILED


def _print_explanation(name: str, one: Explanation) -> None:
    from neurofit.orchestrate.explanations import factor_lines

    failure = one.failure
    first, *more = failure.message.strip().splitlines() or [""]
    number = wording.count(len(failure.tasks), "task")
    state = terminal.styled(str(one.state), fg=terminal.STYLES[str(one.state)])
    terminal.say(f"{number} {state}: {wording.cut(first)}")
    for line in more[:3]:
        terminal.say(f"    {wording.cut(line)}")
    if failure.where:
        terminal.say(f"    {failure.where}")
    for line in factor_lines(one.common_factors):
        terminal.say(f"  {line}")
    if failure.log and one.last_lines:
        terminal.say(f"  {wording.task(name, failure.example)}, end of {wording.short_path(failure.log)}:")
        for line in one.last_lines:
            terminal.say(f"    | {wording.cut(line)}".rstrip())
    before = f"{one.remedy.first}; then " if one.remedy.first else ""
    terminal.say(f"  Next step: {before}{one.remedy.command}\n")
