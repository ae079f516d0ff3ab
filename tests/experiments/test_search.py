"""Ranges, searches and the trials that they stand for."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import assume, given, strategies as st

import neurofit as nf
from neurofit.errors import GridError
from neurofit.experiments.grid.search import SAMPLERS, Choices, Integers, Uniform
from neurofit.experiments.numbering import numbered

METRIC = "validation/score"
FINITE = st.floats(-1e12, 1e12)
SHARE = st.floats(0, 1)


def fit(task):
    return {METRIC: 1.0}


def search(trials=3, **options):
    return nf.search(**{"x": nf.uniform(0, 1), "trials": trials, "metric": METRIC, **options})


def runs(grid, fit=fit):
    return nf.Experiment(fit, grid).runs()


# ---- ranges


@given(FINITE, FINITE, SHARE)
def test_every_share_of_a_range_lies_inside(low, high, share):
    assume(low < high)
    range = nf.uniform(low, high)
    assert range.at(share) in range
    rounding = 1e-12 * (high - low)
    assert range.at(0) == low and range.at(1) == pytest.approx(high, abs=rounding)


@given(st.floats(1e-12, 1e12), st.floats(1e-12, 1e12), SHARE)
def test_half_of_a_logarithmic_range_is_the_geometric_mean(low, high, share):
    assume(low < high)
    range = nf.log_uniform(low, high)
    assert range.at(share) in range
    assert range.at(0.5) == pytest.approx(math.sqrt(low) * math.sqrt(high))


@given(st.integers(-(10**6), 10**6), st.integers(1, 10**6), SHARE)
def test_every_share_of_integers_is_one_of_them(low, width, share):
    range = nf.integers(low, low + width)
    value = range.at(share)
    assert type(value) is int and value in range
    assert (range.at(0), range.at(1)) == (low, low + width)


@given(st.integers(1, 10**6), st.integers(1, 10**6), SHARE)
def test_every_share_of_logarithmic_integers_is_one_of_them(low, width, share):
    range = nf.integers(low, low + width, log=True)
    value = range.at(share)
    assert type(value) is int and value in range


@given(st.integers(-50, 50), st.integers(1, 12))
def test_each_integer_has_the_same_share(low, width):
    range, steps = nf.integers(low, low + width), 60 * (width + 1)
    counts = Counter(range.at((step + 0.5) / steps) for step in _below(steps))
    assert set(counts) == set(_below(width + 1, low))
    assert max(counts.values()) - min(counts.values()) <= 2  # rounding at the borders


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), SHARE)
def test_a_list_has_each_of_its_values_once(values, share):
    (argument,) = search(x=values).search.arguments
    assert isinstance(argument.range, Choices)
    assert argument.range.values == tuple(dict.fromkeys(values))
    assert argument.range.at(share) in argument.range


def test_what_lies_outside():
    assert 1.5 not in nf.uniform(0, 1) and "0.5" not in nf.uniform(0, 1) and True not in nf.uniform(0, 1)
    assert math.nan not in nf.uniform(0, 1)
    assert 2.5 not in nf.integers(1, 3) and 2.0 in nf.integers(1, 3) and 4 not in nf.integers(1, 3)
    assert "b" not in Choices(("a",)) and [16, 32] in Choices(([16, 32],))


def test_ranges_are_written_as_in_a_script():
    texts = ["uniform(0, 0.5)", "log_uniform(1e-05, 0.01)", "integers(8, 256, log=True)", "integers(1, 3)"]
    made = [nf.uniform(0, 0.5), nf.log_uniform(1e-5, 1e-2), nf.integers(8, 256, log=True), nf.integers(1, 3)]
    assert [str(one) for one in made] == texts
    assert isinstance(made[0], Uniform) and isinstance(made[3], Integers)


# ---- what is refused


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nf.uniform(1, 0), r"uniform\(1, 0\): the lower end comes first\. Write uniform\(0, 1\)\."),
        (lambda: nf.uniform(1, 1), r"uniform\(1, 1\) has a single value\. Write a list instead: \[1\]\."),
        (lambda: nf.uniform(0, math.inf), "an end of the range is .*inf.*, expected a finite number"),
        (lambda: nf.uniform("0", 1), "an end of the range is .*, expected a finite number"),
        (lambda: nf.log_uniform(0, 1), r"a logarithm needs numbers above 0\. .*write uniform\(0, 1\)"),
        (lambda: nf.log_uniform(-1, 1), "a logarithm needs numbers above 0"),
        (lambda: nf.log_uniform(1e-2, 1e-5), "the lower end comes first"),
        (
            lambda: nf.integers(0, 8, log=True),
            r"a logarithm needs numbers above 0\. .*write integers\(0, 8\)",
        ),
        (lambda: nf.integers(8, 1), r"the lower end comes first\. Write integers\(1, 8\)"),
        (lambda: nf.integers(1, 2.5), "2.5 is not an integer"),
        (lambda: nf.integers(0, 2**60), "is not an integer between ±2⁵³"),
        (lambda: search(trials=0), "trials must be an integer from 1 to 100,000, got 0"),
        (lambda: search(trials=None), "trials must be an integer from 1 to 100,000, got"),
        (lambda: search(trials=True), "trials must be an integer"),
        (lambda: search(at_once=0), "at_once must be an integer from 1"),
        (lambda: search(metric=None), "metric must be the name of a metric that the fit returns"),
        (lambda: search(metric="test/correlation"), "the metric 'test/correlation' is of the test set"),
        (lambda: search(direction="max"), "direction must be one of 'maximize', 'minimize', got max"),
        (lambda: search(sampler="tpee"), "sampler must be one of 'tpe'.* Did you mean 'tpe'"),
        (lambda: search(pruner="mean"), "pruner must be one of None, 'median', 'hyperband'"),
        (lambda: search(x=3), r"search: 'x' is 3, expected a range or a list"),
        (lambda: search(x=[]), "argument 'x' of the search is empty"),
        (lambda: nf.search(trials=3, metric=METRIC), "A search needs an argument to search for"),
        (lambda: search() * search(y=[1]), r"an experiment has one search\. Write all arguments into one"),
        (lambda: search() + search(), r"an experiment has one search\. Make them two experiments"),
        (lambda: search().zip(nf.grid(y=[1])), "A search cannot be zipped"),
        (lambda: search().where(lambda x: x > 0), r"A search has no \.where"),
        (lambda: nf.grid(x=[1]) * search(), "Two axes are called 'x'"),
    ],
)
def test_a_search_that_cannot_be_is_refused_in_words(make, message):
    with pytest.raises(GridError, match=message):
        make()


# ---- trials


@given(
    st.integers(1, 20),
    st.integers(1, 20),
    st.sampled_from(SAMPLERS[:5]),
    st.sampled_from(["maximize", "minimize"]),
)
def test_ids_of_trials_depend_on_no_bounds_sampler_direction_or_number_of_trials(
    one, other, sampler, direction
):
    first = runs(search(one))
    second = runs(
        search(
            other, x=nf.log_uniform(2, 3), sampler=sampler, direction=direction, at_once=1, pruner="median"
        )
    )
    common = min(one, other)
    assert [run.id for run in first][:common] == [run.id for run in second][:common]
    assert len({run.id for run in first}) == one
    assert [run.trial for run in first] == [run.number for run in first] == list(_below(one))
    assert {run.group for run in first} == {run.group for run in second}
    assert all(run.params == {} for run in first)


def test_ids_of_trials_depend_on_the_settings_of_the_fit_and_the_point_of_the_grid():
    def other(task):
        return {METRIC: 1.0}

    first, second = runs(search()), runs(search(), other)
    points = runs(nf.grid(kind=["a", "b"]) * search())
    ids = [run.id for run in (*first, *second, *points)]
    assert len(set(ids)) == len(ids) == 12
    assert [run.params for run in points] == 3 * [{"kind": "a"}] + 3 * [{"kind": "b"}]
    assert [run.trial for run in points] == [0, 1, 2, 0, 1, 2]
    assert len({run.group for run in points}) == 2


@given(st.integers(1, 4), st.integers(1, 8), st.integers(1, 8))
def test_numbers_stay_when_trials_are_added_also_in_a_product(points, before, more):
    grid = nf.grid(kind=list(_below(points)))
    earlier = runs(grid * search(before))
    registered = [(run.number, run.id) for run in earlier]
    later = numbered(runs(grid * search(before + more)), registered)
    number = {run.id: run.number for run in later}
    assert all(number[run.id] == run.number for run in earlier)
    assert sorted(number.values()) == list(_below(points * (before + more)))
    new = [run for run in later if run.id not in {run.id for run in earlier}]
    assert {run.trial for run in new} == set(_below(more, before))


def test_a_search_beside_a_grid_leaves_the_points_of_the_grid_as_they_were():
    grid = nf.grid(x=[1, 2])
    both = runs(grid + search(2))
    assert [run.id for run in both[:2]] == [run.id for run in runs(grid)]
    assert [run.trial for run in both] == [None, None, 0, 1]


def test_a_range_may_depend_on_arguments_before_it_and_on_the_grid():
    made = nf.grid(kind=["a", "b"]) * search(
        optimizer=["adam", "sgd"],
        momentum=lambda optimizer, kind: nf.uniform(0, 0.9) if (optimizer, kind) == ("sgd", "a") else [0],
    )
    found = made.search
    values = {"x": 0.5, "optimizer": "sgd", "momentum": 0.8}
    assert found.ranges(values, {"kind": "a"})["momentum"] == nf.uniform(0, 0.9)
    assert found.ranges(values, {"kind": "b"}) is None
    assert found.ranges({**values, "momentum": 0}, {"kind": "b"}) is not None
    assert found.is_conditional and not search().search.is_conditional


def test_the_fit_is_asked_about_the_ends_of_the_ranges_when_the_script_loads():
    class Picky:
        def __call__(self, task):
            return {METRIC: 1.0}

        def check(self, params):
            if params["x"] > 8:
                raise GridError("x must be at most 8.")

    nf.Experiment(Picky(), search(x=nf.uniform(0, 8)))
    with pytest.raises(GridError, match="x must be at most 8"):
        nf.Experiment(Picky(), search(x=nf.uniform(0, 9)))


def _below(end: int, start: int = 0) -> range:
    return range(start, start + end)
