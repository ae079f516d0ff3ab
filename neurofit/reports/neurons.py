"""Neurons: a score of every one as bars; what one of them did, and what was predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from neurofit.reports.style import COLOURS, GREY, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@styled
def draw_neurons(
    scores: np.ndarray, axes: Axes, *, metric: str = "", numbers: Sequence[str] = (), title: str = ""
) -> Axes:
    """A bar per neuron, its median over repetitions, with a whisker from the 10th to the 90th percentile.

    Parameters
    ----------
    scores : (neuron,), or (repetition, neuron); nan where a neuron was not scored, which leaves its place empty
    metric : what they are, for the axis
    numbers : (neuron,) names; their places where there are none
    """
    scores = np.atleast_2d(np.asarray(scores, float))
    scored = np.isfinite(scores).any(axis=0)
    place, known = np.arange(scores.shape[1])[scored], scores[:, scored]
    middle, top, bottom = np.nanpercentile(known, (50, 90, 10), axis=0)
    axes.bar(place, middle, width=0.8, color=COLOURS[0], linewidth=0)
    if len(scores) > 1:
        axes.errorbar(place, middle, yerr=[middle - bottom, top - middle], fmt="none", ecolor="black", elinewidth=0.6)
    mean = float(np.mean(middle)) if len(middle) else np.nan
    axes.axhline(mean, color="black", linewidth=0.8, linestyle="--", label=f"mean {mean:.3f}")
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set(xlabel="neuron", ylabel=metric.replace("/", " "), title=title, xlim=(-0.8, scores.shape[1] - 0.2))
    if len(numbers):
        every = -(-scores.shape[1] // 25)
        axes.set_xticks(np.arange(0, scores.shape[1], every), [str(one) for one in numbers[::every]])
    axes.legend(loc="upper right", bbox_to_anchor=(1, 1.12))
    return axes


@styled
def draw_predictions(responses: np.ndarray, predictions: np.ndarray, axes: Axes, *, title: str = "") -> Axes:
    """One neuron's responses as dots and its predictions as a line, images by their prediction.

    responses, predictions : (image,); a response that is nan is left out
    """
    responses, predictions = np.asarray(responses, float), np.asarray(predictions, float)
    order = np.argsort(predictions, kind="stable")
    axes.plot(responses[order], ".", color=GREY, markersize=3, label="response")
    axes.plot(predictions[order], color=COLOURS[1], label="prediction")
    axes.set(xlabel="image, by its prediction", ylabel="response", title=title)
    axes.legend(loc="upper left")
    return axes
