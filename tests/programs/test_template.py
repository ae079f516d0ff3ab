"""Commands with placeholders: words stay words, whatever the arguments contain."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from neurofit.errors import GridError
from neurofit.programs.template import Template


@pytest.mark.parametrize(
    ("command", "values", "words"),
    [
        ("train.py --lr {lr}", {"lr": 0.001}, ["train.py", "--lr", "0.001"]),
        ("train.py --lr={lr:.1e}", {"lr": 0.001}, ["train.py", "--lr=1.0e-03"]),
        (["my program", "{a}-{b}"], {"a": 1, "b": True}, ["my program", "1-True"]),
        ("awk '{{ print $1 }}' {file}", {"file": "a b"}, ["awk", "{ print $1 }", "a b"]),
        ("train.py --sizes {sizes}", {"sizes": [3, 5]}, ["train.py", "--sizes", "3", "5"]),
        ("train.py {sizes} end", {"sizes": []}, ["train.py", "end"]),
        ("train.py {options}", {"options": {"a": [1, None]}}, ["train.py", '{"a": [1, null]}']),
        ("train.py ''", {}, ["train.py", ""]),
    ],
)
def test_a_placeholder_becomes_its_value(command, values, words):
    assert Template.of(command).filled(values) == words


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_no_text_becomes_another_word_or_a_placeholder(text):
    assert Template.of("run --note={note} {note}").filled({"note": text}) == ["run", f"--note={text}", text]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_doubled_braces_are_braces_in_any_word(words):
    doubled = [word.replace("{", "{{").replace("}", "}}") for word in words]
    assert Template.of(doubled).filled({}) == words


@given(
    st.dictionaries(st.text(st.characters(codec="utf-8")), st.floats(allow_nan=False, allow_infinity=False))
)
def test_a_dict_is_one_word_of_json(values):
    (_, word) = Template.of("run {values}").filled({"values": values})
    assert json.loads(word) == values


def test_arguments_are_the_placeholders_that_are_not_of_the_task():
    template = Template.of("run {b} {seed} {seeds.init} {folder}/{a} {b:>4} {persistent}")
    assert template.arguments() == ["b", "a"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("", "there is no program"),
        ("train.py 'a", "Close the quotation"),
        (["train.py", 3], "the word 3 is no text"),
        ("train.py {", "write {{ and }} for braces"),
        ("train.py {}", "placeholder is the name of an argument"),
        ("train.py {a b}", "placeholder is the name of an argument"),
        ("train.py {lr!r}", "placeholder is the name of an argument"),
        ("train.py {a[0]}", "placeholder is the name of an argument"),
        ("train.py {lr:{width}}", "placeholder is the name of an argument"),
        ("train.py {seeds.other}", "of these there are seeds.init"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused(command, message):
    with pytest.raises(GridError) as error:
        Template.of(command)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("command", "value", "message"),
    [
        ("run {a}", None, "'a' is None"),
        ("run x{a}", [1], "Let {a} be a word of its own"),
        ("run {a}", [[1]], "is a list"),
        ("run {a:.2f}", "text", "no format '.2f'"),
        ("run {a}", "x\0y", "NUL"),
    ],
)
def test_a_value_that_cannot_be_a_word_is_refused(command, value, message):
    with pytest.raises(GridError) as error:
        Template.of(command).filled({"a": value})
    assert message in str(error.value)
