"""Figures: their style and colours, making and saving them. Needs no display and keeps no state (no pyplot)."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from neurofit.errors import UsageError, install
from neurofit.files import check_place

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
)  # doi:10.1038/nmeth.1618
DASHES = ("-", "--", ":", "-.")  # the next one after all colours
GREY = "#7f7f7f"
DIVERGING = "RdBu_r"  # blue below 0, red above, white between
SEQUENTIAL = "cividis"  # looks the same to people who see fewer colours
FORMATS = ("png", "pdf", "svg")
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 300,
    "figure.dpi": 150,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "axes.titlelocation": "left",
    "savefig.bbox": "tight",
    "savefig.pad_inches": 0.03,
}


def require_matplotlib() -> None:
    """Check that matplotlib is installed.

    Raises
    ------
    UsageError
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UsageError(
            f"Drawing needs matplotlib, which is not installed: {install('plots')}. To write the numbers without a "
            "picture, use `neurofit plot … --json`."
        ) from None


def styled(draw: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Decorate a function that draws: it uses neurofit's style, and leaves matplotlib's settings unchanged."""

    @functools.wraps(draw)
    def drawn(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        require_matplotlib()
        from matplotlib import rc_context

        with rc_context(STYLE):
            return draw(*arguments, **named)

    return drawn


@styled
def figure(
    rows: int = 1,
    columns: int = 1,
    *,
    width: float = 120,
    height: float = 80,
    ratios: tuple[float, ...] | None = None,
    title: str = "",
) -> tuple[Figure, np.ndarray]:
    """A figure and its Axes.

    Parameters
    ----------
    rows, columns : int
        Of Axes.
    width, height : float
        Of the figure [mm].
    ratios : tuple of float, optional
        Of the rows' heights.
    title : str
        Above all Axes.

    Returns
    -------
    figure : matplotlib.figure.Figure
    axes : ndarray of shape (row, column)
    """
    from matplotlib.figure import Figure

    made = Figure(figsize=(width / 25.4, height / 25.4))
    if title:
        made.suptitle(title, x=0.01, ha="left", fontsize=9)
    return made, made.subplots(rows, columns, squeeze=False, height_ratios=ratios)


@styled
def save(figure: Figure, path: Path | str) -> Path:
    """Write a figure as png, pdf or svg, by the end of the name, whole or not at all.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What to write.
    path : Path or str
        Where to write.

    Returns
    -------
    Path

    Raises
    ------
    UsageError
        The name has another end, or its folder is missing or cannot be written into.
    """
    path = check_path(path)
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        figure.savefig(partial)
        partial.replace(path)
    except OSError as error:
        why = error.strerror or error
        raise UsageError(f"{path} cannot be written: {why}. Choose another place with -o FILE.") from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    return path


def check_path(path: Path | str) -> Path:
    """Check that a picture can be written to a path.

    Raises
    ------
    UsageError
        The name has another end, its folder is missing, or it is a folder.
    """
    path = Path(path)
    if path.suffix.lower().lstrip(".") not in FORMATS:
        raise UsageError(f"{path}: the file name must end in {', '.join(f'.{one}' for one in FORMATS)}.")
    check_place(path, "picture.png")
    return path


def line_style(place: int) -> dict[str, Any]:
    """Colour and dashes of the line at this place in the list of lines."""
    return {
        "color": COLOURS[place % len(COLOURS)],
        "linestyle": DASHES[place // len(COLOURS) % len(DASHES)],
    }
