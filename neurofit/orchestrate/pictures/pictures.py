"""What `neurofit plot` asks for, as a picture: which tasks or files, and which kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from neurofit.errors import UsageError
from neurofit.experiments.store.state import State
from neurofit.orchestrate.pictures import drawings
from neurofit.orchestrate.pictures.curves import MOST_CURVES, Made, Wish, made, tasks
from neurofit.orchestrate.pictures.drawings import Picture
from neurofit.reports import events
from neurofit.reports.curves import over_repetitions
from neurofit.reports.references import reference
from neurofit.study import Study

OF_TASKS = ("curves", "progress", "neurons", "predictions")  # any other is a view of a model, known to its fit


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
        (selector,) = request.selectors
        chosen = None if request.neurons is None else numbers_of(request.neurons)
        try:
            return drawings.of_view(selector, request.what, chosen, study.root)
        except UsageError as error:
            others = f"Pictures of experiments and runs are: {', '.join(OF_TASKS)}."
            raise UsageError(f"--what {request.what} shows the model of one task. {error} {others}") from error
    told, problems = tasks(study, request.selectors, request.states, request.where)
    if request.what == "progress":
        found = drawings.of_progress(told)
    elif request.what == "neurons":
        found = drawings.of_neurons(told, request.wish.metric)
    elif request.what == "predictions":
        found = drawings.of_predictions(told)
    else:
        found = _curves(made(told, request.wish), request)
    return Picture(found.facts, found.headers, found.rows, found.draw, [*problems, *found.notes])


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
            raise UsageError(f"--neurons {text}: '{piece}' is no number or range. Neurons are given as 0-8,17.")
        found += range(int(first), int(last or first) + 1)
    return found


def _curves(curves: Made, request: Request) -> Picture:
    return drawings.of_curves(curves, [reference(name) for name in request.references], bands=request.bands)


def _of_events(folder: Path, wish: Wish) -> Made:
    tag, runs = events.repetitions(folder, wish.metric)
    if len(runs) > MOST_CURVES:
        raise UsageError(
            f"{folder} has {len(runs)} runs, more than can be told apart ({MOST_CURVES}): name a subfolder."
        )
    settings = {"percentiles": wish.percentiles, "normalise_steps": wish.normalise_steps, "limit": wish.limit}
    return Made(tag, [over_repetitions(found, name, **settings) for name, found in runs.items()], [])


def _check(request: Request) -> None:
    if bool(request.selectors) == bool(request.events):
        raise UsageError("neurofit plot needs an experiment, as in `neurofit plot exp3`, or --events FOLDER.")
    if request.events and (request.what != "curves" or request.wish.by or request.wish.ensemble):
        raise UsageError("--events draws curves, a line per run: neither --what, --by nor --ensemble goes with it.")
    if request.wish.by and request.wish.ensemble:
        raise UsageError("--by pools runs, --ensemble joins populations: give one of them.")
    if request.what not in OF_TASKS and len(request.selectors) != 1:
        raise UsageError(f"--what {request.what} shows one task's model: neurofit plot exp3:0/0 --what {request.what}.")
    if request.neurons is not None and request.what in OF_TASKS:
        raise UsageError(f"--neurons chooses neurons of a model: it does not go with --what {request.what}.")
