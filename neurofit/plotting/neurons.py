"""Drawing neurons: a score of each as bars; responses and predictions of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from neurofit.plotting.style import COLOURS, GREY, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_TICKS = 25
LETTERS = 110  # that fit side by side above the axes


@styled
def draw_neurons(
    scores: np.ndarray,
    axes: Axes,
    *,
    metric: str = "",
    numbers: Sequence[str] = (),
    recordings: Sequence[str] = (),
    title: str = "",
) -> Axes:
    """Draw a bar per neuron, its median over repetitions, with a whisker from the 10th to the 90th percentile.

    Parameters
    ----------
    scores : ndarray of shape (neuron,) or (repetition, neuron)
        nan if a neuron was not scored, which leaves its place empty.
    axes : matplotlib.axes.Axes
        Where to draw.
    metric : str
        What the scores are, for the axis.
    numbers : sequence of str
        A name per neuron. By default their places.
    recordings : sequence of str
        The recording of each neuron. Neighbours of one recording are drawn together, with its name above and
        lines between recordings.
    title : str
        Above the axes.

    Returns
    -------
    matplotlib.axes.Axes
    """
    from matplotlib.transforms import ScaledTranslation

    scores = np.atleast_2d(np.asarray(scores, float))
    scored = np.isfinite(scores).any(axis=0)
    place, known = np.arange(scores.shape[1])[scored], scores[:, scored]
    middle, top, bottom = np.nanpercentile(known, (50, 90, 10), axis=0)
    axes.bar(place, middle, width=0.8, color=COLOURS[0], linewidth=0)
    if len(scores) > 1:
        axes.errorbar(
            place, middle, yerr=[middle - bottom, top - middle], fmt="none", ecolor="black", elinewidth=0.6
        )
    mean = float(np.mean(middle)) if len(middle) else np.nan
    of = "mean of medians" if len(scores) > 1 else "mean"
    axes.axhline(mean, color="black", linewidth=0.8, linestyle="--", label=f"{of} {mean:.3f}")
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set(xlabel="neuron", ylabel=metric.replace("/", " "), xlim=(-0.8, scores.shape[1] - 0.2))
    if len(numbers):
        every = -(-scores.shape[1] // MAX_TICKS)
        axes.set_xticks(np.arange(0, scores.shape[1], every), [str(one) for one in numbers[::every]])
    above = _recordings([str(one) for one in recordings], axes)
    axes.set_title(title, pad=above + 4)
    over = axes.transAxes + ScaledTranslation(0, (above + 2) / 72, axes.figure.dpi_scale_trans)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), bbox_transform=over, borderaxespad=0)
    return axes


def _recordings(recordings: Sequence[str], axes: Axes) -> float:
    """Draw lines between recordings and their names above, without a shared folder; return the height in points."""
    starts = [
        place for place in range(len(recordings)) if not place or recordings[place] != recordings[place - 1]
    ]
    if len(starts) < 2:
        return 0.0
    folders = {one.rpartition("/")[0] for one in recordings}
    names = [
        recordings[start].rpartition("/")[2] if len(folders) == 1 else recordings[start] for start in starts
    ]
    if len(folders) == 1 and folders != {""}:
        axes.set_xlabel(f"neuron of {folders.pop()}/…")
    longest, narrowest = max(map(len, names)), min(np.diff([*starts, len(recordings)])) / len(recordings)
    tilt = 30 if narrowest * LETTERS < longest else 0
    for start, name in zip(starts, names):
        if start:
            axes.axvline(start - 0.5, color=GREY, linewidth=0.6, linestyle=":")
        axes.annotate(
            name,
            (start - 0.5, 1),
            xycoords=axes.get_xaxis_transform(),
            xytext=(1, 2),
            textcoords="offset points",
            fontsize=6,
            color=GREY,
            rotation=tilt,
            annotation_clip=False,
        )
    return 8.0 + (1.8 * longest if tilt else 0.0)  # half of a letter's 3.6 points is height


@styled
def draw_predictions(responses: np.ndarray, predictions: np.ndarray, axes: Axes, *, title: str = "") -> Axes:
    """Draw the responses of one neuron as dots and its predictions as a line, images ordered by prediction.

    Parameters
    ----------
    responses, predictions : ndarray of shape (image,)
        A response that is nan is left out.
    axes : matplotlib.axes.Axes
        Where to draw.
    title : str
        Above the axes.

    Returns
    -------
    matplotlib.axes.Axes
    """
    responses, predictions = np.asarray(responses, float), np.asarray(predictions, float)
    order = np.argsort(predictions, kind="stable")
    axes.plot(responses[order], ".", color=GREY, markersize=3, label="response")
    axes.plot(predictions[order], color=COLOURS[1], label="prediction")
    axes.set(xlabel="image, by its prediction", ylabel="response", title=title)
    axes.legend(loc="upper left")
    return axes
