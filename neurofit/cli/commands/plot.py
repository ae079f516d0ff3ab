"""`neurofit plot`: plot results, training and models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurofit import packed
from neurofit.cli import options, terminal
from neurofit.cli.wording import next_command
from neurofit.text import command as suggested

if TYPE_CHECKING:
    from neurofit.store.state import State

EPILOG = """\b
Values of --what:
  curves       a metric during training over repetitions, a curve per run
  progress     the losses during training, and the step of the kept weights
  over-axis    scores against the argument --over, such as layers
  neurons      a score of each neuron, as bars
  histogram    how many neurons have which score, an outline per run
  scatter      the scores of neurons in one run against those in another
  predictions  predicted responses of the best, median and worst neuron
  search       a search: its history, and how its arguments matter
  filters, receptive-fields, readouts, exciting-images, tuning
               of the model of one task, for example exp3:17/0

\b
Examples:
  neurofit plot exp3 --by filters --reference hsm/region1
  neurofit plot exp3:best --what neurons -o neurons.pdf
  neurofit plot exp3 --what over-axis --over filters --by architecture
  neurofit plot exp3:0 exp3:2 --what scatter
  neurofit plot exp3 --what search
  neurofit plot exp3:0/0 --what receptive-fields --neurons 0-8
"""
LONGEST = 120  # characters of a file's stem, without `what`
NARROWEST = 12  # characters of a row's label in a table
FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


def _complete_kind(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    from neurofit.plotting.requests import KINDS

    return [kind for kind in KINDS if kind.startswith(incomplete)]


@click.command(epilog=EPILOG)
@options.selector("selectors", many=True, metavar="SELECTOR...", required=False)
@click.option(
    "--what",
    default="curves",
    metavar="KIND",
    shell_complete=_complete_kind,
    help="Draw this kind of picture; see the list below.  [default: curves]",
)
@click.option(
    "--metric",
    metavar="COLUMN",
    help="Draw this column of history.csv (curves) or of neurons.csv (scores of neurons).",
)
@click.option(
    "--by",
    metavar="AXIS",
    help="Draw one curve per value of the argument AXIS instead of one per run, or one per `selector`.",
)
@click.option("--over", metavar="AXIS", help="Put the argument AXIS on the x axis (over-axis).")
@click.option(
    "--average",
    type=click.Choice(["mean", "median"]),
    default="mean",
    help="Average scores over neurons like this (over-axis).  [default: mean]",
)
@click.option(
    "--ensemble",
    metavar="AXIS",
    help="Join runs that differ only in AXIS and have different neurons, such as regions.",
)
@click.option(
    "--label", "labels", multiple=True, metavar="TEXT", help="Name the curves, in their order (repeatable)."
)
@click.option(
    "--median/--upper-quartile",
    default=True,
    help="Draw percentiles 50, 90 and 10 over repetitions, or 75, 95 and 5.  [default: median]",
)
@click.option("--normalise-steps", is_flag=True, help="Scale steps so that each training ends at 1.")
@click.option("--limit", nargs=2, type=float, metavar="LO HI", help="Draw only steps LO to HI.")
@click.option(
    "--reference",
    "references",
    multiple=True,
    metavar="NAME",
    help="Draw a horizontal line at a published score (hsm/region1) or at your own (ours=0.47).",
)
@click.option("--bands", is_flag=True, help="Draw shaded bands instead of error bars.")
@click.option(
    "--neurons",
    metavar="LIST",
    help="Draw these neurons of a model, for example 0-8,17.  [default: the first 36]",
)
@click.option(
    "--events",
    type=FOLDER,
    metavar="FOLDER",
    help="Draw curves from the TensorBoard files in FOLDER; --metric names the tag.",
)
@options.states
@options.where
@options.best_by("--best-by")
@click.option(
    "-o",
    "--output",
    type=FILE,
    metavar="FILE",
    help="Write the picture to FILE (.png, .pdf or .svg).  [default: SELECTOR-KIND.png]",
)
@options.as_json
@click.pass_context
def command(
    ctx: click.Context,
    selectors: Sequence[str],
    what: str,
    metric: str | None,
    by: str | None,
    over: str | None,
    average: str,
    ensemble: str | None,
    labels: Sequence[str],
    median: bool,
    normalise_steps: bool,
    limit: tuple[float, float] | None,
    references: Sequence[str],
    bands: bool,
    neurons: str | None,
    events: Path | None,
    states: Sequence[State],
    where: str | None,
    best_by: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Plot curves over repetitions, training progress, scores of neurons, or a model.

    The numbers in the picture are printed too. With --json, all of them are printed, and a file is written
    only if you give -o.
    """
    from neurofit.plotting.curve_sets import CurveOptions
    from neurofit.plotting.curves import MEDIAN, UPPER_QUARTILE
    from neurofit.plotting.requests import PlotRequest, check_kind, check_options

    check_kind(what, selectors)
    check_options(what, _given(ctx), events=events is not None)
    percentiles = MEDIAN if median else UPPER_QUARTILE
    curve_options = CurveOptions(metric, by, ensemble, percentiles, normalise_steps, limit, tuple(labels))
    chosen = tuple(selectors), curve_options, tuple(states), where, tuple(references), bands, neurons, events
    _draw(PlotRequest(what, *chosen, over=over, average=average, best_by=best_by), output, as_json)


def _draw(request: Any, output: Path | None, as_json: bool) -> None:
    from neurofit.plotting import style
    from neurofit.plotting.requests import make_picture

    draws = output is not None or not as_json
    target = output or Path(f"{file_stem(request.selectors, request.what, request.events)}.png")
    if draws:
        style.require_matplotlib()
        style.check_path(target)
    study = None if request.events else options.here()
    with terminal.without_library_logs():  # TensorFlow's messages about the processor do not help here
        found = make_picture(study, request)
    if draws:
        style.save(found.draw(), target)
    if as_json:
        terminal.as_json({**found.facts, "notes": list(found.notes), "file": str(target) if draws else None})
        return
    terminal.table(found.headers, _fitting(found.headers, found.rows, terminal.width()))
    for note in found.notes:
        terminal.note(note)
    terminal.say(f"Saved {target}.")
    _hint(request.selectors, request.what, found.first_task)


def _given(ctx: click.Context) -> list[str]:
    """The options on the command line, by their names."""
    from click.core import ParameterSource

    found = []
    for parameter in ctx.command.params:
        if ctx.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE:
            off = parameter.secondary_opts and not ctx.params[parameter.name]
            found.append((parameter.secondary_opts if off else parameter.opts)[-1])
    return found


def file_stem(selectors: Sequence[str], what: str, events: Path | None) -> str:
    """The stem of a picture's file name.

    'exp3-curves' for exp3, 'exp3-1-0-tuning' for exp3:1/0, 'exp1-0to4-and-exp2-curves' for exp1:0-4 and exp2.
    """
    names = list(dict.fromkeys([events.name] if events else map(_stem, selectors)))
    while len("-and-".join(names)) > LONGEST and len(names) > 1:
        names = [*names[:-2], "more"] if names[-1] == "more" else [*names[:-1], "more"]
    return "-and-".join(names)[:LONGEST] + f"-{what}"


def _stem(selector: str) -> str:
    name, _, tasks = selector.strip().partition(":")
    numbers = tasks.replace(" ", "").replace("-", "to").replace(",", "+").replace("/", "-")
    return "-".join(filter(None, [name.strip("/").replace("/", "-").removesuffix(".py"), numbers]))


def _fitting(headers: Sequence[str], rows: Sequence[Sequence[Any]], width: int | None) -> list[list[Any]]:
    """The rows, with their first cells shortened in the middle so that all columns fit."""
    from neurofit.text import cut

    if not rows or width is None:
        return [list(row) for row in rows]
    others = [
        max(len(str(one)) for one in column) + 2 for column in zip(headers[1:], *(row[1:] for row in rows))
    ]
    room = max(width - sum(others), NARROWEST)
    return [[cut(str(first), room, room - 1 - (room - 1) // 3), *rest] for first, *rest in rows]


def _hint(selectors: Sequence[str], what: str, shown: Any) -> None:
    """Suggest another picture or table of a task in this picture."""
    from neurofit.plotting.pictures import is_loss
    from neurofit.plotting.requests import OF_MODELS

    if what == "search":
        terminal.hint(suggested("search best", selectors[0]))
    if shown is None:
        return
    if what == "curves":
        progress = [suggested("plot", shown.run, what="progress")] * any(map(is_loss, shown.history))
        terminal.hint(*progress, next_command("results", selectors[0], by="run", metric=None))
    elif what in OF_MODELS:
        others = [kind for kind in OF_MODELS if kind != what]
        terminal.hint(suggested("plot", shown.name, what=others[0]))
    elif packed.exists(shown.folder / "weights.weights.h5"):  # a model that can be drawn
        terminal.hint(suggested("plot", shown.name, what="receptive-fields"))
    else:
        terminal.hint(suggested("results", shown.run))
