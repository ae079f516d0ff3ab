"""What `neurofit plot` asks for, as a picture: which tasks or files, and which kind.

Kinds of pictures, and which options of `neurofit plot` go with which.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from neurofit.errors import UsageError, nearest
from neurofit.plotting import drawings, events, scores, views
from neurofit.plotting.curve_sets import MOST_CURVES, Made, Wish, made, named
from neurofit.plotting.drawings import Picture
from neurofit.plotting.groups import SELECTOR
from neurofit.plotting.references import reference
from neurofit.plotting.tasks import tasks
from neurofit.store.state import State
from neurofit.study import Study
from neurofit.tables.table import join_words


@dataclass(frozen=True)
class Request:
    """A picture as a user asks for it; the words are those of the options of `neurofit plot`."""

    what: str
    selectors: tuple[str, ...]
    wish: Wish
    states: tuple[State, ...] = ()
    where: str | None = None
    references: tuple[str, ...] = ()
    bands: bool = False
    neurons: str | None = None
    events: Path | None = None


def picture(study: Study | None, request: Request) -> Picture:
    """The picture that was asked for; `study` may be None for event files.

    Raises
    ------
    UsageError : options that do not go together, nothing to draw, or no such picture
    """
    _check(request)
    if request.events:
        return _curves(_of_events(request.events, request.wish), request)
    if request.what not in OF_TASKS:
        return _of_view(study, request)
    told, notes = tasks(
        study,
        request.selectors,
        request.states,
        request.where,
        histories=request.what in ("curves", "progress"),
        apart=request.wish.by == SELECTOR and request.what == "curves",
    )
    if request.what == "progress":
        found = drawings.of_progress(told)
    elif request.what == "neurons":
        found = scores.of_neurons(told, request.wish.metric)
    elif request.what == "predictions":
        found = scores.of_predictions(told)
    else:
        found = _curves(made(told, request.wish), request)
    return replace(found, notes=[*notes, *found.notes], shown=found.shown or told[0])


def numbers_of(text: str) -> list[int]:
    """[0, 1, 2, 17] of "0-2,17".

    Raises
    ------
    UsageError : it follows another grammar
    """
    found: list[int] = []
    for piece in text.split(","):
        first, dash, last = piece.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UsageError(
                f"--neurons {text}: '{piece}' is no number or range. Neurons are given as 0-8,17."
            )
        if dash and int(first) > int(last):
            raise UsageError(f"--neurons {text}: '{piece}' is the wrong way round.")
        found += range(int(first), int(last or first) + 1)
    return found


def _curves(curves: Made, request: Request) -> Picture:
    return drawings.of_curves(curves, [reference(name) for name in request.references], bands=request.bands)


def _of_view(study: Study, request: Request) -> Picture:
    (selector,) = request.selectors
    chosen = None if request.neurons is None else numbers_of(request.neurons)
    try:
        return views.of_view(selector, request.what, chosen, study)
    except UsageError as error:
        others = f"Pictures of experiments and runs are: {', '.join(OF_TASKS)}."
        raise UsageError(f"--what {request.what} shows the model of one task. {error} {others}") from error


def _of_events(folder: Path, wish: Wish) -> Made:
    tag, runs = events.repetitions(folder, wish.metric)
    if len(runs) > MOST_CURVES:
        raise UsageError(
            f"{folder} has {len(runs)} runs, more than can be told apart ({MOST_CURVES}): name a subfolder."
        )
    curves = named([wish.curve(found, name) for name, found in runs.items()], wish.names)
    return Made(tag, curves, [f"{one.label}: has one value." for one in curves if len(one.steps) == 1])


def _check(request: Request) -> None:
    limit = request.wish.limit
    if bool(request.selectors) == bool(request.events):
        raise UsageError("neurofit plot needs an experiment, as in `neurofit plot exp3`, or --events FOLDER.")
    if request.events and request.what != "curves":
        raise UsageError("--events draws curves, a line per run: --what does not go with it.")
    if request.wish.by and request.wish.ensemble:
        raise UsageError("--by pools runs, --ensemble joins populations: give one of them.")
    if request.what not in OF_TASKS and len(request.selectors) != 1:
        raise UsageError(
            f"--what {request.what} shows one task's model: neurofit plot exp3:0/0 --what {request.what}."
        )
    if limit and limit[0] > limit[1]:
        low, high = (f"{one:g}" for one in limit)
        raise UsageError(f"--limit {low} {high} is the wrong way round: --limit {high} {low}.")


OF_TASKS = ("curves", "progress", "neurons", "predictions")
OF_MODELS = ("filters", "receptive-fields", "readouts", "exciting-images", "tuning")
KINDS = (*OF_TASKS, *OF_MODELS)
EVENTS = "events"  # curves of other programs' files
CURVES = ("curves", EVENTS)
GO_WITH = {  # option → kinds; an option that is not here goes with all
    "--metric": (*CURVES, "neurons"),
    "--by": ("curves",),
    "--ensemble": ("curves",),
    "--label": CURVES,
    "--median": CURVES,
    "--upper-quartile": CURVES,
    "--normalise-steps": CURVES,
    "--limit": CURVES,
    "--reference": CURVES,
    "--bands": CURVES,
    "--neurons": OF_MODELS,
    "--state": OF_TASKS,
    "--where": OF_TASKS,
}


def check_kind(what: str, selectors: Iterable[str]) -> None:
    """
    Raises
    ------
    UsageError : no picture is called so; only a fit of one's own may have others, which one task's selector
    asks for
    """
    selectors = list(selectors)
    if what not in KINDS and not (len(selectors) == 1 and "/" in selectors[0].rpartition(":")[2]):
        raise UsageError(
            f"There is no picture '{what}'.{nearest(what, KINDS)} Of experiments and runs: "
            f"{', '.join(OF_TASKS)}. Of "
            f"one task's model: {', '.join(OF_MODELS)}, and what views of its own a fit has: exp3:0/0 "
            "--what NAME."
        )


def check_options(what: str, options: Iterable[str], *, events: bool = False) -> None:
    """
    Raises
    ------
    UsageError : one of these options has nothing to do with such a picture
    """
    kind = EVENTS if events else what if what in OF_TASKS else OF_MODELS[0]
    for option in options:
        if kind not in (goes_with := GO_WITH.get(option, (kind,))):
            kinds = [f"--what {one}" for one in goes_with if one != EVENTS] + ["--events"] * (
                EVENTS in goes_with
            )
            here = "--events" if events else f"--what {what}"
            raise UsageError(f"{option} goes with {join_words(kinds)}, not with {here}: leave it out.")
