from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from neurofit.errors import UsageError
from neurofit.experiments.selector import parse

NUMBERS = [0, 1, 17, 20, 40, 99]


def chosen(text: str, numbers=NUMBERS, repetitions=range(5)) -> list[tuple[int, int]]:
    selection = parse(text)
    return [(n, r) for n in numbers for r in repetitions if selection.matches(n, r, numbers)]


def runs(text: str) -> list[int]:
    return sorted({number for number, _ in chosen(text)})


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


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("exp3:17,18", ["exp3 has no run 18."]),
        ("exp3:17,18,50-60,last", ["exp3 has no runs 18, 50-60."]),
        ("exp3:17/0,7-8,3", ["exp3 has no repetitions 7-8."]),
        ("exp3:1,2/0,7", ["exp3 has no run 2.", "exp3 has no repetition 7."]),
        ("exp3:18,50", []),  # nothing is selected, which is an error
        ("exp3:18", []),
        ("exp3:1-18,last", []),
        ("exp3", []),
        ("exp3:best/0,7", ["exp3 has no repetition 7."]),
    ],
)
def test_parts_that_mean_nothing_are_named_if_others_mean_something(text, sentences):
    assert parse(text).absent("exp3", NUMBERS, lambda: range(5)) == sentences


@pytest.mark.parametrize("name", ["exp3", "group/exp3", "a/b/exp3", "jobs/exp3.py", "C:/x"])
def test_the_name_is_what_is_before_the_last_colon(name):
    assert parse(f"{name}:17/3").experiment == name


def test_best_is_a_run_that_is_not_known_yet():
    selection = parse("exp3:best/0-1")
    assert selection.best
    with pytest.raises(ValueError, match="not known yet"):
        selection.matches(0, 0, NUMBERS)
    found = selection.of_run(17)
    assert [key for key in ((17, 0), (17, 2), (20, 0)) if found.matches(*key, NUMBERS)] == [(17, 0)]
    assert not parse("exp3").best


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
        ("exp3:1/best", "'best' is only for runs"),
        ("exp3:best,3", "'best' is a single run and stands alone"),
        ("exp3:best-3", "'best' is a single run and stands alone"),
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
