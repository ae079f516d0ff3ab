from __future__ import annotations

import itertools

import pytest
from hypothesis import given, strategies as st

from neurofit.errors import GridError
from neurofit.experiments.grid.grid import Grid, grid
from neurofit.experiments.grid.params import canonical


def values(made: Grid) -> list[dict]:
    return [point.values for point in made.points()]


def numbers(made: Grid) -> list[int]:
    return [point.number for point in made.points()]


# ---- axes


def test_the_last_axis_is_the_fastest():
    assert values(grid(a=[1, 2], b=["x", "y"])) == [
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y"},
    ]


def test_a_grid_of_nothing_is_one_point_without_arguments():
    assert values(grid()) == [{}]
    assert values(grid() * grid(a=[1, 2])) == values(grid(a=[1, 2]) * grid()) == [{"a": 1}, {"a": 2}]


def test_an_axis_is_anything_finite_with_an_order():
    assert (
        values(grid(a=range(2)))
        == values(grid(a=(0, 1)))
        == values(grid(a=(n for n in (0, 1))))
        == [{"a": 0}, {"a": 1}]
    )
    assert values(grid(regions=[[1], (1, 2)])) == [{"regions": [1]}, {"regions": [1, 2]}]


def test_a_numpy_array_is_an_axis():
    numpy = pytest.importorskip("numpy")
    points = values(grid(a=numpy.array([1, 2]), b=[numpy.float64(0.5)], c=(numpy.bool_(True), "x")))
    assert points[0] == {"a": 1, "b": 0.5, "c": True}
    assert [type(value) for value in points[0].values()] == [int, float, bool]


@pytest.mark.parametrize(
    ("axis", "message"),
    [
        ([], "axis 'a' is empty"),
        (3, r"axis 'a' must be a list, got 3\. For a single value, write \[3\]"),
        ("ln", r"write \[ln\]"),
        (b"ln", "must be a list, got"),
        ({"x": 1}, "must be a list, got"),
        (None, r"write \[None\]"),
        ({1, 2}, "has no order.*sorted"),
        (int, "must be a list, got"),
        ([float("nan")], "axis 'a' has the value nan"),
        ([lambda: 1], "axis 'a' has the value <function"),
        (itertools.count(), "infinite iterator"),
    ],
)
def test_an_axis_that_cannot_be_is_an_error_that_names_it(axis, message):
    with pytest.raises(GridError, match=message):
        grid(a=axis)


def test_an_array_of_two_dimensions_is_not_an_axis():
    numpy = pytest.importorskip("numpy")
    with pytest.raises(GridError, match=r"2 dimensions.*\.tolist\(\)"):
        grid(a=numpy.zeros((2, 2)))


def test_names_that_are_no_python_names_go_through_a_dict():
    made = grid({"training.x": [1], "start": [7]}, b=[2])
    assert values(made) == [{"training.x": 1, "start": 7, "b": 2}]


@pytest.mark.parametrize("name", ["a-b", "", "a b", "1a", "a..b", "a\n", 3, None])
def test_a_name_that_no_argument_can_have_is_an_error(name):
    with pytest.raises(GridError, match="is not a valid name for an axis"):
        grid({name: [1]})


def test_two_axes_of_one_name_are_an_error():
    with pytest.raises(GridError, match="Two axes are called 'a'"):
        grid({"a": [1]}, a=[2])
    for combine in (Grid.__mul__, Grid.zip):
        with pytest.raises(GridError, match="Two axes are called 'a'"):
            combine(grid(a=[1]), grid(b=[1]) + grid(a=[2]))


def test_what_is_not_a_grid_cannot_be_combined():
    for wrong in (
        lambda: grid(a=[1]) * {"b": [1]},
        lambda: grid(a=[1]) + [1],
        lambda: grid(a=[1]).zip(3),
        lambda: grid([1]),
    ):
        with pytest.raises(GridError, match="grid"):
            wrong()


# ---- combinations


def test_union_joins_and_product_nests_also_for_unions_on_either_side():
    a, b, c = grid(a=[1, 2]), grid(b=[3]), grid(c=[5, 6])
    assert values((a + b) * c) == values(a * c + b * c)
    assert values(grid(z=[0, 1]) * (a + b)) == [
        {"z": 0, "a": 1},
        {"z": 0, "a": 2},
        {"z": 0, "b": 3},
        {"z": 1, "a": 1},
        {"z": 1, "a": 2},
        {"z": 1, "b": 3},
    ]


axes = st.dictionaries(
    st.sampled_from("abcd"), st.lists(st.integers(0, 3), min_size=1, max_size=3, unique=True), max_size=3
)


@given(axes)
def test_a_grid_has_the_points_of_nested_loops(axes):
    expected = [dict(zip(axes, row)) for row in itertools.product(*axes.values())]
    assert values(grid(axes)) == expected


@given(axes, axes)
def test_a_product_has_every_pair_and_keeps_the_order(one, other):
    other = {name.upper(): axis for name, axis in other.items()}
    expected = [{**left, **right} for left in values(grid(one)) for right in values(grid(other))]
    assert values(grid(one) * grid(other)) == expected
    assert values(grid({**one, **other})) == expected


@given(st.lists(axes, min_size=1, max_size=4))
def test_a_union_numbers_from_nought_and_drops_and_counts_what_it_has(parts):
    made = grid(parts[0])
    for part in parts[1:]:
        made = made + grid(part)
    every = [canonical(point) for part in parts for point in values(grid(part))]
    assert [canonical(point) for point in values(made)] == list(dict.fromkeys(every))
    assert numbers(made) == list(range(len(set(every))))
    assert made.repeated == len(every) - len(set(every))


def test_a_repeated_value_is_one_run_also_when_it_is_written_otherwise():
    made = grid(a=[1, 2, 1.0, True])
    assert values(made) == [{"a": 1}, {"a": 2}, {"a": True}]
    assert made.repeated == 1


def test_zip_pairs_points():
    assert values(grid(a=[1, 2]).zip(grid(b=[3, 4]))) == [{"a": 1, "b": 3}, {"a": 2, "b": 4}]
    assert values(grid(z=[0, 1]) * grid(a=[1]).zip(grid(b=lambda z: [z]))) == [
        {"z": 0, "a": 1, "b": 0},
        {"z": 1, "a": 1, "b": 1},
    ]


def test_zip_of_unequal_lengths_says_both():
    with pytest.raises(GridError, match="the grid of a has 2 and the grid of b has 3"):
        grid(a=[1, 2]).zip(grid(b=[1, 2, 3])).points()


def test_grids_are_values_that_combining_does_not_change():
    a = grid(a=[1, 2])
    before = a.points()
    _ = a * grid(b=[1]), a + grid(a=[3]), a.where(lambda a: a > 1), a.derive(c=lambda a: a)
    assert a.points() == before
    a.points()[0].values["a"] = a.points().append(None)
    assert len(a.points()) == 2


def test_names_and_axes_tell_what_varies():
    made = grid(a=[1, 2]) * (grid(b=[1]) + grid(c=lambda a: [a])).derive(e=lambda a: a)
    assert made.names == ["a", "b", "e", "c"]
    assert made.axes() == {"a": [1, 2], "b": [1], "c": [1, 2]}
    assert repr(made) == "Grid(a, b, e, c)"


# ---- functions of the arguments before


def test_a_conditional_axis_sees_the_axes_before_it_also_across_products():
    by_kind = grid(strength=lambda kind: [1, 2] if kind == "l1" else [3])
    expected = [{"kind": "l1", "strength": 1}, {"kind": "l1", "strength": 2}, {"kind": "l2", "strength": 3}]
    assert values(grid(kind=["l1", "l2"]) * by_kind) == expected
    assert values((grid(kind=["l1"]) + grid(kind=["l2"])) * by_kind) == expected


def test_where_drops_combinations_and_the_rest_is_numbered_without_gaps():
    made = grid(a=[1, 2, 3]).where(lambda a: a != 2)
    assert values(made) == [{"a": 1}, {"a": 3}]
    assert numbers(made) == [0, 1]
    assert values(grid(a=[1, 2]) * grid(b=[1, 2]).where(lambda a, b: a <= b)) == [
        {"a": 1, "b": 1},
        {"a": 1, "b": 2},
        {"a": 2, "b": 2},
    ]


def test_a_derived_value_is_not_part_of_the_point_unless_asked():
    made = grid(a=[1, 2]).derive(b=lambda a: a * 10).derive(c=lambda b: b + 1, in_id=True)
    assert [(point.values, point.derived) for point in made.points()] == [
        ({"a": 1, "c": 11}, {"b": 10}),
        ({"a": 2, "c": 21}, {"b": 20}),
    ]


def test_later_functions_see_derived_values():
    made = grid(a=[1, 2, 3]).derive(b=lambda a: a * a, c=lambda b: b + 1).where(lambda c: c > 2)
    assert [point.derived for point in made.points()] == [{"b": 4, "c": 5}, {"b": 9, "c": 10}]


def test_functions_get_arguments_in_every_way_that_python_has():
    base = grid({"training.l2": [1], "lambda": [2]}, a=[3])
    seen = (
        base.derive(spelt=lambda training_l2, lambda_: [training_l2, lambda_])
        .derive(whole=lambda params: sorted(params))
        .derive(rest=lambda a, **others: sorted(others))
        .derive(default=lambda a, unknown=5: unknown)
        .derive(positional=lambda a, /, *_: a)
        .derive(other=lambda *, a: a)
    )
    assert seen.points()[0].derived == {
        "spelt": [1, 2],
        "whole": ["a", "lambda", "spelt", "training.l2"],
        "rest": ["lambda", "spelt", "training.l2", "whole"],
        "default": 5,
        "positional": 3,
        "other": 3,
    }


def test_an_argument_called_params_comes_before_the_dict_of_all():
    assert values(grid(params=[[1]], b=lambda params: params)) == [{"params": [1], "b": 1}]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: grid(a=[0]).derive(b=lambda a: 1 / a),
            r"derived argument 'b' \(.*test_grid.py:\d+\) raised ZeroDivisionError",
        ),
        (
            lambda: grid(a=[0], b=lambda a: [1 / a]),
            r"axis 'b' .*raised ZeroDivisionError.*It was called with \{'a': 0\}",
        ),
        (
            lambda: grid(filters=[0], b=lambda filter: [1]),
            "has a parameter 'filter'.*Did you mean 'filters'.*Arguments before it: filters",
        ),
        (
            lambda: grid(b=lambda a: [a], a=[1]),
            "has a parameter 'a', but no argument before it.*Arguments before it: none",
        ),
        (lambda: grid(a=[1], b=lambda a: 3), r"axis 'b' .*\{'a': 1\}.*must be a list"),
        (lambda: grid(a=[1], b=lambda a: []), r"\{'a': 1\}.*axis 'b' is empty.*\.where"),
        (lambda: grid(a=[1], b=lambda a: [{1}]), "axis 'b' has the value {1}"),
        (lambda: grid(a=[1]).where(lambda a: print()), "where.*returned None.*Return True"),
        (lambda: grid(a=[1]).where(lambda b: True), "The function of where .*has a parameter 'b'"),
        (lambda: grid(a=[1]).derive(b=lambda a: {a}), "derived argument 'b' has the value {1}"),
    ],
)
def test_a_function_that_fails_is_an_error_that_says_which_and_where(make, message):
    with pytest.raises(GridError, match=message):
        make().points()


def test_what_is_not_a_function_is_refused_at_once():
    with pytest.raises(GridError, match="derived argument 'b' must be a function"):
        grid(a=[1]).derive(b=3)
    with pytest.raises(GridError, match="where must be a function"):
        grid(a=[1]).where(True)
    with pytest.raises(GridError, match="derive cannot add 'a': the grid already has"):
        grid(a=[1]).derive(a=lambda a: a)


def test_one_point_with_two_computed_values_is_an_error():
    doubled, tripled = grid(a=[1]).derive(b=lambda a: 2 * a), grid(a=[1]).derive(b=lambda a: 3 * a)
    with pytest.raises(GridError, match=r"occurs twice, with different derived arguments.*in_id=True"):
        (doubled + tripled).points()
    with pytest.raises(GridError, match="occurs twice"):
        (grid(a=[1]) + doubled).points()
    assert (doubled + doubled).repeated == 1


# ---- numbers


def test_start_is_the_number_of_the_first_run_and_parts_without_go_on():
    made = grid(a=[1, 2]) + grid(start=100, a=[3, 4]) + grid(a=[5])
    assert numbers(made) == [0, 1, 100, 101, 102]


def test_a_part_with_its_own_start_numbers_a_point_again_that_another_part_has():
    made = grid(a=[1, 2, 3]) + grid(start=100, a=[5, 2, 2]) + grid(a=[2, 1])
    assert [(point.number, point.values["a"]) for point in made.points()] == [
        (0, 1),
        (1, 2),
        (2, 3),
        (100, 5),
        (101, 2),
        (102, 1),
    ]
    assert made.repeated == 2


def test_a_start_goes_along_with_products_where_and_derive():
    base = grid(hidden=[0.2])
    made = (base * grid(a=[1, 2]) + base * grid(start=10, b=[1, 2])).where(
        lambda params: params.get("b") != 1
    )
    assert numbers(made.derive(c=lambda hidden: hidden)) == [0, 1, 10]
    assert numbers((grid(a=[1]) + grid(start=5, a=[2])) * grid(b=[1, 2])) == [0, 1, 5, 6]
    assert numbers(grid(start=3, a=[1, 2]).zip(grid(b=[1, 2]))) == [3, 4]


def test_numbers_given_twice_are_an_error_that_says_which_are_free():
    with pytest.raises(
        GridError, match=r"Run number 2 is assigned twice: .*by the part that starts at 2.*start=5"
    ):
        (grid(a=[1, 2, 3, 4, 5]) + grid(start=2, b=[1])).points()
    with pytest.raises(GridError, match="Run number 100"):
        (grid(start=100, a=[1]) + grid(start=99, b=[1, 2])).points()


def test_one_sequence_has_one_start():
    with pytest.raises(GridError, match="start=1, start=2"):
        grid(start=1, a=[1]) * grid(start=2, b=[1])
    with pytest.raises(GridError, match="one sequence"):
        grid(a=[1]) * (grid(b=[1]) + grid(start=5, c=[1]))


@pytest.mark.parametrize("start", [-1, 1.0, True, "5", [5]])
def test_a_start_that_is_not_a_number_is_an_error(start):
    with pytest.raises(GridError, match="start must be an integer of at least 0"):
        grid(start=start, a=[1])


def test_a_grid_that_would_not_end_is_refused(monkeypatch):
    monkeypatch.setattr("neurofit.experiments.grid.grid.MOST_POINTS", 1000)
    axes = {name: range(10) for name in "abcdefgh"}
    with pytest.raises(GridError, match="more than 1,000 points"):
        grid(axes).points()
    with pytest.raises(GridError, match="more than 1,000 points"):
        (grid(a=[1]) * (grid(b=[1] * 2000))).points()


LONG = list(range(1000))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: grid(a=LONG, b=LONG, c=LONG), "more than 1,000,000 points"),
        (lambda: grid(a=LONG) * grid(b=LONG) * grid(c=LONG), "more than 1,000,000 points"),
        (lambda: grid(a=LONG, b=LONG, c=LONG).where(lambda a: a < 0), "more than 10,000,000 combinations"),
        (
            lambda: grid(a=LONG) * grid(b=LONG, c=LONG).where(lambda b: b < 0),
            "more than 10,000,000 combinations",
        ),
        (lambda: grid(a=LONG, b=LONG, c=LONG).zip(grid(d=[1])), "more than 1,000,000 points"),
        (lambda: grid(a=LONG, b=LONG, c=LONG).derive(d=lambda a: a), "more than 1,000,000 points"),
    ],
)
def test_a_grid_that_is_far_too_large_is_refused_before_its_points_are_made(make, words):
    with pytest.raises(GridError, match=words):
        make().points()


@given(
    st.recursive(
        st.dictionaries(
            st.sampled_from("abcdef"), st.lists(st.integers(0, 3), min_size=1, max_size=3), max_size=2
        ).map(grid),
        lambda inner: (
            st.tuples(inner, inner)
            .filter(lambda two: not set(two[0].names) & set(two[1].names))
            .map(lambda two: two[0] * two[1])
            | st.tuples(inner, inner).map(lambda two: two[0] + two[1])
            | inner.map(lambda one: one.where(lambda params: len(params) % 2))
        ),
        max_leaves=5,
    )
)
def test_the_size_that_is_reported_beforehand_is_never_too_large(made):
    from neurofit.experiments.grid.nodes import Row, least_size

    for part in made.parts:
        assert least_size(part.node).points <= len(list(part.node.rows(Row({}, {}))))
