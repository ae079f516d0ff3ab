"""The picture of a search, read back from the figure; and its numbers."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

import neurofit as nf
from neurofit.experiments.experiment import Run
from neurofit.plotting.search_numbers import SearchNumbers, facts, share
from neurofit.plotting.search_pictures import search_picture
from neurofit.plotting.searches import draw_searches
from neurofit.plotting.style import save
from neurofit.suggestions.axes import axes
from neurofit.suggestions.point_searches import PointSearch, SearchedTrial
from neurofit.suggestions.suggesting import Request, suggest
from neurofit.suggestions.trial import KnownTrial

matplotlib = pytest.importorskip("matplotlib")
WIDE = {
    "rate": nf.log_uniform(1e-5, 1e-1),
    "units": nf.integers(8, 256, log=True),
    "kind": ["relu", "a very long name of a choice", None, [1, 2]],
    **{f"a_rather_long_argument_{number}": nf.uniform(0, 1) for number in range(9)},
}


def made(
    arguments: dict, count: int, direction: str = "maximize", states=("done",), label: str = "", **given
):
    search = nf.search(
        arguments, trials=count, metric="validation/correlation", direction=direction, sampler="random"
    ).search
    known = []
    for number in range(count):
        values = suggest(Request(search, {}, number, "exp3", "group"), [])
        state = states[number % len(states)]
        value = math.sin(number) if state == "done" else None
        known.append(KnownTrial(number, state, values, value))
    return numbers(search, known, label, **given)


def numbers(search, known, label: str = "", **given) -> SearchNumbers:
    base = Run(0, "1" * 16, "f", {}, {}, trial=0, group="2" * 16)
    trials = tuple(SearchedTrial(one.number, one, one.values) for one in known)
    point = PointSearch(search, label, base, {one.number: one.number for one in known}, trials)
    given = given or {"no_importances": "Importances need more."}
    return SearchNumbers(point, axes(search, {}, known), **given)


def panels(figure) -> list:
    """Every panel but colour bars."""
    return [one for one in figure.get_axes() if one.get_label() != "<colorbar>" and one.get_visible()]


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_history_shows_values_the_best_so_far_and_trials_without_a_value(direction):
    one = made({"x": nf.uniform(0, 1)}, 12, direction, ("done", "done", "pruned", "failed"))
    history = panels(draw_searches([one]))[0]
    shown = {part.get_label(): part.get_offsets() for part in history.collections}
    done = [number for number in range(12) if number % 4 < 2]
    np.testing.assert_allclose(shown["finished"], [(number, math.sin(number)) for number in done])
    assert shown["pruned"][:, 0].tolist() == [2, 6, 10] and shown["failed"][:, 0].tolist() == [3, 7, 11]
    (line,) = history.lines
    best = (np.maximum if direction == "maximize" else np.minimum).accumulate(np.sin(done))
    np.testing.assert_allclose(line.get_ydata(), [*best, best[-1]])
    assert line.get_xdata()[-1] == 11
    assert (line.get_label(), history.get_xlabel()) == ("best so far", "trial")


def test_a_slice_has_the_axis_of_its_range():
    one = made(WIDE, 30)
    found = {panel.get_xlabel(): panel for panel in panels(draw_searches([one]))}
    assert found["rate"].get_xscale() == found["units"].get_xscale() == "log"
    assert found["a_rather_long_argument_0"].get_xscale() == "linear"
    low, high = found["rate"].get_xlim()
    assert low < 1e-5 and high > 1e-1
    texts = [text.get_text() for text in found["kind"].get_xticklabels()]
    assert texts == ["relu", "a very long n…", "None", "[1, 2]"]
    places = found["kind"].collections[0].get_offsets()[:, 0]
    kinds = [
        ["relu", "a very long name of a choice", None, [1, 2]].index(trial.known.values["kind"])
        for trial in one.finished()
    ]
    assert np.abs(places - kinds).max() <= 0.5
    assert found["rate"].collections[0].get_array().tolist() == list(range(30)), "the colour is the trial"


@pytest.mark.parametrize("count", [1, 10, 500])
@pytest.mark.parametrize("arguments", [1, 3, 12])
def test_any_number_of_arguments_and_trials_can_be_drawn(arguments, count, tmp_path):
    some = dict(list(WIDE.items())[:arguments])
    one = made(some, count, states=("done", "pruned", "done", "failed", "open"), importances={"rate": 1.0})
    figure = draw_searches([one])
    slices = arguments
    assert len(panels(figure)) == 2 + slices + (arguments > 1)
    path = save(figure, tmp_path / "search.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_lines_pass_through_the_arguments_with_the_best_one_on_top():
    one = made({"x": nf.uniform(0, 2), "n": nf.integers(1, 9), "rate": nf.log_uniform(1e-4, 1)}, 20)
    parallel = panels(draw_searches([one]))[-1]
    best = one.best()
    assert best.number == max(range(20), key=math.sin)
    values = best.known.values
    (line,) = parallel.lines
    expected = [values["x"] / 2, (values["n"] - 1) / 8, 1 + math.log10(values["rate"]) / 4]
    np.testing.assert_allclose(line.get_ydata(), expected)
    assert f"trial {best.number}, run {best.run}" in parallel.get_title(loc="left")
    lines = next(part for part in parallel.collections if len(part.get_segments()) == 19)
    darkness = 1 - np.mean(lines.get_colors()[:, :3], axis=1)
    assert darkness[-1] > darkness[0], "the worst is drawn first, and is the lightest"


def test_trials_without_a_conditional_argument_pass_below_its_axis():
    arguments = {
        "kind": ["a", "b"],
        "x": lambda kind: nf.uniform(0, 1) if kind == "a" else [0, 1],
        "y": nf.uniform(0, 1),
    }
    one = made(arguments, 20)
    parallel = panels(draw_searches([one]))[-1]
    assert [text.get_text() for text in parallel.get_xticklabels()] == [
        "kind",
        "x (numbers)",
        "x (list)",
        "y",
    ]
    assert [text.get_text() for text in parallel.texts].count("none") == 2


def test_importances_are_bars_or_the_reason_why_there_are_none():
    one = made({"x": nf.uniform(0, 1), "y": nf.uniform(0, 1)}, 12, importances={"y": 0.75, "x": 0.25})
    bars = panels(draw_searches([one]))[1]
    assert [bar.get_width() for bar in bars.patches] == [0.75, 0.25]
    assert [text.get_text() for text in bars.get_yticklabels()] == ["y", "x"]
    none = panels(draw_searches([made({"x": nf.uniform(0, 1)}, 3, no_importances="Too few trials.")]))[1]
    assert [text.get_text() for text in none.texts] == ["Too few trials."]


def test_values_far_from_the_others_are_drawn_at_the_edge():
    one = made({"x": nf.uniform(0, 1), "y": nf.uniform(0, 1)}, 20)
    trials = [trial.known for trial in one.point.trials]
    far = numbers(one.point.search, [replace(trials[0], value=-1e9), *trials[1:]])
    low, high = far.limits()
    assert (low, high) == (min(map(math.sin, range(1, 20))), max(map(math.sin, range(20))))
    history = panels(draw_searches([far]))[0]
    assert history.get_ylim()[0] < history.collections[0].get_offsets()[0, 1] < low
    assert any("one trial lies far below" in note for note in search_picture([far]).notes)
    assert one.limits() == (min(map(math.sin, range(20))), high), "values that are merely low stay"


def test_searches_of_several_points_are_one_below_the_other_with_their_names():
    some = [made({"x": nf.uniform(0, 1), "y": nf.uniform(0, 1)}, 12, label=f"kind={kind}") for kind in "ab"]
    picture = search_picture(some)
    figure = picture.draw()
    assert len(panels(figure)) == 10
    assert [part.get_suptitle() for part in figure.subfigs] == ["kind=a", "kind=b"]
    assert picture.headers[0] == "search" and [row[0] for row in picture.rows] == ["kind=a", "kind=b"]
    assert json.loads(json.dumps(picture.facts)) == facts(some)


def test_places_on_an_axis_lie_between_its_ends():
    rate, units, kind, *_ = made(WIDE, 5).axes
    assert (share(rate, 1e-5), share(rate, 1e-3), share(rate, 1e-1)) == pytest.approx((0, 0.5, 1))
    assert (share(units, 8), share(units, 256)) == (0, 1)
    assert (share(kind, "relu"), share(kind, [1, 2])) == (0, 1)
