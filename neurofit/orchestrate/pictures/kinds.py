"""Kinds of pictures, and which options of `neurofit plot` go with which."""

from __future__ import annotations

from collections.abc import Iterable

from neurofit.errors import UsageError, nearest
from neurofit.experiments.tables.results import spoken

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
            raise UsageError(f"{option} goes with {spoken(kinds)}, not with {here}: leave it out.")
