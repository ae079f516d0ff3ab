"""What is drawn, read back from the figure; that it can be written; and that nothing else is changed."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from neurofit import plotting
from neurofit.errors import NameUnknown, ShapeError, UsageError, install
from neurofit.plotting.curves import History, over_repetitions

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture
def axes():
    return plotting.figure()[1][0, 0]


def curve(label="a", n=3, offset=0.0):
    return over_repetitions(
        [History([1, 2, 3], np.array([0.1, 0.2, 0.3]) + offset + r / 100, r) for r in range(n)],
        label,
        unit="epoch",
    )


def test_curves_have_their_middle_their_spread_and_a_name(axes):
    assert (
        plotting.draw_curves([curve(), curve("b", n=1, offset=0.5)], axes, metric="validation/correlation")
        is axes
    )
    shown = {line.get_label(): line for line in axes.lines}
    np.testing.assert_allclose(shown["a (n = 3)"].get_ydata(), [0.11, 0.21, 0.31])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a (n = 3)", "b (n = 1)"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "validation correlation")
    assert len(axes.containers) == 1  # error bars: of the curve with several repetitions
    segments = axes.containers[0][2][0].get_segments()
    np.testing.assert_allclose(segments[0][:, 1], [0.1 + 0.002, 0.1 + 0.018])


def test_the_part_that_not_all_reached_is_faint(axes):
    given = [History([1, 2], [0.1, 0.2]), History([1, 2, 3], [0.1, 0.2, 0.3])]
    plotting.draw_curves([over_repetitions(given, "a")], axes, bands=True)
    whole = next(line for line in axes.lines if line.get_label().startswith("a"))
    assert np.isnan(whole.get_ydata()).tolist() == [False, False, True]
    assert any(
        line.get_alpha() and line.get_alpha() < 0.5 and len(line.get_xdata()) == 3 for line in axes.lines
    )


def test_references_are_lines_and_bands(axes):
    plotting.draw_references([plotting.reference("hsm-runs/region1"), plotting.reference("ours=.47")], axes)
    assert [line.get_ydata()[0] for line in axes.lines] == [0.479, 0.47]
    assert [text.get_text() for text in axes.texts] == ["HSM, runs, region 1", "ours"]
    assert len(axes.patches) == 1
    with pytest.raises(NameUnknown, match="Did you mean 'lnp/region2'"):
        plotting.reference("lnp/regoin2")


def test_progress_marks_the_weights_that_were_kept(axes):
    losses = {"train": [History([1, 2, 3], [3, 2, 1])], "validation": [History([1, 2, 3], [4, 2.5, 3])]}
    plotting.draw_progress(losses, axes, stops=[2])
    dot = next(line for line in axes.lines if line.get_label() == "weights kept")
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (2, 2.5)


def test_bars_are_medians_over_repetitions_and_leave_out_the_unscored(axes):
    plotting.draw_neurons(
        [[0.1, np.nan, 0.5], [0.3, np.nan, 0.7]], axes, metric="test/correlation", numbers="789"
    )
    assert [round(bar.get_height(), 6) for bar in axes.patches] == [0.2, 0.6]
    assert [bar.get_x() + bar.get_width() / 2 for bar in axes.patches] == [0, 2]
    assert axes.get_legend().get_texts()[0].get_text() == "mean of medians 0.400"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["7", "8", "9"]


def test_predictions_are_sorted_with_their_responses(axes):
    plotting.draw_predictions([1, np.nan, 3], [30, 20, 10], axes)
    responses, predictions = axes.lines
    np.testing.assert_array_equal(responses.get_ydata(), [3, np.nan, 1])
    assert predictions.get_ydata().tolist() == [10, 20, 30]


def test_maps_lie_side_by_side_each_to_its_largest(axes):
    maps = np.zeros((3, 2, 2))
    maps[0, 0, 0], maps[1, 1, 1], maps[2] = 4, -2, 1
    plotting.draw_maps(maps, axes, labels="abc", columns=2)
    sheet = np.ma.filled(axes.images[0].get_array(), np.nan)
    nan = np.nan
    np.testing.assert_array_equal(
        sheet,
        [
            [1, 0, nan, 0, 0],
            [0, 0, nan, 0, -1],
            [nan] * 5,
            [1, 1, nan, nan, nan],
            [1, 1, nan, nan, nan],
        ],
    )
    assert [text.get_text() for text in axes.texts] == ["a", "b", "c"]
    shared = plotting.draw_maps(maps, plotting.figure()[1][0, 0], shared=True).images[0].get_array()
    assert np.nanmin(np.ma.filled(shared, np.nan)) == -0.5
    with pytest.raises(ShapeError, match="expected"):
        plotting.draw_maps(np.zeros((2, 2)), axes)


def test_channels_are_neighbours(axes):
    plotting.draw_maps(np.ones((2, 3, 3, 2)), axes, labels="ab", columns=4)
    assert [text.get_text() for text in axes.texts] == ["a.0", "a.1", "b.0", "b.1"]


def test_many_lines_are_grey_with_their_median_a_few_have_names(axes):
    y = np.arange(20.0).reshape(10, 2)
    plotting.draw_lines([1, 2], y, axes, labels=[f"neuron {n}" for n in range(10)], x_label="size [pixels]")
    assert axes.get_legend().get_texts()[0].get_text() == "median of 10"
    np.testing.assert_allclose(axes.lines[-1].get_ydata(), np.median(y, axis=0))
    few = plotting.draw_lines([1, 2], y[:2], plotting.figure()[1][0, 0], labels=["x", "y"], x_scale="log")
    assert [text.get_text() for text in few.get_legend().get_texts()] == ["x", "y"]


def test_positions_have_y_downwards_as_images(axes):
    plotting.draw_points([[0.5, -1.0]], axes)
    assert axes.collections[0].get_offsets().tolist() == [[-1.0, 0.5]]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]


@pytest.mark.parametrize("end", ["png", "pdf", "svg"])
def test_a_picture_is_written_whole_and_alone(tmp_path, end):
    figure, axes = plotting.figure()
    plotting.draw_curves([curve()], axes[0, 0])
    assert plotting.save(figure, tmp_path / f"a.{end}").stat().st_size > 1000
    assert [path.name for path in tmp_path.iterdir()] == [f"a.{end}"]


def test_a_place_where_no_picture_can_be_written_is_named(tmp_path):
    figure, _ = plotting.figure()
    with pytest.raises(UsageError, match=r"must end in .png, .pdf, .svg"):
        plotting.save(figure, tmp_path / "a.gif")
    with pytest.raises(UsageError, match="does not exist"):
        plotting.save(figure, tmp_path / "b" / "a.png")


def test_settings_of_matplotlib_stay_as_they_were():
    before = dict(matplotlib.rcParams)
    axes = plotting.figure()[1]
    plotting.draw_curves([curve()], axes[0, 0])
    assert dict(matplotlib.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or sys.modules["matplotlib.pyplot"].get_fignums() == []


@pytest.mark.process
def test_without_matplotlib_there_are_numbers_and_words():
    code = (
        "import sys; sys.modules['matplotlib'] = None\nfrom neurofit import "
        "reports\nprint(reports.over_repetitions([reports.History([1], [2.0])]).middle[0])\nreports.figure()"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert answer.stdout == "2.0\n"
    assert install("plots") in answer.stderr
