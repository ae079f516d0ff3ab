from __future__ import annotations

import contextlib
import json
import math

import pytest
from hypothesis import given, strategies as st

from neurofit.errors import GridError
from neurofit.experiments.grid.params import canonical, identity, parse, plain, short
from neurofit.text import one_line

text = st.text(st.characters(exclude_categories=()), max_size=30)  # lone surrogates included
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=20)


class Scalar:
    """What a NumPy scalar looks like from outside."""

    shape, dtype = (), "float64"

    def __init__(self, value):
        self.value = value

    def item(self):
        return self.value


class Array:
    shape, dtype, ndim = (2,), "float64", 1

    def tolist(self):
        return [1.0, 2.0]


@given(values)
def test_what_plain_gives_comes_back_from_json_as_it_was(value):
    carried = plain(value, "axis 'a'")
    assert json.loads(json.dumps(carried)) == carried


@given(values)
def test_plain_changes_nothing_that_is_plain_already(value):
    carried = plain(value, "axis 'a'")
    assert plain(carried, "axis 'a'") == carried
    assert canonical(carried) == canonical(value)


@given(values)
def test_the_canonical_text_is_ascii_json_of_an_equal_value(value):
    read = json.loads(canonical(value).encode("ascii"))
    assert read == plain(value, "axis 'a'")


@given(
    st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    st.integers() | st.floats(allow_nan=False, allow_infinity=False),
)
def test_numbers_have_one_identity_exactly_when_they_are_equal(one, other):
    assert (identity(one) == identity(other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (0, -0.0),
        ((1, (2,)), [1, [2]]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (Scalar(0.5), 0.5),
        (2**60, float(2**60)),
        ([Scalar(True)], [True]),
    ],
)
def test_values_that_are_the_same(one, other):
    assert identity(one) == identity(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (0, False),
        ("1", 1),
        ("true", True),
        (None, "null"),
        ([], {}),
        ([1], 1),
        (0, None),
        (2**53 + 1, float(2**53)),
        ("\ud800", "\\ud800"),
        ("é", "e\u0301"),
    ],
)
def test_values_that_differ(one, other):
    assert identity(one) != identity(other)


def test_the_identity_never_changes_between_versions():
    assert identity({"lr": 1e-3, "name": "é", "on": True, "list": [1, 2.5, None]}) == "655e805a6df28d93"


@pytest.mark.parametrize(
    "odd",
    [
        "'\"",
        "a\nb\r\n",
        "$(rm -rf /)`x`",
        "naïve 図 😀",
        "\ud800",
        " ",
        "\0\x1b[31m",
        pytest.param("x" * 100_000, id="long"),
    ],
)
def test_odd_texts_are_carried_unharmed(odd):
    assert plain([odd], "axis 'a'") == [odd]
    assert json.loads(canonical(odd)) == odd


def test_subclasses_of_texts_and_numbers_become_the_plain_ones():
    class Name(str):
        __slots__ = ()

        def __str__(self):
            return "something else"

    class Count(int):
        pass

    carried = plain([Name("ln"), Count(3)], "axis 'a'")
    assert carried == ["ln", 3]
    assert [type(value) for value in carried] == [str, int]


def cyclic():
    loop = []
    loop.append(loop)
    return loop


def deep():
    value = []
    for _ in range(60):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (math.nan, "the value nan"),
        ([1, -math.inf], "the value -inf"),
        ({1, 2}, "a set.*sorted"),
        (print, "a builtin_function_or_method"),
        (Array(), "an Array.*tolist"),
        ({1: 2}, "a dict with the key 1, an int"),
        (1j, "a complex"),
        (b"x", "a bytes"),
        (object(), "an object"),
        (Scalar(1j), "a complex"),
        pytest.param(10**5000, "more than 4000 digits", id="huge"),
        (cyclic(), "contains itself"),
        (deep(), "more than 50 levels"),
    ],
)
def test_what_json_cannot_carry_is_an_error_that_names_axis_value_and_what_is_allowed(value, message):
    with pytest.raises(GridError, match=f"(?s)axis 'lr' .*{message}"):
        plain(value, "axis 'lr'")


def test_one_list_used_twice_is_not_a_cycle():
    twice = [1]
    assert plain([twice, twice], "axis 'a'") == [[1], [1]]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("ln", "ln"),
        ("16", "'16'"),
        ("true", "'true'"),
        ("", "''"),
        (" a", "' a'"),
        (1e-5, "1e-05"),
        (True, "True"),
        (None, "None"),
        ([1, "a"], "[1, 'a']"),
        ("a\nb", r"a\nb"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\ud800", r"\ud800"),
        pytest.param("y" * 100_000, "y" * 39 + "…", id="long"),
    ],
)
def test_a_value_is_shown_on_one_line(value, shown):
    assert short(value) == shown


@given(values, st.integers(2, 60))
def test_what_is_shown_is_printable_and_never_longer_than_asked(value, width):
    assert len(short(value, width)) <= width
    assert short(value, width).isprintable()
    assert one_line(str(value), width).isprintable()


@pytest.mark.parametrize(
    ("written", "default", "value"),
    [
        ("16", 9, 16),
        ("1e-3", 0.1, 0.001),
        ("-2.5E2", 1, -250.0),
        ("+3", 1, 3),
        (".5", 1, 0.5),
        ("007", 1, 7),
        ("true", False, True),
        ("False", True, False),
        ("null", 0.1, None),
        ("None", True, None),
        ("16", "linear", "16"),
        ("null", "linear", "null"),
        ("", "linear", ""),
        ("[1]", "linear", "[1]"),
        ("[1, 2]", 3, [1, 2]),
        ("[1e-3, no, 1:30]", None, [0.001, "no", "1:30"]),
        ("['1', \"2\"]", None, ["1", "2"]),
        ('{"a": [true, null]}', None, {"a": [True, None]}),
        ("{a: 1e-3, 2: x}", None, {"a": 0.001, "2": "x"}),
        ("softplus", None, "softplus"),
        ("16", None, 16),
        ('"16"', None, "16"),
        ("on", None, "on"),
        ("2020-01-01", None, "2020-01-01"),
        ("1_000", None, "1_000"),
        ("٣", None, "٣"),
    ],
)
def test_a_word_of_the_command_line_is_read_for_its_default(written, default, value):
    read = parse(written, default)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("written", "default", "message"),
    [
        ("many", 9, r"--x must be a number like its default \(9\), got 'many'"),
        ("true", 0.1, "must be a number.*got 'true'"),
        ("", 1, "must be a number"),
        ("1", True, "must be true or false.*got '1'"),
        ("yes", False, "must be true or false.*got 'yes'"),
        ("nan", 0.1, "nan, which JSON cannot represent"),
        ("-inf", None, "JSON cannot represent"),
        ("1e999", 1.0, "JSON cannot represent"),
        ("[1, nan]", 1, "JSON cannot represent"),
        ("[1, 2", None, "neither JSON nor YAML"),
        ("&a [*a]", 1, "must be a number"),
        ("[&a [*a]]", 1, "neither JSON nor YAML"),
        pytest.param("[" * 3000, None, "neither JSON nor YAML", id="deep"),
    ],
)
def test_a_word_that_cannot_be_a_value_of_this_argument_is_an_error(written, default, message):
    with pytest.raises(GridError, match=message):
        parse(written, default, "--x")


@given(text)
def test_any_word_is_read_or_refused(written):
    with contextlib.suppress(GridError):
        plain(parse(written, None), "this")


@given(values)
def test_a_value_written_as_json_is_read_back(value):
    carried = plain({"of": value}, "this")
    assert parse(json.dumps(carried), None) == carried
