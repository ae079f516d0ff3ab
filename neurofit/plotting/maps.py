"""Drawing maps side by side in one Axes: filters, receptive fields, kernels, most exciting images; and points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from neurofit.errors import ShapeError
from neurofit.plotting.style import COLOURS, DIVERGING, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

GAP = 1  # pixels between two maps
MAX_LABELS = 100


@styled
def draw_maps(
    maps: np.ndarray,
    axes: Axes,
    *,
    labels: Sequence[str] = (),
    title: str = "",
    unit: str = "",
    shared: bool = False,
    columns: int | None = None,
) -> Axes:
    """Draw a grid of maps: white at 0, red above, blue below.

    Parameters
    ----------
    maps : ndarray of shape (map, height, width) or (map, height, width, channel)
        The channels of a map are neighbours in one row.
    axes : matplotlib.axes.Axes
        Where to draw.
    labels : sequence of str
        Above each map.
    title : str
        Above the axes.
    unit : str
        Of the values, at the colour bar.
    shared : bool
        Whether all maps have one scale. Otherwise each map's largest magnitude has full colour, and the bar
        says so.
    columns : int, optional
        How many maps are side by side. By default about as many as there are rows.

    Returns
    -------
    matplotlib.axes.Axes
    """
    flat, labels = _flat(np.asarray(maps, float), list(labels))
    largest = np.nanmax(np.abs(flat), axis=(1, 2), initial=0)[:, None, None]
    scale = max(float(largest.max()), 1e-12) if shared else np.maximum(largest, 1e-12)
    columns = columns or int(np.ceil(np.sqrt(1.6 * len(flat))))
    sheet, corners = _sheet(flat / scale, columns)
    image = axes.imshow(sheet, cmap=DIVERGING, vmin=-1, vmax=1, interpolation="nearest")
    if labels and len(flat) <= MAX_LABELS:
        for (y, x), label in zip(corners, labels):
            axes.text(x + 0.5, y + 0.5, label, fontsize=5, va="top", ha="left", color="black")
    axes.set_axis_off()
    axes.set_title(title)
    _bar(axes, image, unit, scale if shared else None)
    return axes


@styled
def draw_points(
    points: np.ndarray,
    axes: Axes,
    *,
    title: str = "",
    x_label: str = "x",
    y_label: str = "y",
    limits: tuple[float, float] = (-1.0, 1.0),
) -> Axes:
    """Draw points of an image, such as the centres of receptive fields; y increases downwards.

    Parameters
    ----------
    points : ndarray of shape (point, 2)
        y and x of each.
    axes : matplotlib.axes.Axes
        Where to draw.
    title, x_label, y_label : str
        Texts of the axes.
    limits : tuple of float
        Lowest and highest value of both axes.

    Returns
    -------
    matplotlib.axes.Axes
    """
    points = np.asarray(points, float)
    axes.scatter(points[:, 1], points[:, 0], s=10, color=COLOURS[0], alpha=0.7, linewidths=0)
    low, high = limits
    edge = 0.05 * (high - low)
    axes.set(
        xlim=(low - edge, high + edge),
        ylim=(high + edge, low - edge),
        aspect="equal",
        title=title,
        xlabel=x_label,
        ylabel=y_label,
    )
    return axes


def _flat(maps: np.ndarray, labels: list[str]) -> tuple[np.ndarray, list[str]]:
    if maps.ndim == 4:
        channels = maps.shape[-1]
        maps = np.moveaxis(maps, -1, 1).reshape(-1, *maps.shape[1:3])
        if channels > 1:
            labels = [f"{label}.{channel}" for label in labels for channel in range(channels)]
    if maps.ndim != 3 or not len(maps):
        raise ShapeError(
            f"maps has shape {maps.shape}, expected (map, height, width) or (map, height, width, channel) with at "
            "least one map."
        )
    return maps, labels


def _sheet(maps: np.ndarray, columns: int) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """All maps in one array, with gaps of nan, and the top left corner of each."""
    count, height, width = maps.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    sheet = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP), np.nan)
    corners = []
    for place, one in enumerate(maps):
        y, x = place // columns * (height + GAP), place % columns * (width + GAP)
        sheet[y : y + height, x : x + width] = one
        corners.append((y - 0.5, x - 0.5))
    return sheet, corners


def _bar(axes: Axes, image: AxesImage, unit: str, scale: float | None) -> None:
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.6, aspect=25, pad=0.02)
    bar.outline.set_visible(False)
    bar.set_ticks(
        [-1, 0, 1], labels=[f"{-scale:.3g}", "0", f"{scale:.3g}"] if scale else ["−max", "0", "max"]
    )
    bar.ax.tick_params(labelsize=6, length=2)
    bar.set_label(unit if scale else f"{unit}, each to its max", fontsize=6)
