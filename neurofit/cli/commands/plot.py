"""`neurofit plot`: pictures of results, training and models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from neurofit.cli import options, terminal
from neurofit.cli.wording import next_command
from neurofit.text import command as suggested

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
LONGEST = 120  # characters of a file's name
NARROWEST = 12  # characters of a label in a table
FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


def _complete_kind(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    from neurofit.plotting.pictures import KINDS

    return [kind for kind in KINDS if kind.startswith(incomplete)]


@click.command(epilog=EPILOG)
@options.selector("selectors", many=True, metavar="SELECTOR...", required=False)
@click.option(
    "--what", default="curves", shell_complete=_complete_kind, help="What to draw.  [default: curves]"
)
@click.option("--metric", help="A column of history.csv for curves, of neurons.csv for neurons.")
@click.option(
    "--by", metavar="AXIS", help="A curve per value of this argument, not per run; or per `selector`."
)
@click.option("--ensemble", metavar="AXIS", help="Join runs of other neurons, alike but for this: regions.")
@click.option("--label", "labels", multiple=True, metavar="TEXT", help="A name per curve, in their order.")
@click.option(
    "--median/--upper-quartile",
    default=True,
    help="Percentiles 50, 90 and 10, or 75, 95 and 5.  [default: median]",
)
@click.option("--normalise-steps", is_flag=True, help="Every training's last step is 1.")
@click.option("--limit", nargs=2, type=float, metavar="LO HI", help="Only the steps from LO to HI.")
@click.option(
    "--reference", "references", multiple=True, metavar="NAME", help="A line: hsm/region1, or ours=0.47."
)
@click.option("--bands", is_flag=True, help="Shaded areas in place of error bars.")
@click.option("--neurons", metavar="LIST", help="Which neurons of a model: 0-8,17.  [default: the first 36]")
@click.option(
    "--events", type=FOLDER, help="Curves of the TensorBoard files in a folder; --metric is their tag."
)
@options.states
@options.where
@click.option(
    "-o", "--output", type=FILE, metavar="FILE", help=".png, .pdf or .svg.  [default: SELECTOR-WHAT.png]"
)
@options.as_json
@click.pass_context
def command(
    ctx: click.Context,
    selectors: Sequence[str],
    what: str,
    metric: str | None,
    by: str | None,
    ensemble: str | None,
    labels: Sequence[str],
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
    from neurofit.plotting.curve_sets import Wish
    from neurofit.plotting.curves import MEDIAN, UPPER_QUARTILE
    from neurofit.plotting.pictures import Request, check_kind, check_options

    check_kind(what, selectors)
    check_options(what, _given(ctx), events=events is not None)
    percentiles = MEDIAN if median else UPPER_QUARTILE
    wish = Wish(metric, by, ensemble, percentiles, normalise_steps, limit, tuple(labels))
    chosen = tuple(selectors), wish, tuple(states), where, tuple(references), bands, neurons, events
    _draw(Request(what, *chosen), output, as_json)


def _draw(request: Any, output: Path | None, as_json: bool) -> None:
    from neurofit.plotting import style
    from neurofit.plotting.pictures import picture

    draws = output is not None or not as_json
    target = output or Path(f"{file_stem(request.selectors, request.what, request.events)}.png")
    if draws:
        style.installed()
        style.checked(target)
    study = None if request.events else options.here()
    with terminal.without_library_logs():  # a model's picture needs no word about its processor
        found = picture(study, request)
    if draws:
        style.save(found.draw(), target)
    if as_json:
        terminal.as_json({**found.facts, "notes": list(found.notes), "file": str(target) if draws else None})
        return
    terminal.table(found.headers, _fitting(found.headers, found.rows, terminal.width()))
    for note in found.notes:
        terminal.note(note)
    terminal.say(f"Drawn: {target}")
    _hint(request.selectors, request.what, found.shown)


def _given(ctx: click.Context) -> list[str]:
    """The options that were given, by their names."""
    from click.core import ParameterSource

    found = []
    for parameter in ctx.command.params:
        if ctx.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE:
            off = parameter.secondary_opts and not ctx.params[parameter.name]
            found.append((parameter.secondary_opts if off else parameter.opts)[-1])
    return found


def file_stem(selectors: Sequence[str], what: str, events: Path | None) -> str:
    """exp3-curves of exp3, exp3-1-0-tuning of exp3:1/0, exp1-0to4-and-exp2-curves of exp1:0-4 and exp2."""
    names = list(dict.fromkeys([events.name] if events else map(_stem, selectors)))
    while len("-and-".join(names)) > LONGEST and len(names) > 1:
        names = [*names[:-2], "more"] if names[-1] == "more" else [*names[:-1], "more"]
    return "-and-".join(names)[:LONGEST] + f"-{what}"


def _stem(selector: str) -> str:
    name, _, tasks = selector.strip().partition(":")
    numbers = tasks.replace(" ", "").replace("-", "to").replace(",", "+").replace("/", "-")
    return "-".join(filter(None, [name.strip("/").replace("/", "-").removesuffix(".py"), numbers]))


def _fitting(headers: Sequence[str], rows: Sequence[Sequence[Any]], width: int | None) -> list[list[Any]]:
    """The rows, their first cells cut in the middle so that all columns find room."""
    from neurofit.experiments.grid.params import cut

    if not rows or width is None:
        return [list(row) for row in rows]
    others = [
        max(len(str(one)) for one in column) + 2 for column in zip(headers[1:], *(row[1:] for row in rows))
    ]
    room = max(width - sum(others), NARROWEST)
    return [[cut(str(first), room, room - 1 - (room - 1) // 3), *rest] for first, *rest in rows]


def _hint(selectors: Sequence[str], what: str, shown: Any) -> None:
    """What to look at next, of a task that is drawn here."""
    from neurofit.plotting.drawings import is_loss
    from neurofit.plotting.pictures import OF_MODELS

    if shown is None:
        return
    if what == "curves":
        progress = [suggested("plot", shown.run, what="progress")] * any(map(is_loss, shown.logged))
        terminal.hint(*progress, next_command("results", selectors[0], by="run", metric=None))
    elif what in OF_MODELS:
        others = [kind for kind in OF_MODELS if kind != what]
        terminal.hint(suggested("plot", shown.name, what=others[0]))
    elif (shown.folder / "weights.weights.h5").exists():  # a model that can be looked at
        terminal.hint(suggested("plot", shown.name, what="receptive-fields"))
    else:
        terminal.hint(suggested("results", shown.run))
