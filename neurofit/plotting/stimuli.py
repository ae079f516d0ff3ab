"""Pictures of data: dissimilarities of images, images with their labels, and mean responses by label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from neurofit.errors import ShapeError
from neurofit.plotting.style import COLOURS, GREY, SEQUENTIAL, styled
from neurofit.text import cut

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LETTER = 3.1  # points, of a label below an image
LABEL_SHARE = 0.2  # of an image's height, for the label below
GAP_SHARE = 0.06  # of an image's width, between two images
MAX_BARS = 40  # with labels of full size


@styled
def draw_rdm(
    dissimilarities: ArrayLike,
    axes: Axes,
    *,
    labels: Sequence[str] | np.ndarray = (),
    title: str = "",
    unit: str = "1 − r",
) -> Axes:
    """Draw a dissimilarity matrix, images ordered by their label, with lines between labels.

    Parameters
    ----------
    dissimilarities : array_like, shape (image, image)
        As of `neurofit.scores.dissimilarities`, or `gram.dissimilarities()` for features.
    axes : matplotlib.axes.Axes
        Where to draw.
    labels : sequence of str, shape (image,)
        Such as the category of each image. Images of one label keep their order. Without labels, images are drawn
        in their order.
    title : str
        Above the axes.
    unit : str
        Of the dissimilarities, at the colour bar.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ShapeError
        The matrix is not (image, image), or there is not one label per image.
    """
    rdm = np.asarray(dissimilarities, float)
    if rdm.ndim != 2 or rdm.shape[0] != rdm.shape[1]:
        raise ShapeError(f"dissimilarities has shape {rdm.shape}, expected (image, image).")
    names = _one_per_image(labels, len(rdm))
    if len(names):
        order = np.argsort(names, kind="stable")
        rdm, names = rdm[np.ix_(order, order)], names[order]
    off_diagonal = rdm[~np.eye(len(rdm), dtype=bool)]
    off_diagonal = off_diagonal[np.isfinite(off_diagonal)]
    low, high = np.percentile(off_diagonal, (1, 99)) if len(off_diagonal) else (0.0, 1.0)
    image = axes.imshow(rdm, cmap=SEQUENTIAL, vmin=low, vmax=high, interpolation="nearest")
    if len(names):
        groups, starts, counts = np.unique(names, return_index=True, return_counts=True)
        middles = starts + (counts - 1) / 2
        axes.set_xticks(middles, groups, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(middles, groups)
        for start in starts[1:]:
            axes.axhline(start - 0.5, color="white", linewidth=0.6)
            axes.axvline(start - 0.5, color="white", linewidth=0.6)
        axes.tick_params(length=0)
    else:
        axes.set(xlabel="image", ylabel="image")
    axes.set_title(title)
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.6, aspect=25, pad=0.02, extend="both")
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=6, length=2)
    bar.set_label(unit, fontsize=7)
    return axes


@styled
def draw_images(
    images: ArrayLike,
    axes: Axes,
    *,
    labels: Sequence[str] | np.ndarray = (),
    columns: int | None = None,
    limits: tuple[float, float] | None = None,
    title: str = "",
) -> Axes:
    """Draw images side by side, each with its label below.

    Parameters
    ----------
    images : array_like, shape (image, height, width) or (image, height, width, channel)
        Grey (one channel) or RGB (three).
    axes : matplotlib.axes.Axes
        Where to draw.
    labels : sequence of str, shape (image,)
        Below each image; long ones are shortened in the middle.
    columns : int, optional
        How many images are side by side. By default somewhat more than there are rows.
    limits : tuple of float, optional
        The values of black and of white. Default: 0 and 255 for integers, otherwise the lowest and the highest.
    title : str
        Above the axes.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ShapeError
        There is no image, or images have another shape, or there is not one label per image.
    """
    given = np.asarray(images)
    pixels = given[..., None] if given.ndim == 3 else given
    if pixels.ndim != 4 or not len(pixels) or pixels.shape[-1] not in (1, 3):
        raise ShapeError(
            f"images has shape {given.shape}, expected (image, height, width), or (image, height, width, channel) "
            "with one or three channels, and at least one image."
        )
    names = _one_per_image(labels, len(pixels))
    integers = np.issubdtype(pixels.dtype, np.integer)
    low, high = limits or ((0, 255) if integers else (float(np.nanmin(pixels)), float(np.nanmax(pixels))))
    shades = np.clip((pixels.astype(float) - low) / max(high - low, 1e-12), 0, 1)
    count, height, width = shades.shape[:3]
    columns = min(columns or int(np.ceil(np.sqrt(1.6 * count))), count)
    rows = -(-count // columns)
    gap = max(1, round(GAP_SHARE * width))
    below = max(gap, round(LABEL_SHARE * height)) if len(names) else gap
    sheet = np.ones((rows * (height + below), columns * (width + gap) - gap, 3))
    for place, one in enumerate(shades):
        y, x = place // columns * (height + below), place % columns * (width + gap)
        sheet[y : y + height, x : x + width] = one
    axes.imshow(sheet, interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(title)
    if len(names):
        box = axes.get_window_extent()
        points = min(box.width / sheet.shape[1], box.height / sheet.shape[0]) * 72 / axes.figure.dpi
        letters = max(4, int((width + gap) * points / LETTER))
        for place, name in enumerate(names):
            y, x = place // columns * (height + below) + height, place % columns * (width + gap)
            shown = cut(str(name), letters, letters // 3)
            axes.text(x + width / 2 - 0.5, y, shown, fontsize=5.5, va="top", ha="center")
    return axes


@styled
def draw_means_by_label(
    responses: ArrayLike,
    labels: Sequence[str] | np.ndarray,
    axes: Axes,
    *,
    groups: Sequence[str] | np.ndarray = (),
    label: str = "object",
    unit: str = "response",
    title: str = "",
) -> Axes:
    """Draw the mean response of a neuron to the images of each label, highest first, with its standard error.

    Parameters
    ----------
    responses : array_like, shape (image,)
        Of one neuron; nan if missing.
    labels : sequence of str, shape (image,)
        Such as the object in each image.
    axes : matplotlib.axes.Axes
        Where to draw.
    groups : sequence of str, shape (image,)
        Such as the category of each image: the colour of its label's bar.
    label, unit : str
        Texts of the axes.
    title : str
        Above the axes.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ShapeError
        The responses are not of one neuron, or there is not one label and group per image.
    """
    y = np.asarray(responses, float)
    if y.ndim != 1 or not len(y):
        raise ShapeError(f"responses has shape {y.shape}, expected (image,): those of one neuron.")
    names, of_groups = _one_per_image(labels, len(y)), _one_per_image(groups, len(y))
    if not len(names):
        raise ShapeError(f"There are {len(y)} responses, but no labels. Give one label per image.")
    known = np.isfinite(y)
    y, names, of_groups = y[known], names[known], of_groups[known] if len(of_groups) else of_groups
    every, first, place, counts = np.unique(names, return_index=True, return_inverse=True, return_counts=True)
    means = np.bincount(place, y) / counts
    squares = np.bincount(place, (y - means[place]) ** 2)
    errors = np.sqrt(squares / np.maximum(counts - 1, 1) / counts)
    errors[counts < 2] = np.nan
    order = np.argsort(-means, kind="stable")
    kinds = of_groups[first] if len(of_groups) else np.array([""] * len(every))
    for number, kind in enumerate(np.unique(kinds)):
        at = np.flatnonzero(kinds[order] == kind)
        colour = (*COLOURS, GREY)[number % (len(COLOURS) + 1)]
        hatch = "////" if number > len(COLOURS) else None
        axes.bar(
            at, means[order][at], width=0.8, color=colour, linewidth=0, label=str(kind) or None, hatch=hatch
        )
    axes.errorbar(
        range(len(every)), means[order], yerr=errors[order], fmt="none", ecolor="#404040", elinewidth=0.6
    )
    axes.axhline(0, color="black", linewidth=0.6)
    shown = [cut(str(name), 24, 8) for name in every[order]]
    size = 7 if len(every) <= MAX_BARS else 5
    axes.set_xticks(range(len(every)), shown, rotation=90, fontsize=size)
    axes.set(xlabel=label, ylabel=f"mean {unit}", title=title, xlim=(-0.8, len(every) - 0.2))
    axes.tick_params(axis="x", length=0, pad=1)
    if len(of_groups):
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return axes


def _one_per_image(labels: Sequence[str] | np.ndarray, images: int) -> np.ndarray:
    names = np.asarray(labels).astype(str)
    if len(names) and names.shape != (images,):
        raise ShapeError(f"There are {images} images, but labels of shape {names.shape}. Give one per image.")
    return names
