"""A picture of recordings: some images, and how many neurons have which response, reliability and share of data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from neurofit.plotting.distributions import draw_histogram
from neurofit.plotting.stimuli import draw_images
from neurofit.plotting.style import figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_IMAGES = 24


@styled
def draw_recordings(images: ArrayLike | None, numbers: Mapping[str, ArrayLike], *, title: str = "") -> Figure:
    """Draw images above, and below them one histogram over neurons per entry of `numbers`.

    Parameters
    ----------
    images : array_like, shape (image, height, width, channel), or None
        The first 24 are drawn; None for inputs that are no images.
    numbers : dict of str to array_like, shape (neuron,)
        By what the number is, for its axis. One without any number is left out.
    title : str
        Above the figure.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    known = {name: values for name, values in numbers.items() if np.isfinite(np.asarray(values, float)).any()}
    if images is None:
        made, axes = figure(1, max(len(known), 1), width=170, height=60, title=title)
        below = axes[0]
    else:
        shown = np.asarray(images)[:MOST_IMAGES]
        made = Figure(figsize=(170 / 25.4, 100 / 25.4))
        made.suptitle(title, x=0.01, ha="left", fontsize=9)
        grid = made.add_gridspec(2, max(len(known), 1), height_ratios=(0.8, 1))
        # two channels, or more than colours have, are drawn as their mean
        pictures = shown if shown.shape[-1] in (1, 3) else shown.mean(axis=-1, keepdims=True)
        draw_images(
            pictures, made.add_subplot(grid[0, :]), columns=12, title=f"The first {len(shown)} images"
        )
        below = np.array([made.add_subplot(grid[1, place]) for place in range(len(known))])
    for place, (name, values) in enumerate(known.items()):
        draw_histogram({"": values}, below[place], metric=name)
    return made
