"""`neurofit results`: print the table of results, from files alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from neurofit import collector
from neurofit.cli import options, terminal
from neurofit.cli.hosts import HostCommand
from neurofit.cli.selecting import select
from neurofit.cli.wording import next_command

if TYPE_CHECKING:
    from neurofit.store.state import State

FORMATS = ("table", "csv", "json", "markdown", "latex", "parquet")


@click.command(
    cls=HostCommand,
    epilog=options.examples(
        "neurofit results exp3",
        "neurofit results exp3 --by run",
        "neurofit results exp3 --compare degree --metric test/mse",
        "neurofit results exp3 --by run --sort test/mse --top 10",
        "neurofit results exp3:best",
        "neurofit results exp3 --format csv > exp3.csv",
        "neurofit results exp3 --format parquet > exp3.parquet",
        "neurofit results exp3 --by run --host anna@cluster:studies/v1",
    ),
)
@options.selector()
@options.states
@options.where
@click.option(
    "--format",
    "format",
    type=click.Choice(FORMATS),
    default="table",
    help="Print the table in this format; parquet is for a file or another program.  [default: table]",
)
@click.option(
    "--by",
    type=click.Choice(["task", "run"]),
    default="task",
    help="Print a row per task, or per run with means and intervals.  [default: task]",
)
@click.option(
    "--compare",
    "axis",
    metavar="AXIS",
    help="Compare the values of the argument AXIS, paired by repetition.",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="METRIC",
    help="Print only this metric (repeatable, but not with --compare).",
)
@click.option(
    "--raw",
    is_flag=True,
    help="Leave text in csv unchanged, even if a spreadsheet would run it as a formula.",
)
@click.option(
    "--lower-is-better",
    "lower",
    is_flag=True,
    help="With --compare or --sort: lower values are better, whatever the name of the metric.",
)
@click.option("--off-grid", is_flag=True, help="With --compare: include tasks that are not on the grid.")
@click.option(
    "--sort",
    metavar="COLUMN",
    help="Sort the rows by this column: metrics with the best first, other columns in ascending order.",
)
@click.option("--reverse", is_flag=True, help="With --sort: sort in the other order.")
@click.option("--top", metavar="N", type=click.IntRange(min=1), help="Print only the first N rows.")
@click.option(
    "--columns",
    "columns",
    multiple=True,
    metavar="NAMES",
    help='Print only these columns, in this order: names or patterns, such as "run,lr,test/*" (repeatable).',
)
@options.best_by("--best-by")
@options.on_host
@options.as_json
@collector.paused()
def command(
    selector: str,
    states: Sequence[State],
    where: str | None,
    format: str,
    by: str,
    axis: str | None,
    metrics: Sequence[str],
    raw: bool,
    lower: bool,
    off_grid: bool,
    sort: str | None,
    reverse: bool,
    top: int | None,
    columns: Sequence[str],
    best_by: str | None,
    as_json: bool,
) -> None:
    """Print one row per task: arguments, state, metrics, cost, seeds and versions.

    Tables leave out columns that are the same in every row; csv, json and parquet have all columns. The script is not
    loaded. Trials of a search come best first.
    """
    is_csv = format == "csv" and not as_json
    _must_go_together(axis, by=by, metrics=metrics, off_grid=off_grid, raw=raw, csv=is_csv)
    if lower and not (axis or sort):
        raise click.UsageError("--lower-is-better works only with --compare AXIS or --sort.")
    if reverse and not sort:
        raise click.UsageError("--reverse works only with --sort.")
    is_parquet = format == "parquet" and not as_json
    if is_parquet and terminal.is_terminal():
        raise click.UsageError("--format parquet writes bytes, which a terminal cannot show: add `> FILE`.")
    from neurofit.orchestrate.attempts import newer_attempts
    from neurofit.orchestrate.outdated import outdated_now
    from neurofit.tables import comparison, formats, notes, table
    from neurofit.tables.arrangement import arranged
    from neurofit.tables.rows import read_rows
    from neurofit.tables.trials import best_first, searched_for

    study = options.here()
    query, status = select(study, selector, states, where, best_by)
    keys = set(query.keys(status, of_rows=True))
    rows = [row for row in read_rows(status, query.selection) if (row["run"], row["repetition"]) in keys]
    if metrics:
        rows = table.with_metrics(rows, metrics)
    if axis:
        frame = comparison.compare(rows, axis, *metrics, off_grid=off_grid, lower_is_better=lower)
    else:
        frame = comparison.by_run(rows) if by == "run" else table.table(rows)
    if sort is None and not axis and (target := searched_for(status)) is not None:
        frame = best_first(frame, target)
    wanted = [name.strip() for names in columns for name in names.split(",") if name.strip()]
    frame = arranged(frame, sort=sort, reverse=reverse, lower_is_better=lower, top=top, columns=wanted)
    if is_parquet:
        from neurofit.tables.parquet import parquet

        terminal.write(parquet(frame))
    else:
        text = formats.render(frame, "json" if as_json else format, width=terminal.width(), raw=raw)
        if raw:
            terminal.raw(text)
        else:
            terminal.say(text)
    terminal.problems_of(status)
    remarks = notes.notes(rows, grid_only=bool(axis) and not off_grid)
    old = outdated_now(study, status, keys).sentence(selector)
    for line in filter(None, [*remarks, *newer_attempts(status, keys), old]):
        terminal.note(line)
    summarised = axis or by == "run"
    terminal.hint(
        next_command("results", selector, by=None, compare=None)
        if summarised
        else next_command("results", selector, by="run", format=None)
    )


def _must_go_together(
    axis: str | None, *, by: str, metrics: Sequence[str], off_grid: bool, raw: bool, csv: bool
) -> None:
    """Raise click.UsageError for options that contradict each other or would have no effect."""
    if off_grid and not axis:
        raise click.UsageError("--off-grid works only with --compare AXIS.")
    if axis and len(metrics) > 1:
        raise click.UsageError("--compare compares one metric, so give --metric once.")
    if axis and by == "run":
        raise click.UsageError("--compare pairs tasks and --by run averages them: give one of the two.")
    if raw and not csv:
        raise click.UsageError("--raw works only with --format csv.")
