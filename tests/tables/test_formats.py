from __future__ import annotations

import csv
import io
import json
import math
import re
import string

import pandas as pd
import pytest
from hypothesis import given, strategies as st

from neurofit.errors import UsageError
from neurofit.tables.formats import FORMATS, render, sheet

# What a csv file can carry: pandas' reader stops at NUL, and no file holds half a surrogate pair.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
PRINTABLE = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=30)


def frame(always=(), **columns) -> pd.DataFrame:
    made = pd.DataFrame({name: pd.Series(values) for name, values in columns.items()})
    made.attrs["always"] = list(always)
    return made


def markdown_cells(line: str) -> list[str]:
    """The cells of one row of a table, read as CommonMark and GFM have it."""
    cells = re.findall(r"((?:\\.|[^|\\])*)\|", line)[1:]
    return [re.sub(rf"\\([{re.escape(string.punctuation)}])", r"\1", cell.strip()) for cell in cells]


def test_a_plain_table_aligns_numbers_right_and_texts_left():
    assert render(frame(run=[1, 10], activation=["linear", "softplus"], score=[0.5, 0.25])) == (
        "run  activation  score\n---  ----------  -----\n  1  linear        0.5\n 10  softplus     0.25"
    )


def test_columns_that_are_the_same_in_every_row_become_one_line():
    text = render(frame(run=[1, 2], commit=["f" * 40] * 2, attempt=[1, 1], nothing=[None, None]))
    assert text == "run\n---\n  1\n  2\n\nThe same in every row: commit ffffffff, attempt 1."


def test_only_what_is_a_hash_is_shortened_like_one():
    page = sheet(frame(id=["0123456789abcdef", "readable name"]))
    assert page.columns[0].cells == ["01234567", "readable name"]


def test_columns_that_a_person_always_wants_stay_and_a_single_row_keeps_all():
    assert "score" in render(frame(["score"], run=[1, 2], score=[0.5, 0.5])).splitlines()[0]
    assert render(frame(run=[1], commit=["f00"])).splitlines()[0] == "run  commit"


def test_a_number_that_repetitions_do_not_change_is_shown_once():
    ceiling = {"c mean": [0.9, 0.9], "c low": [0.9, None], "c high": [0.9, None], "c median": [0.9, 0.9]}
    page = sheet(frame(run=[1, 2], **ceiling))
    assert ([column.name for column in page.columns], page.constant) == (["run"], {"c": "0.9"})
    assert [column.name for column in sheet(frame(["c mean"], run=[1, 2], **ceiling)).columns] == ["run", "c"]
    assert "c" in [
        column.name for column in sheet(frame(run=[1, 2], **{**ceiling, "c mean": [0.9, 0.8]})).columns
    ]


def test_long_texts_that_differ_in_their_middle_are_not_taken_for_the_same():
    page = sheet(frame(run=[1, 2], note=["a" * 50 + "1" + "b" * 50, "a" * 50 + "2" + "b" * 50]))
    assert [column.name for column in page.columns] == ["run", "note"] and not page.constant
    assert page.columns[1].cells[0] == "a" * 25 + "…" + "b" * 14


@pytest.mark.parametrize(
    "values, shown",
    [
        ([0.5123456, 0.25], ["0.5123", "0.2500"]),
        ([0.001, 0.1], ["0.001", "0.1"]),
        ([100000.0, 0.5], ["100000", "0.5"]),
        ([1234.5678, 98.7654], ["1235", "99"]),
        ([0.5123456, 0.0001034567], ["0.5123", "0.0001035"]),
        ([1.23456e-9, 1.0], ["1.235e-09", "1"]),
        ([1.23456e12, 1.23456e12 + 1e9], ["1.235e+12", "1.236e+12"]),
        ([0.0, math.pi], ["0.000", "3.142"]),
        ([math.nan, -math.pi], ["", "-3.142"]),
        ([math.inf, 1.5], ["inf", "1.5"]),
    ],
)
def test_people_see_four_digits(values, shown):
    assert sheet(frame(value=values)).columns[0].cells == shown


def test_programs_see_every_digit():
    made = frame(value=[1 / 3, 0.1], lists=[[1, 2.5], ["a"]])
    assert render(made, "csv") == 'value,lists\n0.3333333333333333,"[1, 2.5]"\n0.1,"[""a""]"'
    assert json.loads(render(made, "json")) == [
        {"value": 1 / 3, "lists": [1, 2.5]},
        {"value": 0.1, "lists": ["a"]},
    ]


def test_an_interval_takes_one_cell_and_a_single_repetition_shows_none():
    made = frame(**{"m mean": [0.51234, 0.4], "m low": [0.49, math.nan], "m high": [0.53, math.nan]})
    assert sheet(made).columns[0].cells == ["0.5123 [0.4900, 0.5300]", "0.4000"]
    interval = {"m mean": [1.0, 2], "m low": [0.0, 1], "m high": [2.0, 3]}
    page = sheet(frame(**interval, **{"m p10": [0.5, 1.5], "m p90": [1.5, 2.5]}))
    assert [column.name for column in page.columns] == ["m", "m p10 to p90"]
    assert page.columns[1].cells == ["0.5 to 1.5", "1.5 to 2.5"]


def test_columns_that_find_no_room_are_named():
    text = render(frame(run=[1, 2], name=["a" * 30, "b" * 30], score=[0.5, 0.25]), width=37)
    assert text.splitlines()[0].split() == ["run", "name"]
    assert "Too wide to show: score. --format csv and json" in text.replace("\n", " ")
    assert max(map(len, text.splitlines())) <= 37


def test_what_a_table_names_first_finds_room_before_others():
    made = frame(run=[1, 2], name=["a" * 30, "b" * 30], repetitions=[3, 4])
    made.attrs["first"] = ["repetitions"]
    assert render(made, width=37).splitlines()[0].split() == ["run", "repetitions"]


def test_the_first_score_finds_room_before_arguments_and_hashes():
    made = frame(
        **{
            "run": [0, 1],
            "id": ["e18f8fa4", "5b1b71c5"],
            "filters": [4, 16],
            "activation": ["softplus", "linear"],
            "test/correlation": [0.5, 0.25],
            "test/other": [1.0, 2.0],
        }
    )
    for width, columns in (
        (24, "run test/correlation"),
        (34, "run filters test/correlation"),
        (46, "run filters activation test/correlation"),
        (53, "run id filters activation test/correlation"),
        (200, "run id filters activation test/correlation test/other"),
    ):
        assert render(made, width=width).splitlines()[0].split() == columns.split()


def test_wide_characters_keep_columns_aligned():
    lines = render(frame(name=["神経", "ab"], run=[1, 2])).splitlines()
    assert lines[2:] == ["神経    1", "ab      2"]


@pytest.mark.parametrize("format", ["table", "markdown", "latex"])
def test_control_characters_never_reach_a_terminal(format):
    text = render(frame(**{"na\nme": ["\x1b[31mred\r\n", "x\u2028y\x00"], "run": [1, 2]}), format)
    assert "\x1b" not in text and "\r" not in text and "\x00" not in text and "\u2028" not in text
    assert len(text.splitlines()) == {"table": 4, "markdown": 4, "latex": 9}[format]


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_can_be_written_to_a_file_whatever_is_in_the_table(format):
    odd = ["\ud800 half a pair", 10**400, {"a": [math.inf]}, True, None, "x" * 100_000]
    text = render(frame(value=odd, run=range(6)), format)
    assert text.encode("utf-8")


@pytest.mark.parametrize("format", FORMATS)
def test_a_table_without_rows_is_not_an_error(format):
    text = render(pd.DataFrame({"run": [], "state": []}), format)
    assert text == "[]" if format == "json" else "run" in text


@given(
    st.lists(
        st.tuples(TEXT, st.floats(allow_nan=False) | st.none(), st.integers(-(2**53), 2**53)), min_size=1
    )
)
def test_csv_comes_back_through_pandas(rows):
    texts, floats, wholes = map(list, zip(*rows))
    made = frame(text=pd.Series(texts, dtype=object), float=pd.Series(floats, dtype=float), whole=wholes)
    text = render(made, "csv", raw=True)
    back = pd.read_csv(
        io.StringIO(text), keep_default_na=False, na_values={"float": [""]}, dtype={"text": str}
    )
    assert back["text"].tolist() == texts
    assert [None if math.isnan(value) else value for value in back["float"]] == floats
    assert back["whole"].tolist() == wholes


ODD = st.text(st.sampled_from("=+-@\uff1d 1.e\t\r\x1b\x9b\u202ea"), max_size=12)


@given(ODD, st.integers(), st.floats(allow_nan=False))
def test_csv_has_no_text_that_a_spreadsheet_computes_or_a_terminal_obeys(text, whole, number):
    made = frame(
        text=[text, "b"], whole=[whole, 0], float=[number, 0.5], mixed=pd.Series([text, -1.5], dtype=object)
    )
    rows = list(csv.reader(io.StringIO(render(made, "csv"))))
    for cell in (rows[1][0], rows[1][3]):
        assert cell.lstrip()[:1] not in set("=+-@\uff1d") - {""} or is_number(cell)
        assert not set("\x1b\x9b\u202e\r") & set(cell)
    assert rows[1][1] == str(whole) and float(rows[1][2]) == number and rows[2][3] == "-1.5"


def is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def test_names_of_columns_are_text_too():
    assert render(pd.DataFrame({"=1+1": [1], "a\x1b[2J": [2]}), "csv") == "'=1+1,a\\x1b[2J\n1,2"
    assert render(pd.DataFrame({"=1+1": [1]}), "csv", raw=True) == "=1+1\n1"


CELLS = st.floats() | st.text() | st.none() | st.lists(st.floats(), max_size=2)


@given(st.lists(st.dictionaries(TEXT, CELLS, min_size=1), max_size=4))
def test_json_is_standard_whatever_is_in_it(rows):
    def refuse(word: str):
        raise AssertionError(word)

    assert len(json.loads(render(pd.DataFrame(rows), "json"), parse_constant=refuse)) == len(
        pd.DataFrame(rows)
    )


@given(PRINTABLE, st.lists(st.tuples(PRINTABLE, st.integers()), min_size=2, max_size=5))
def test_markdown_comes_back_cell_by_cell(name, rows):
    texts, wholes = map(list, zip(*rows))
    made = pd.DataFrame({name: pd.Series(texts, dtype=object), name + "2": pd.Series(wholes, dtype=object)})
    made.attrs["always"] = list(made)
    head, rule, *body = render(made, "markdown").splitlines()
    assert markdown_cells(head) == [name, name + "2"]
    assert rule.startswith("| :--- | ---: |")
    assert [markdown_cells(line) for line in body] == [[text, str(whole)] for text, whole in rows]


def test_markdown_leaves_underscores_inside_words_alone():
    assert render(frame(learning_rate=[0.1, 0.2]), "markdown").splitlines()[0] == "| learning_rate |"
    assert render(frame(a=["_x_ *y* a|b", "2"]), "markdown").splitlines()[2] == r"| \_x\_ \*y\* a\|b |"


def test_latex_escapes_what_tex_would_obey():
    text = render(frame(learning_rate=["50 % & $x_1$ #\\{}~^", "[a] --flag"], score=[-0.5, 1.5]), "latex")
    lines = text.splitlines()
    assert lines[:4] == [
        r"% \usepackage{booktabs,textcomp}",
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"learning\_rate & score \\",
    ]
    assert lines[5] == (
        r"50 \% \& \$x\_1\$ \#\textbackslash{}\{\}\textasciitilde{}\textasciicircum{} & $-$0.5 \\"
    )
    assert lines[6] == r"{[}a] -{}-{}flag & 1.5 \\"
    assert lines[7:] == [r"\bottomrule", r"\end{tabular}"]


@given(PRINTABLE)
def test_no_text_breaks_out_of_its_latex_cell(text):
    row = render(pd.DataFrame({"a": pd.Series([text, "other"], dtype=object)}), "latex").splitlines()[5]
    inside = row.removesuffix(r" \\")
    assert not re.search(r"(?<!\\)[%&$#_~^]", inside)
    bare = re.sub(r"\\[{}]", "", inside)
    assert bare.count("{") == bare.count("}")


def test_an_unknown_format_offers_the_nearest():
    with pytest.raises(UsageError, match=r"Unknown format 'jsn'\. Did you mean 'json'\? Formats: table, csv"):
        render(frame(run=[1]), "jsn")
