from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given, strategies as st

from neurofit.errors import UsageError
from neurofit.experiments.selector import parse, where

NUMBERS = [0, 1, 17, 20, 40, 99]


def chosen(text: str, numbers=NUMBERS, repetitions=range(5)) -> list[tuple[int, int]]:
    selection = parse(text)
    return [(n, r) for n in numbers for r in repetitions if selection.matches(n, r, numbers)]


def runs(text: str) -> list[int]:
    return sorted({number for number, _ in chosen(text)})


# ---- selectors


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("exp3", NUMBERS),
        ("exp3:all", NUMBERS),
        ("exp3:17", [17]),
        ("exp3:17-40,last", [17, 20, 40, 99]),
        ("exp3:0, 20", [0, 20]),
        ("exp3:last", [99]),
        ("exp3:40-last", [40, 99]),
        ("exp3:18-19", []),
        ("exp3:017", [17]),
    ],
)
def test_runs_are_chosen_by_number(text, numbers):
    assert runs(text) == numbers
    assert parse(text).experiment == "exp3"


def test_repetitions_follow_a_slash():
    assert chosen("exp3:17/3") == [(17, 3)]
    assert chosen("exp3:17/0-1,4") == [(17, 0), (17, 1), (17, 4)]
    assert chosen("exp3:all/2") == [(number, 2) for number in NUMBERS]
    assert chosen("exp3:17/all") == [(17, repetition) for repetition in range(5)]


@pytest.mark.parametrize("name", ["exp3", "group/exp3", "a/b/exp3", "jobs/exp3.py", "C:/x"])
def test_the_name_is_what_is_before_the_last_colon(name):
    assert parse(f"{name}:17/3").experiment == name


def test_last_of_no_runs_is_none():
    assert chosen("exp3:last", numbers=[]) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("exp3:", "expected numbers of runs, got ''"),
        ("exp3:x", "expected numbers of runs, got 'x'"),
        ("exp3:1,,2", "expected numbers of runs, got ''"),
        ("exp3:-1", "expected numbers of runs, got '-1'"),
        ("exp3:1-2-3", "expected numbers of runs, got '1-2-3'"),
        ("exp3:1/", "expected numbers of repetitions, got ''"),
        ("exp3:1/2/3", "expected numbers of repetitions, got '2/3'"),
        ("exp3:/3", "expected numbers of runs, got ''"),
        ("exp3:9-3", "range '9-3' ends before it begins"),
        ("exp3:last-3", "range 'last-3' ends before it begins"),
        ("exp3:1/last", "'last' is only for runs"),
        ("exp3:٣", "expected numbers of runs"),
        (":3", "has no name of an experiment"),
        ("", "has no name of an experiment"),
        ("exp3:" + "9" * 5000, "expected numbers of runs"),
        ("exp3:\x1b[31m", r"\\x1b"),
    ],
)
def test_another_grammar_is_an_error_that_shows_the_piece_and_the_grammar(text, message):
    with pytest.raises(UsageError, match=f"{message}.*A selector is exp3, exp3:17"):
        parse(text)


@given(st.text())
def test_any_text_is_a_selector_or_refused(text):
    try:
        parse(text).matches(3, 0, [1, 3])
    except UsageError as error:
        assert "A selector is" in str(error)


# ---- conditions

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
        "9 ** 9 ** 9",
        "1 << 100",
        "model is None",
        "1 if model else 2",
        "{1: 2}",
        "{1, 2}",
        "*regions",
        "~filters",
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
def test_what_is_no_condition_is_an_error(text):
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
