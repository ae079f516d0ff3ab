"""What `neurofit plot` was asked to draw: the kinds of pictures, the options that go with each, and the picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from neurofit.errors import UsageError, nearest
from neurofit.plotting import events
from neurofit.plotting.curve_sets import MAX_CURVES, CurveOptions, CurveSet, make_curves, rename_curves
from neurofit.plotting.groups import SELECTOR
from neurofit.plotting.pictures import (
    Picture,
    curves_picture,
    neurons_picture,
    predictions_picture,
    progress_picture,
    view_picture,
)
from neurofit.plotting.references import reference
from neurofit.plotting.score_pictures import histogram_picture, over_axis_picture, scatter_picture
from neurofit.plotting.search_numbers import search_numbers
from neurofit.plotting.search_pictures import search_picture
from neurofit.plotting.tasks import select_tasks
from neurofit.store.state import State
from neurofit.study import Study
from neurofit.tables.table import join_words

OVER_AXIS = "over-axis"
OF_TASKS = ("curves", "progress", OVER_AXIS, "neurons", "histogram", "scatter", "predictions")
OF_MODELS = ("filters", "receptive-fields", "readouts", "exciting-images", "tuning")
SEARCH = "search"  # of an experiment, whose script is loaded
KINDS = (*OF_TASKS, SEARCH, *OF_MODELS)
EVENTS = "events"  # curves of files of other programs
_CURVES = ("curves", EVENTS)
_KINDS_OF_OPTION = {  # an option that is not listed goes with all kinds
    "--metric": (*_CURVES, OVER_AXIS, "neurons", "histogram", "scatter"),
    "--by": ("curves", OVER_AXIS),
    "--over": (OVER_AXIS,),
    "--average": (OVER_AXIS,),
    "--ensemble": ("curves",),
    "--label": _CURVES,
    "--median": _CURVES,
    "--upper-quartile": _CURVES,
    "--normalise-steps": _CURVES,
    "--limit": _CURVES,
    "--reference": _CURVES,
    "--bands": _CURVES,
    "--neurons": OF_MODELS,
    "--best-by": (*OF_TASKS, *OF_MODELS),
    "--state": OF_TASKS,
    "--where": (*OF_TASKS, SEARCH),
}


@dataclass(frozen=True)
class PlotRequest:
    """A picture to draw; the fields are the options of `neurofit plot`."""

    what: str
    selectors: tuple[str, ...]
    options: CurveOptions
    states: tuple[State, ...] = ()
    where: str | None = None
    references: tuple[str, ...] = ()
    bands: bool = False
    neurons: str | None = None
    events: Path | None = None
    over: str | None = None
    average: str = "mean"
    best_by: str | None = None


def check_kind(what: str, selectors: Iterable[str]) -> None:
    """Check that there is such a picture. A fit may define views of its own, shown for a single task.

    Raises
    ------
    UsageError
    """
    selectors = list(selectors)
    if what not in KINDS and not (len(selectors) == 1 and "/" in selectors[0].rpartition(":")[2]):
        raise UsageError(
            f"There is no picture '{what}'.{nearest(what, KINDS)} Pictures of experiments and runs: "
            f"{', '.join((*OF_TASKS, SEARCH))}. Pictures of the model of one task: {', '.join(OF_MODELS)}, and any "
            "view that its fit defines, such as exp3:0/0 --what NAME."
        )


def check_options(what: str, options: Iterable[str], *, events: bool = False) -> None:
    """Check that these options apply to a kind of picture.

    Raises
    ------
    UsageError
    """
    kind = EVENTS if events else what if what in (*OF_TASKS, SEARCH) else OF_MODELS[0]
    for option in options:
        kinds = _KINDS_OF_OPTION.get(option, (kind,))
        if kind not in kinds:
            listed = [f"--what {one}" for one in kinds if one != EVENTS]
            listed += ["--events"] * (EVENTS in kinds)
            here = "--events" if events else f"--what {what}"
            raise UsageError(f"{option} goes with {join_words(listed)}, not with {here}. Remove it.")


def make_picture(study: Study | None, request: PlotRequest) -> Picture:
    """Read what was asked for and make the picture.

    Parameters
    ----------
    study : Study, optional
        Not needed for event files.

    Raises
    ------
    UsageError
        Options contradict each other, there is nothing to draw, or there is no such picture.
    """
    _check(request)
    references = [reference(name) for name in request.references]
    if request.events:
        return curves_picture(_event_curves(request.events, request.options), references, bands=request.bands)
    assert study is not None
    if request.what == SEARCH:
        return search_picture(search_numbers(study, request.selectors[0], request.where))
    if request.what not in OF_TASKS:
        return _view_picture(study, request)
    pairs = request.what == "scatter" and len(set(request.selectors)) == 2
    tasks, notes = select_tasks(
        study,
        request.selectors,
        request.states,
        request.where,
        histories=request.what in ("curves", "progress"),
        best_by=request.best_by,
        per_selector=(request.options.by == SELECTOR and request.what in ("curves", OVER_AXIS)) or pairs,
    )
    if request.what == "progress":
        picture = progress_picture(tasks)
    elif request.what == OVER_AXIS:
        assert request.over is not None
        picture = over_axis_picture(
            tasks, request.over, request.options.by, request.options.metric, request.average
        )
    elif request.what == "scatter":
        picture = scatter_picture(tasks, request.options.metric, by_selector=pairs)
    elif request.what == "histogram":
        picture = histogram_picture(tasks, request.options.metric)
    elif request.what == "neurons":
        picture = neurons_picture(tasks, request.options.metric)
    elif request.what == "predictions":
        picture = predictions_picture(tasks)
    else:
        picture = curves_picture(make_curves(tasks, request.options), references, bands=request.bands)
    return replace(picture, notes=[*notes, *picture.notes], first_task=picture.first_task or tasks[0])


def parse_neurons(text: str) -> list[int]:
    """Parse a list of neurons: [0, 1, 2, 17] for "0-2,17".

    Raises
    ------
    UsageError
        The text is not such a list.
    """
    neurons: list[int] = []
    for piece in text.split(","):
        first, dash, last = piece.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UsageError(
                f"--neurons {text}: '{piece}' is not a number or range. Write neurons like 0-8,17."
            )
        if dash and int(first) > int(last):
            raise UsageError(f"--neurons {text}: the range '{piece}' must be ascending: {last}-{first}.")
        neurons += range(int(first), int(last or first) + 1)
    return neurons


def _view_picture(study: Study, request: PlotRequest) -> Picture:
    (selector,) = request.selectors
    neurons = None if request.neurons is None else parse_neurons(request.neurons)
    try:
        return view_picture(selector, request.what, neurons, study, request.best_by)
    except UsageError as error:
        others = f"Pictures of experiments and runs: {', '.join(OF_TASKS)}."
        raise UsageError(f"--what {request.what} shows the model of one task. {error} {others}") from error


def _event_curves(folder: Path, options: CurveOptions) -> CurveSet:
    tag, runs = events.repetitions(folder, options.metric)
    if len(runs) > MAX_CURVES:
        raise UsageError(
            f"{folder} has {len(runs)} runs, but one picture shows at most {MAX_CURVES}. Give a subfolder."
        )
    curves = [options.curve(histories, name) for name, histories in runs.items()]
    curves = rename_curves(curves, options.names)
    return CurveSet(
        tag, curves, [f"{one.label} has a single value." for one in curves if len(one.steps) == 1]
    )


def _check(request: PlotRequest) -> None:
    limit = request.options.limit
    if bool(request.selectors) == bool(request.events):
        raise UsageError(
            "Give an experiment to plot, as in `neurofit plot exp3`, or --events FOLDER, not both."
        )
    if request.events and request.what != "curves":
        raise UsageError(f"--events draws curves, one line per run. Remove --what {request.what}.")
    if request.what == OVER_AXIS and not request.over:
        raise UsageError(
            f"--what {OVER_AXIS} needs the argument on the x axis, as in `neurofit plot "
            f"{request.selectors[0]} --what {OVER_AXIS} --over layer --by weights`."
        )
    if request.options.by and request.options.ensemble:
        raise UsageError("--by pools runs, --ensemble joins populations: give only one of them.")
    if request.what == SEARCH and len(request.selectors) != 1:
        raise UsageError(
            f"--what {SEARCH} draws the search of one experiment, as in `neurofit plot {request.selectors[0]} --what "
            f"{SEARCH}`."
        )
    if request.what not in OF_TASKS and len(request.selectors) != 1:
        raise UsageError(
            f"--what {request.what} shows the model of one task, as in `neurofit plot exp3:0/0 --what "
            f"{request.what}`."
        )
    if limit and limit[0] > limit[1]:
        low, high = (f"{number:g}" for number in limit)
        raise UsageError(
            f"--limit {low} {high}: the first step must come before the last: --limit {high} {low}."
        )
