"""Legends, titles of references and ticks: nothing covers data or overlaps."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pytest

from neurofit import plotting
from neurofit.errors import UsageError
from neurofit.plotting import lines
from neurofit.plotting.curves import History, over_repetitions

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture
def axes():
    return plotting.figure()[1][0, 0]


def one(label, steps=(1, 2, 3), **settings):
    return over_repetitions([History(steps, np.linspace(0.1, 0.4, len(steps)))], label, **settings)


def box(artist, axes):
    axes.figure.draw_without_rendering()
    return artist.get_window_extent()


@pytest.mark.parametrize("n", [1, 5, 28])
def test_a_legend_lies_below_its_axes_whatever_its_length(axes, n):
    plotting.draw_curves([one(f"a label of some length, {place}") for place in range(n)], axes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # that there was no room left for the axes
        legend = box(axes.get_legend(), axes)
    assert legend.y1 < axes.get_window_extent().y0 and legend.y0 >= 0
    assert axes.get_window_extent().height > 100


def test_a_legend_takes_nothing_of_the_width_of_its_axes():
    widths = []
    for label in ("x", "data=macaque_v1/01"):
        axes = plotting.figure(width=150, height=110)[1][0, 0]
        plotting.draw_curves([one(label) for _ in range(6)], axes)
        box(axes.get_legend(), axes)
        widths.append(axes.get_window_extent().width)
    assert widths[1] > 0.97 * widths[0]


def test_long_labels_are_broken(axes):
    plotting.draw_curves([one("filters=4, " * 30)], axes)
    assert box(axes.get_legend(), axes).x1 <= axes.figure.bbox.width


def test_a_legend_stays_below_its_own_panel():
    figure, axes = plotting.figure(1, 2, width=170)
    plotting.draw_curves([one(f"architecture={name} (off the grid)") for name in "abc"], axes[0, 0])
    assert box(axes[0, 0].get_legend(), axes[0, 0]).x1 <= axes[0, 1].get_window_extent().x0
    assert figure.get_size_inches()[1] == pytest.approx(80 / 25.4)


def test_places_are_pushed_apart_and_no_further():
    np.testing.assert_allclose(lines.move_apart([0, 10, 20], 5), [0, 10, 20])
    np.testing.assert_allclose(lines.move_apart([10, 11, 40], 5), [8, 13, 40])
    np.testing.assert_allclose(lines.move_apart([3, 3, 3], 2), [1, 3, 5])
    np.testing.assert_allclose(lines.move_apart([9, 0, 8], 4), [10.5, 0, 6.5])
    assert lines.move_apart([], 4).tolist() == []


def test_names_of_close_references_do_not_overlap(axes):
    close = [plotting.reference(f"{name}={value}") for name, value in zip("abc", (0.3, 0.301, 0.302))]
    plotting.draw_curves([one("x")], axes, references=close)
    boxes = sorted((box(text, axes) for text in axes.texts), key=lambda found: found.y0)
    assert len(boxes) == 3 and all(low.y1 <= high.y0 + 1 for low, high in pairwise(boxes))


def test_one_value_is_a_dot_between_limits(axes):
    plotting.draw_curves([one("x", steps=(7,))], axes)
    assert any(line.get_marker() == "o" for line in axes.lines)
    low, high = axes.get_xlim()
    assert low < 7 < high and 7 in axes.get_xticks()
    progress = plotting.figure()[1][0, 0]
    plotting.draw_progress({"train": [History([7], [0.5])]}, progress)
    assert progress.lines[0].get_marker() == "o" and progress.get_xlim()[0] < 7 < progress.get_xlim()[1]


def test_steps_are_whole_and_the_ends_have_room(axes):
    plotting.draw_curves([one("x", unit="epoch")], axes)
    low, high = axes.get_xlim()
    assert low < 1 and high > 3 and axes.get_xlabel() == "epoch"
    assert all(tick == round(tick) for tick in axes.get_xticks())
    other = plotting.draw_curves([one("x")], plotting.figure()[1][0, 0])
    assert other.get_xlabel() == "step"


def test_no_curves_are_an_error(axes):
    with pytest.raises(UsageError, match="no curves to draw"):
        plotting.draw_curves([], axes)


def test_recordings_are_named_once_and_lie_apart(axes):
    plotting.draw_neurons(
        np.arange(6.0), axes, numbers="012012", recordings=["m/01"] * 3 + ["m/02"] * 3, title="t"
    )
    assert [text.get_text() for text in axes.texts] == ["01", "02"]
    assert [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"] == [2.5]
    assert [text.get_text() for text in axes.get_xticklabels()] == list("012012")
    assert box(axes.texts[0], axes).y1 <= axes._left_title.get_window_extent().y0 + 1


def test_a_folder_that_cannot_be_written_is_named():
    with pytest.raises(UsageError, match=r"cannot be written"):
        plotting.save(plotting.figure()[0], "/proc/a.png")
