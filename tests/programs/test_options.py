"""Options of argparse and click programs, read in their source: compared with what the real parsers have."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

import click
import pytest
from hypothesis import given, strategies as st

from neurofit.errors import GridError
from neurofit.programs.options import Option, read

ARGPARSE = """
import argparse

RATE = 0.1
PARSER = argparse.ArgumentParser()
PARSER.add_argument("--lr", "-l", type=float, default=RATE, help="the rate")
PARSER.add_argument("-n", "--number-of-steps", type=int, default=100)
PARSER.add_argument("-q")
PARSER.add_argument("--name", dest="called", default="it's")
PARSER.add_argument("--optimizer", choices=["sgd", "adam"], default="sgd")
PARSER.add_argument("--sizes", type=int, nargs="+", default=[8, 8])
PARSER.add_argument("--tag", action="append")
PARSER.add_argument("-v", "--verbose", action="count", default=0)
group = PARSER.add_mutually_exclusive_group()
group.add_argument("--amp", action="store_true")
group.add_argument("--no-cache", action="store_false", dest="cache")
PARSER.add_argument("--bias", action=argparse.BooleanOptionalAction, default=True)
PARSER.add_argument("--must", required=True)
PARSER.add_argument("--version", action="version", version="1")
PARSER.add_argument("out")
PARSER.set_defaults(number_of_steps=50)
"""
CLICK = """
import click

@click.command()
@click.option("--lr", "-l", default=0.1)
@click.option("-n", "--number-of-steps", type=int, default=100)
@click.option("--name", "called", default="it's")
@click.option("--optimizer", type=click.Choice(["sgd", "adam"]), default="sgd")
@click.option("--sizes", type=int, nargs=2, default=(8, 8))
@click.option("--tag", multiple=True)
@click.option("-v", "--verbose", count=True)
@click.option("--amp", is_flag=True)
@click.option("--bias/--no-bias", default=True)
@click.option("--must", required=True)
@click.argument("out")
def main(**options):
    return options
"""
GIVEN = {
    "lr": -0.5,
    "number_of_steps": 7,
    "called": "-x --lr 3 $(no)",
    "optimizer": "adam",
    "sizes": [1, 2],
    "tag": ["a", "--b"],
    "verbose": 3,
    "amp": True,
    "bias": False,
    "must": "",
}


def program(tmp_path, text: str) -> Path:
    path = tmp_path / "train.py"
    path.write_text(textwrap.dedent(text))
    return path


def words(options: list[Option], values: dict) -> list[str]:
    return [word for one in options if one.flags for word in one.words(values.get(one.name))]


def test_what_is_read_is_what_argparse_has(tmp_path):
    options = {one.name: one for one in read(program(tmp_path, ARGPARSE))}
    scope: dict = {}
    exec(ARGPARSE, scope)
    actions = {one.dest: one for one in scope["PARSER"]._actions if one.dest not in ("help", "version")}
    assert options.keys() == actions.keys()
    for name, action in actions.items():
        own = options[name]
        assert (own.default, own.required) == (action.default, action.required), name
        assert set(own.flags) == set(action.option_strings) - {own.off}, name
        assert own.choices == tuple(action.choices or ()), name


@pytest.mark.parametrize("amp", [True, False])
@pytest.mark.parametrize("cache", [True, False])
def test_argparse_understands_the_words(tmp_path, amp, cache):
    options = read(program(tmp_path, ARGPARSE))
    scope: dict = {}
    exec(ARGPARSE, scope)
    wanted = {**GIVEN, "q": "-x y", "amp": amp and cache, "cache": cache or amp}
    found = vars(scope["PARSER"].parse_args([*words(options, wanted), "there"]))
    assert found == {**wanted, "out": "there"}


def test_click_understands_the_words(tmp_path):
    options = read(program(tmp_path, CLICK))
    scope: dict = {}
    exec(CLICK, scope)
    command: click.Command = scope["main"]
    found = command.main([*words(options, GIVEN), "there"], standalone_mode=False)
    assert found == {**GIVEN, "sizes": (1, 2), "tag": ("a", "--b"), "out": "there"}
    known = {one.name: one for one in options}
    assert known.keys() == {parameter.name for parameter in command.params}
    required = {parameter.name for parameter in command.params if parameter.required}
    assert {name for name, one in known.items() if one.required} == required
    assert known["lr"].default == 0.1 and known["amp"].default is False and known["bias"].default is True


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False), st.lists(st.integers(), max_size=3))
def test_any_value_arrives_as_it_is(text, number, many):
    if "\0" in text:
        return
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--text")
    parser.add_argument("--number", type=float)
    parser.add_argument("--each", type=int, action="append", default=[])
    options = [
        Option("text", ("--text",)),
        Option("number", ("--number",)),
        Option("each", ("--each",), kind="each"),
    ]
    found = parser.parse_args(words(options, {"text": text, "number": number, "each": many}))
    assert vars(found) == {"text": text, "number": number, "each": many}


def test_nothing_of_the_program_runs(tmp_path):
    text = (
        "import nothing_like_this\nraise SystemExit\nparser.add_argument('--lr', default=open('x').read())\n"
    )
    assert read(program(tmp_path, text)) == [Option("lr", ("--lr",))]


def test_a_function_is_named_where_there_are_several(tmp_path):
    path = program(
        tmp_path,
        """
        def one(parser): parser.add_argument("--lr", default=1)
        def two(parser): parser.add_argument("--lr", default=2)
        """,
    )
    with pytest.raises(GridError, match=r'more than once.*function="make_parser"'):
        read(path)
    assert read(path, "two")[0].default == 2
    with pytest.raises(GridError, match=r"has no function 'tow'\. Did you mean 'two'"):
        read(path, "tow")
    again = CLICK + CLICK.replace("import click", "").replace("main", "other")
    with pytest.raises(GridError, match=r"several commands of click.*main, other"):
        read(program(tmp_path, again))
    assert len(read(program(tmp_path, again), "other")) == 11


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("print(1)", r"has no add_argument"),
        ("def f(:", "is not Python"),
        ("for n in names:\n    p.add_argument(f'--{n}')", "line 2, has an option whose name is no constant"),
        ("p.add_argument(*names)", "whose name is no constant"),
        ("p.add_argument('--x', **more)", r"has an option with `\*\*`"),
        ("p.add_argument('--x', action=Mine)", "has an option with the action"),
        ("p.add_subparsers()\np.add_argument('--x')", "has subcommands"),
        ("p.add_argument()", "no constant"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(tmp_path, text, said):
    with pytest.raises(GridError, match=said) as error:
        read(program(tmp_path, text))
    assert str(tmp_path) in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(GridError, match="cannot be read: No such file"):
        read(tmp_path / "train.py")
