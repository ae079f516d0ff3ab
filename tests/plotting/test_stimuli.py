"""Pictures of data: dissimilarities, images and mean responses, read back from the figure."""

from __future__ import annotations

import numpy as np
import pytest

from neurofit import plotting
from neurofit.errors import ShapeError

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture
def axes():
    return plotting.figure()[1][0, 0]


def test_dissimilarities_are_ordered_by_label(axes):
    rdm = np.array([[0, 1, 2, 3], [1, 0, 4, 5], [2, 4, 0, 6], [3, 5, 6, 0]])
    plotting.draw_rdm(rdm, axes, labels=["face", "car", "face", "car"])
    order = [1, 3, 0, 2]
    np.testing.assert_array_equal(axes.images[0].get_array(), rdm[np.ix_(order, order)])
    assert [text.get_text() for text in axes.get_yticklabels()] == ["car", "face"]
    assert list(axes.get_yticks()) == [0.5, 2.5]
    with pytest.raises(ShapeError, match="4 images, but labels of shape"):
        plotting.draw_rdm(rdm, axes, labels=["face"])
    with pytest.raises(ShapeError, match="expected"):
        plotting.draw_rdm(rdm[:2], axes)


def test_images_keep_their_colours_and_have_labels_below(axes):
    images = np.zeros((3, 10, 10, 3), np.uint8)
    images[1] = 255, 0, 51
    plotting.draw_images(
        images, axes, labels=["a", "b", "a name that is much too long to be shown"], columns=2
    )
    sheet = axes.images[0].get_array()
    np.testing.assert_allclose(sheet[5, 16], [1, 0, 0.2])
    np.testing.assert_allclose(sheet[17, 5], [0, 0, 0])
    np.testing.assert_allclose(sheet[17, 16], [1, 1, 1])  # no fourth image
    texts = [text.get_text() for text in axes.texts]
    assert texts[:2] == ["a", "b"] and "…" in texts[2]
    grey = np.linspace(-1, 1, 8).reshape(2, 2, 2)
    plotting.draw_images(grey, plotting.figure()[1][0, 0])
    with pytest.raises(ShapeError, match=r"\(2, 3, 3, 2\)"):
        plotting.draw_images(np.zeros((2, 3, 3, 2)), axes)


def test_means_are_sorted_and_coloured_by_group(axes):
    plotting.draw_means_by_label(
        [1, 3, 8, 6, np.nan, -1],
        ["ant", "ant", "bus", "bus", "bus", "cat"],
        axes,
        groups=["animal", "animal", "car", "car", "car", "animal"],
    )
    assert [text.get_text() for text in axes.get_xticklabels()] == ["bus", "ant", "cat"]
    heights = {bar.get_x() + 0.4: bar.get_height() for bar in axes.patches}
    assert heights == pytest.approx({0.0: 7, 1.0: 2, 2.0: -1})
    segments = axes.containers[-1][2][0].get_segments()
    np.testing.assert_allclose(segments[0][:, 1], [6, 8])  # one standard error
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["animal", "car"]
    with pytest.raises(ShapeError, match="those of one neuron"):
        plotting.draw_means_by_label(np.zeros((3, 2)), ["a"] * 3, axes)


def test_lines_over_an_axis_have_gaps_and_bands(axes):
    plotting.draw_over_axis(
        {"trained": [[0.1, 0.2, 0.3], [0.4], []], "random": [[0.0], [0.1], [0.2]]},
        axes,
        values=["conv1", "layer2", "layer3"],
        axis="layer",
    )
    shown = {line.get_label(): line.get_ydata() for line in axes.lines}
    np.testing.assert_allclose(shown["trained (n = 3)"], [0.2, 0.4, np.nan])
    assert [text.get_text() for text in axes.get_xticklabels()] == ["conv1", "layer2", "layer3"]
    assert len(axes.collections) == 1  # the band of the line with repetitions
    with pytest.raises(ShapeError, match="scores for 2 values, expected 3"):
        plotting.draw_over_axis({"a": [[1], [2]]}, axes, values=["x", "y", "z"])


def test_a_scatter_leaves_out_neurons_without_both_scores(axes):
    plotting.draw_scatter([0.1, 0.5, np.nan], [0.2, 0.4, 0.3], axes)
    assert len(axes.collections[0].get_offsets()) == 2
    assert axes.get_title(loc="left") == "1 of 2 neurons above the line"
    with pytest.raises(ShapeError, match="the same neurons"):
        plotting.draw_scatter([0.1], [0.2, 0.4], axes)


def test_a_histogram_says_its_medians(axes):
    plotting.draw_histogram({"a": [0.1, 0.2, 0.9, np.nan], "b": [0.5, 0.7]}, axes, metric="test/correlation")
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == ["a, median 0.200 (n = 3)", "b, median 0.600 (n = 2)"]
    with pytest.raises(ShapeError, match="no score"):
        plotting.draw_histogram({"a": [np.nan]}, axes)
