"""`neurofit report`: write one HTML file that shows experiments to others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from neurofit.cli import options, terminal, wording
from neurofit.cli.commands.plot import FILE, file_stem
from neurofit.cli.hosts import HostCommand
from neurofit.cli.selecting import note_each
from neurofit.cli.wording import next_command


@click.command(
    cls=HostCommand,
    epilog=options.examples(
        "neurofit report exp3",
        "neurofit report exp3 exp4 -o report.html",
        "neurofit report exp3 --where 'filters > 4' --metric test/mse",
        "neurofit report exp3 --host anna@cluster:studies/v1 -o report.html",
    ),
)
@options.selector("selectors", many=True, metavar="[SELECTOR]...", required=False)
@options.where
@options.best_by("--best-by")
@click.option(
    "--metric",
    metavar="METRIC",
    help="Order and compare runs by this metric.  [default: the correlation on the test set]",
)
@click.option(
    "-o",
    "--output",
    type=FILE,
    metavar="FILE",
    help="Write to FILE (.html).  [default: SELECTOR-report.html]",
)
@options.on_host
@options.as_json
def command(
    selectors: Sequence[str],
    where: str | None,
    best_by: str | None,
    metric: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Write one HTML file that shows experiments to others.

    It has the question, the tables, comparisons, curves, failures, costs and versions, and opens in any browser
    without a network. Without SELECTOR, it has all experiments. No script is executed.
    """
    from neurofit.report.gathering import gather
    from neurofit.report.writing import check_path, is_report, require_jinja2, write

    require_jinja2()
    target = output or Path(f"{file_stem(selectors, 'report', None)}.html" if selectors else "report.html")
    check_path(target, chosen=output is not None)
    report = gather(options.here(), selectors, condition=where, metric=metric, best_by=best_by)
    note_each(report.notes)
    replaces = target.exists() and not is_report(target)
    size = write(report, target)
    if as_json:
        terminal.as_json(
            {
                "file": str(target),
                "bytes": size,
                "replaced": replaces,
                "left_out": report.left_out,
                "experiments": [
                    {"selector": one.selector, "name": one.name, "runs": one.runs, "states": one.states}
                    for one in report.experiments
                ],
            }
        )
        return
    for problem in [*report.left_out, *(problem for one in report.experiments for problem in one.problems)]:
        terminal.problem(problem)
    terminal.say(f"Saved {target} ({wording.size(size)}).")
    if replaces:
        terminal.note(f"{target} was another file, which is not a report; it was replaced.")
    terminal.hint(next_command("results", report.experiments[0].selector, by="run", metric=None))
