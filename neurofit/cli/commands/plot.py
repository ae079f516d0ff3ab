"""`neurofit plot`: pictures of results, training and models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from neurofit.cli import options, terminal

EPILOG = """\b
What can be drawn:
  curves       a metric over repetitions, a line per run
  progress     losses while training, and the step whose weights were kept
  neurons      a score per neuron, as bars
  predictions  what was predicted of the best, median and worst neuron: exp3:17/0
  filters, receptive-fields, readouts, exciting-images, tuning
               of one task's model: exp3:17/0

\b
Examples:
  neurofit plot exp3 --by filters --reference hsm/region1
  neurofit plot exp3:0 --what neurons -o neurons.pdf
  neurofit plot exp3:0/0 --what receptive-fields --neurons 0-8
"""
OF_MODELS = ("filters", "receptive-fields", "readouts", "exciting-images", "tuning")
KINDS = ("curves", "progress", "neurons", "predictions", *OF_MODELS)
FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


def _complete_kind(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    return [kind for kind in KINDS if kind.startswith(incomplete)]


@click.command(epilog=EPILOG)
@options.selector("selectors", many=True, metavar="SELECTOR...", required=False)
@click.option("--what", default="curves", shell_complete=_complete_kind, help="What to draw.  [default: curves]")
@click.option("--metric", help="A column of history.csv for curves, of neurons.csv for neurons.")
@click.option("--by", metavar="AXIS", help="A curve per value of this argument, not per run: its runs are pooled.")
@click.option("--ensemble", metavar="AXIS", help="Join runs that differ in this argument alone (regions), by neurons.")
@click.option(
    "--median/--upper-quartile", default=True, help="Percentiles 50, 90 and 10, or 75, 95 and 5.  [default: median]"
)
@click.option("--normalise-steps", is_flag=True, help="Every training's last step is 1.")
@click.option("--limit", nargs=2, type=float, metavar="LO HI", help="Only the steps from LO to HI.")
@click.option("--reference", "references", multiple=True, metavar="NAME", help="A line: hsm/region1, or ours=0.47.")
@click.option("--bands", is_flag=True, help="Shaded areas in place of error bars.")
@click.option("--neurons", metavar="LIST", help="Which neurons of a model: 0-8,17.  [default: the first 36]")
@click.option("--events", type=FOLDER, help="Curves of the TensorBoard files in a folder; --metric is their tag.")
@options.states
@options.where
@click.option("-o", "--output", type=FILE, metavar="FILE", help=".png, .pdf or .svg.  [default: EXPERIMENT-WHAT.png]")
@options.as_json
def command(
    selectors: Sequence[str],
    what: str,
    metric: str | None,
    by: str | None,
    ensemble: str | None,
    median: bool,
    normalise_steps: bool,
    limit: tuple[float, float] | None,
    references: Sequence[str],
    bands: bool,
    neurons: str | None,
    events: Path | None,
    states: Sequence[Any],
    where: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Draw curves over repetitions, training progress, scores per neuron, or a model.

    The numbers are printed as well; with --json, all of them, and a file is written only with -o.
    """
    from neurofit.orchestrate.pictures.curves import Wish
    from neurofit.orchestrate.pictures.pictures import Request, picture
    from neurofit.reports import style
    from neurofit.reports.curves import MEDIAN, UPPER_QUARTILE

    draws = output is not None or not as_json
    target = output or Path(f"{_stem(selectors, what, events)}.png")
    if draws:
        style.installed()
        style.checked(target)
    wish = Wish(metric, by, ensemble, MEDIAN if median else UPPER_QUARTILE, normalise_steps, limit)
    chosen = tuple(selectors), wish, tuple(states), where, tuple(references), bands, neurons, events
    study = None if events else options.here()
    with terminal.without_library_logs():  # a model's picture needs no word about its processor
        found = picture(study, Request(what, *chosen))
    if draws:
        style.save(found.draw(), target)
    if as_json:
        terminal.as_json({**found.facts, "file": str(target) if draws else None})
        return
    terminal.table(found.headers, found.rows)
    for note in found.notes:
        terminal.note(note)
    terminal.say(f"Drawn: {target}")
    _hint(selectors, what)


def _stem(selectors: Sequence[str], what: str, events: Path | None) -> str:
    """exp3-curves of exp3:0-4, exp1-and-exp2-curves of both."""
    names = [events.name] if events else dict.fromkeys(one.partition(":")[0].strip("/") for one in selectors)
    return "-and-".join(name.replace("/", "-").removesuffix(".py") for name in names) + f"-{what}"


def _hint(selectors: Sequence[str], what: str) -> None:
    if not selectors:
        return
    name = selectors[0].partition(":")[0]
    if what == "curves":
        terminal.hint(f"neurofit plot {name}:0 --what progress", f"neurofit results {selectors[0]} --by run")
    elif what not in OF_MODELS:
        terminal.hint(f"neurofit plot {name}:0/0 --what receptive-fields")
    else:
        others = [kind for kind in OF_MODELS if kind != what]
        terminal.hint(f"neurofit plot {selectors[0]} --what {others[0]}")
