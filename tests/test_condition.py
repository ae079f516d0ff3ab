"""Conditions on arguments and columns: what they select, and how wrong ones are explained."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from neurofit.condition import Where, where
from neurofit.datasets import checks
from neurofit.errors import DataError, UsageError

RUN = {
    "lr": 1e-4,
    "model": "ln",
    "training.l2": 0.1,
    "regions": [1, 2],
    "lin_scale": True,
    "size": None,
    "filters": 9,
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('lr < 1e-3 and model == "ln"', True),
        ("lr < 1e-3 and not model == 'ln'", False),
        ("model in ['ln', 'cnn']", True),
        ("model not in ('cnn',)", True),
        ("'l' in model", True),
        ("1 in regions and 3 not in regions", True),
        ("regions == [1, 2]", True),
        ("regions == (1, 2.0)", True),
        ("training.l2 * 10 >= 1", True),
        ("1e-5 < lr <= 1e-4", True),
        ("filters % 2 == 1 and filters // 2 == 4 and filters - 1 == 8 and filters / 2 == 4.5", True),
        ("-filters < -(3 + 5)", True),
        ("+filters == 9", True),
        ("lin_scale", True),
        ("not lin_scale", False),
        ("lin_scale == true and size == null", True),
        ("lin_scale == True and size == None", True),
        ("lin_scale == 1", False),
        ("filters != 9 or model", True),
        ("(lr < 1e-5) or (lr > 1)", False),
        ("  lr < 1  ", True),
        ("lr < 1e-3 & filters > 8 | model == 'cnn'", True),
        ("~(lr < 1e-3) | ~lin_scale", False),
        ("model == 'a & b' or filters ** 2 == 81", True),
        ("9 ** 9 ** 9 ** 9 > 1 or (-8) ** 0.5 == 1", False),
        # what cannot be compared is not selected
        ("model < 3", False),
        ("model > 3", False),
        ("size < 3 or size >= 3", False),
        ("lin_scale < 3", False),
        ("size * 2 == null", True),
        ("model * 3 == 'lnlnln'", False),
        ("filters / 0 < 1 or filters % 0 < 1", False),
        ("3 in filters", False),
        ("1 in model", False),
        ("True in [1]", False),
    ],
)
def test_a_condition_is_evaluated(text, holds):
    assert where(text)(RUN) is holds


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "model.upper()",
        "open('x')",
        "[m for m in model]",
        "lambda: 1",
        "regions[0]",
        "(x := 3)",
        "f'{model}'",
        "b'x'",
        "1j",
        "1 << 100",
        "model is None",
        "1 if model else 2",
        "{1: 2}",
        "{1, 2}",
        "*regions",
        "...",
        "await x",
        "yield",
        "print",
        "().__class__",
    ],
)
def test_nothing_else_is_evaluated(text):
    with pytest.raises(UsageError):
        where(text, RUN)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "lr <",
        "lr = 3",
        "(lr",
        "lr < 1; lr",
        "lr\x00",
        "(" * 500,
        "not " * 200 + "lr",
        "lr+" * 2000 + "1",
        "'" + "a",
    ],
)
def test_what_is_not_a_condition_is_an_error(text):
    with pytest.raises(UsageError, match=r"--where '.*Write comparisons of arguments"):
        where(text)


def test_an_unknown_name_is_an_error_that_lists_the_known_ones():
    with pytest.raises(
        UsageError, match=r"there is no argument 'lrr'\. Did you mean 'lr'\? Arguments: lr, model"
    ):
        where("lrr < 1", ["lr", "model"])
    with pytest.raises(UsageError, match=r"no argument 'ln'.*If it is a value, put it in quotes: \"ln\""):
        where("model == ln")(RUN)
    with pytest.raises(UsageError, match=r"'training\.l3'.*Did you mean 'training\.l2'"):
        where("training.l3 == 1")(RUN)


def test_an_argument_that_only_this_run_lacks_is_none():
    condition = where("l2 < 1 or l2 == null", ["lr", "l2"])
    assert condition({"lr": 1, "l2": 0.5})
    assert condition({"lr": 1})
    assert not where("l2 < 1", ["lr", "l2"])({"lr": 1})
    assert condition.names == ("l2", "null")


def test_an_argument_may_be_called_true_or_null():
    assert where("true == 3")({"true": 3})


numbers = st.integers(-5, 5) | st.floats(-5, 5)
terms = st.recursive(
    st.sampled_from(["a", "b"]) | numbers.map(repr),
    lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner).map(
        lambda t: f"({' '.join(t)})"
    ),
    max_leaves=5,
)
comparisons = st.tuples(terms, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), terms).map(" ".join)
conditions = st.recursive(
    comparisons,
    lambda inner: (
        inner.map("not ({})".format)
        | st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({' '.join(t)})")
    ),
    max_leaves=6,
)


@given(conditions, st.integers(-3, 3), st.floats(-3, 3))
def test_conditions_on_numbers_mean_what_python_means(text, a, b):
    try:
        expected = bool(eval(text, {"__builtins__": {}}, {"a": a, "b": b}))
    except ArithmeticError:
        return
    assert where(text)({"a": a, "b": b}) is expected


@given(st.text(st.sampled_from("ab01.+-*/<>=!()[], 'andornotin")))
def test_any_text_is_a_condition_or_refused(text):
    values = {"a": 1, "b": math.pi}
    with contextlib.suppress(UsageError):
        assert where(text)(values) in (True, False)


ROWS = st.lists(
    st.tuples(st.floats(-3, 3) | st.just(math.nan), st.integers(-3, 3), st.sampled_from("ab"), st.booleans()),
    min_size=1,
    max_size=8,
)
pieces = st.one_of(
    st.tuples(
        st.sampled_from(
            ["x", "n", "(x + n)", "x * 2", "-n", "(n - x / 2)", "x ** 2", "b", "(b + n)", "x / n", "1 / n"]
        ),
        st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
        st.sampled_from(["0", "1.5", "-2", "x", "n"]),
    ).map(" ".join),
    st.sampled_from(
        ["s == 'a'", 's != "b"', "s in ['a']", "s not in ['a', 'c']", "0 < x <= 2", "n in [1, 2]"]
    ),
)
filters = st.recursive(
    pieces,
    lambda inner: (
        inner.map("not ({})".format)
        | inner.map("~({})".format)
        | st.tuples(inner, st.sampled_from(["&", "|", "and", "or"]), inner).map(" ".join)
        | inner.map("({})".format)
    ),
    max_leaves=5,
)


@given(filters, ROWS)
def test_filters_of_tables_mean_what_pandas_means(text, rows):
    table = pd.DataFrame(rows, columns=["x", "n", "s", "b"])
    np.testing.assert_array_equal(checks.condition(table, text), table.eval(text))


def test_a_wrong_filter_names_the_column_and_what_is_allowed():
    table = pd.DataFrame({"reliability": [0.1], "silent": [True]})
    with pytest.raises(
        DataError,
        match=r"condition 'reliabilty > 0': there is no column 'reliabilty'\. Did you mean 'reliability'\? "
        "Columns: reliability, silent",
    ):
        checks.condition(table, "reliabilty > 0")
    with pytest.raises(
        DataError, match=r"condition 'sin\(x\)': 'sin\(x\)' is not allowed here\. Write comparisons of col"
    ):
        checks.condition(table, "sin(x)")
    with pytest.raises(DataError, match=r"is not a valid condition.*Write comparisons of columns"):
        checks.condition(table, "reliability >")
    assert checks.condition(table, "silent").tolist() == [True]
    areas = pd.DataFrame({"area": ["V1", None]})
    with pytest.raises(DataError, match="condition 'area > 3': str and int have no order, as in 'V1' and 3"):
        checks.condition(areas, "area > 3")
    assert Where("silent", ("silent",), noun="column").names == ("silent",)
