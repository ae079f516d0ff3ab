"""`scripts/strings` finds every text of a module that a user may see, and nothing else."""

from __future__ import annotations

import difflib
import importlib.machinery
import importlib.util
import textwrap
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "strings"


@pytest.fixture(scope="module")
def strings():
    loader = importlib.machinery.SourceFileLoader("neurofit_scripts_strings", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


@pytest.fixture
def collected(strings):
    return lambda source: strings.collect(textwrap.dedent(source))


def test_texts_come_in_the_order_of_the_source(collected):
    assert collected('a = "one text"\nb = ["two texts", "three texts"]') == [
        "one text",
        "two texts",
        "three texts",
    ]


def test_parts_of_a_text_are_joined(collected):
    source = """
        a = ("starts here "
             f"and ends {where}")
        b = "starts here " + name + " and ends"
    """
    assert collected(source) == ["starts here and ends {where}", "starts here {name} and ends"]


def test_a_text_that_is_repeated_or_filled_in_is_a_field_of_the_text_around_it(collected):
    source = """
        a = "starts here " + "-" * width + " and ends"
        b = "starts here " + "at line %d" % number
        c = "long text " * times
        d = "-" + "long text" * times
    """
    assert collected(source) == [
        "starts here {'-' * width} and ends",
        "starts here {'at line %d' % number}",
        "long text ",
        "long text",
    ]


def test_fields_are_shown_as_their_expressions(collected):
    source = """a = f"{len(tasks):,} of {total!r} {'task' if total == 1 else f'{kind} tasks'}" """
    assert collected(source) == ["{len(tasks):,} of {total!r} {'task' if total == 1 else '{kind} tasks'}"]


def test_a_text_inside_a_field_is_found_even_if_the_text_around_it_is_only_a_name(collected):
    assert collected("""a = f"{describe('a long text')}.log" """) == ["a long text"]


@pytest.mark.parametrize("text", ["name", "metric.png", "--keep-going", "{a}-{b}", "%d %s", ", "])
def test_names_and_separators_are_no_texts(collected, text):
    assert collected(f"a = f{text!r}") == []


@pytest.mark.parametrize(
    "source",
    [
        'raise ValueError("Stop.")',
        'raise errors.GridError(f"Stop.") from None',
        'print("Stop.")',
        'click.echo("Stop.", err=True)',
        'log.warning("Stop.")',
        'option("--now", help="Stop.")',
        'option("--now", metavar="Stop.")',
        'print("Stop." if late else "Stop.")',
    ],
)
def test_a_single_word_counts_where_its_place_shows_it(collected, source):
    assert set(collected(source)) == {"Stop."}


def test_arguments_of_a_call_inside_a_message_are_not_shown_by_their_place(collected):
    assert collected('print(lookup("key"), table["other"])') == []


def test_the_docstring_of_a_command_is_its_help_and_other_docstrings_are_not(collected):
    source = '''
        """What this module has."""

        class Thing:
            """A thing of some kind."""

            def method(self):
                """Does this and that."""

        @click.command(epilog="See the manual.")
        @option("--json", help="Print JSON.")
        def submit():
            """Queue what is new.

            And watch it.
            """
            return "it is queued"
    '''
    assert collected(source) == [
        "See the manual.",
        "Print JSON.",
        "Queue what is new.\n\nAnd watch it.",
        "it is queued",
    ]


@pytest.mark.parametrize(
    "source",
    [
        '__all__ = ["one name"]',
        'found = {"some key": 1}',
        'found = record["some key"]',
        'a: "Study or None" = None',
        'def f(a: "Study or None") -> "a type": ...',
        'if text == "some words": pass',
        'if "some words" in text: pass',
        'match text:\n    case "some words": pass',
        'text.startswith("some words")',
        're.compile(r"some words (.*)")',
        'FIRST = r"^some words (\\d+)"',
        'SCRIPT = "#!/bin/sh\\nexec the program"',
        "LINE = 'exec the program \"$job\" || exit'",
    ],
)
def test_invisible_differences_are_left_out(collected, source):
    assert collected(source) == []


def test_values_of_a_dict_are_texts(collected):
    assert collected('COMMANDS = {"submit": "Queue what is new."}') == ["Queue what is new."]


def test_the_list_has_modules_with_their_texts_a_line_each(strings, tmp_path):
    package = tmp_path / "package"
    (package / "part").mkdir(parents=True)
    (package / "empty.py").write_text("a = 1\n")
    (package / "part" / "b.py").write_text('a = "two\\nlines"\n')
    (package / "a.py").write_text('a = """\\b\nnot wrapped"""\nb = "some text"\n')
    assert list(strings.report(package)) == [
        "package/a.py",
        "    not wrapped",
        "    some text",
        "",
        "package/part/b.py",
        "    two\\nlines",
        "",
    ]


def test_the_list_of_this_package_has_help_errors_and_output(strings):
    found = "\n".join(strings.report())
    for text in ("Print JSON", "SELECTOR", "runners/"):
        assert text in found


def test_texts_are_those_that_were_reviewed(strings):
    """A change of wording is seen in review: `scripts/strings > tests/strings.txt` renews the list."""
    reviewed = Path(__file__).with_name("strings.txt").read_text(encoding="utf-8").splitlines()
    changed = list(difflib.unified_diff(reviewed, list(strings.report()), lineterm="", n=0))
    assert not changed, "\n".join(
        ["texts changed; if they are right: scripts/strings > tests/strings.txt", *changed[2:]]
    )
