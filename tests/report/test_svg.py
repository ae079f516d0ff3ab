"""Scales and shapes of pictures."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import example, given, strategies as st

from neurofit.plotting.curves import History, over_repetitions
from neurofit.report.pictures import (
    NeuronPanel,
    RunScore,
    curves_figure,
    difference_pictures,
    metric_axis,
    neurons_figure,
    parallel_axis,
    parallel_figure,
    runs_figure,
    states_bar,
)
from neurofit.report.svg import Scale, dots, number, polyline, svg, tag, text

NUMBERS = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(NUMBERS, max_size=5), st.booleans())
@example([1.797e308, 1.796e308], True)
def test_every_number_has_a_place_inside_the_frame_and_ticks_ascend(values, logarithmic):
    scale = Scale.over(values, 10, 110, logarithmic=logarithmic)
    for value in values:
        if math.isfinite(value) and (value > 0 or not logarithmic):
            assert 9.9 <= scale(value) <= 110.1
    ticks = scale.ticks()
    assert ticks == sorted(ticks) and len(ticks) <= 14
    assert all(9.9 <= scale(tick) <= 110.1 for tick in ticks)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (-0.013, 0.013, [-0.01, -0.005, 0, 0.005, 0.01]),
        (1, 150, [25, 50, 75, 100, 125, 150]),
    ],
)
def test_ticks_are_round_numbers(low, high, ticks):
    assert Scale.over([low, high], 0, 100, margin=0).ticks() == ticks


def test_ticks_of_steps_are_whole_and_those_of_logarithms_powers_of_ten():
    assert Scale.over([1, 3], 0, 100, margin=0).ticks(whole=True) == [1, 2, 3]
    assert Scale.over([1e-5, 1], 0, 100, logarithmic=True).ticks() == [1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1]


def test_numbers_are_written_for_people():
    assert [number(value) for value in (0.0, -0.5, 1234.5678, 1e-7)] == ["0", "−0.5", "1235", "1e−07"]


def test_texts_and_attributes_are_escaped():
    hostile = '</text><script>"&'
    picture = svg(10, 10, [text(1, 2, hostile), tag("g", " ", id=hostile)], hostile)
    root = ElementTree.fromstring(picture)
    assert root.find("text").text == hostile == root.find("g").get("id") == root.get("aria-label")


def test_a_point_that_is_not_finite_interrupts_a_line():
    assert polyline([(0, 1), (1.25, math.nan), (2, 3), (3, 4)]) == "M0 1M2 3L3 4"
    assert dots([(0, 1), (math.inf, 2)]) == "M0 1h0"


def parsed(picture: str) -> ElementTree.Element:
    """The picture, which is well-formed and has no number that is not finite."""
    assert not re.search(r"\b(nan|inf)\b", picture)
    return ElementTree.fromstring(picture)


def test_runs_without_an_interval_have_a_dot_alone():
    figure = runs_figure(
        [RunScore("3: <a>", 0.5, 0.4, 0.6), RunScore("1", 0.2, math.nan, math.nan)], "score", []
    )
    root = parsed(figure.svg)
    assert len(root.findall(".//circle")) == 2
    assert [one.text for one in root.findall(".//title")] == ["3: <a>: 0.5 [0.4, 0.6]", "1: 0.2"]


def test_a_curve_is_faint_where_repetitions_are_missing_and_a_loss_that_explodes_is_cut():
    steps = np.arange(1.0, 101.0)
    short, long = History(steps[:50], 1 / steps[:50]), History(steps, 1 / steps, 1)
    huge = History(steps, np.where(steps == 1, 1e12, 1 / steps), 2)
    figure = curves_figure([over_repetitions([short, long], "a"), over_repetitions([huge], "b")], "loss")
    root = parsed(figure.svg)
    faint, whole = (root.find(f".//path[@class='{kind} s0']").get("d") for kind in ("curve faint", "curve"))
    assert faint.count("L") == 99 and whole.count("L") == 49
    assert not any("e+" in one.text for one in root.findall("text"))
    assert [entry.text for entry in figure.legend] == ["a", "b"]


def test_neurons_are_drawn_against_their_ceilings_or_by_rank():
    scores, ceilings = np.array([0.5, np.nan, 0.1]), np.array([0.9, 0.8, np.nan])
    against = parsed(neurons_figure([NeuronPanel("1", scores, ceilings)], "r", []).svg)
    assert against.find(".//path[@class='dot neuron']").get("d").count("h0") == 1
    ranked = parsed(neurons_figure([NeuronPanel("1", scores, None)] * 3, "r", []).svg)
    assert [one.get("d").count("h0") for one in ranked.findall(".//path[@class='dot neuron']")] == [2, 2, 2]


def test_axes_of_few_values_have_a_place_for_each_and_of_many_a_scale():
    few = parallel_axis("kind", ["b", None, "a"], ["b", "None", "a"])
    assert few.places[0] == 0 and math.isnan(few.places[1]) and few.places[2] == 1
    rates = [10.0**-power for power in range(20)]
    many = parallel_axis("rate", rates, [f"{rate:g}" for rate in rates])
    assert np.all(np.diff(many.places) < 0) and len(many.labels) <= 7
    figure = parallel_figure([few, few, metric_axis("score", [0.1, math.nan, 0.3])], [0], [])
    root = parsed(figure.svg)
    assert len(root.findall(".//path[@class='best-run']")) == 1


def test_differences_share_a_scale_with_zero_and_states_a_bar():
    pictures = difference_pictures([(1.0, 0.5, 1.5), (math.nan, math.nan, math.nan)])
    assert [len(parsed(one).findall("circle")) for one in pictures] == [1, 0]
    bar = parsed(states_bar({"done": 3, "failed": 1}))
    assert [float(one.get("width")) for one in bar.iter("rect")] == [570, 190]
    parsed(states_bar({}))
