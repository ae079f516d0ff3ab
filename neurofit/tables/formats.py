"""Tables as text: `table`, `markdown` and `latex` for people, `csv` and `json` for programs.

Programs get every column and every digit. People get numbers with four digits, long texts cut in the middle,
intervals in one cell ("0.512 [0.490, 0.534]"), no empty columns, and one line that lists the columns that are the
same in every row.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neurofit.errors import UsageError, nearest
from neurofit.text import cell_width, cut, printable

if TYPE_CHECKING:
    import pandas as pd

_MAX_TEXT = 40
_JSON_TYPES = {str, int, bool, type(None)}  # written to JSON unchanged
SPREAD = ("mean", "low", "high", "median", "p10", "p90")
_HASHES = ("id", "code", "commit", "data_hash")
_ROW_NAMES = ("experiment", "run", "repetition")
_HASH = re.compile("[0-9a-f]{12,}")
_FORMULA = frozenset("=+-@\uff1d\uff0b\uff0d\uff20")  # including the wide forms
_MUST_BE_QUOTED = re.compile(r'[",\r\n]|^\s|\s$')
_MARKUP = re.compile(r"([\\|*`\[\]<>&~$]|(?<![^\W_])_|_(?![^\W_]))")
_MINUS = re.compile(r"-(?=\d)")
_CHUNK = 10_000  # rows of csv that are made at a time, so that their cells are not all in memory at once
_PLAIN_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "_": r"\_",
    "%": r"\%",
    "&": r"\&",
    "$": r"\$",
    "#": r"\#",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",
    "*": "{*}",
    "-": "-{}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    "…": r"\ldots{}",
}


@dataclass(frozen=True)
class Column:
    """One column of a sheet, as text."""

    name: str
    cells: list[str]
    numeric: bool


@dataclass(frozen=True)
class Sheet:
    """A table for people: the columns to show, and the values that are the same in every row."""

    columns: list[Column]
    constant: dict[str, str]


def render(frame: pd.DataFrame, format: str = "table", *, width: int | None = None, raw: bool = False) -> str:
    """Write a table of results as text, without a newline at the end.

    Parameters
    ----------
    frame : pandas.DataFrame
        A table of `table`, `by_run` or `compare`.
    format : {"table", "csv", "json", "markdown", "latex"}
    width : int, optional
        Characters per line of a plain table. If the arguments that tell its rows apart do not fit, they go on in
        a second block below; other columns that do not fit are left out.
    raw : bool
        Write text to csv unchanged. Default: escape control characters, and put ' before text that a
        spreadsheet would compute.

    Raises
    ------
    UsageError
        There is no such format.
    """
    if format not in FORMATS:
        raise UsageError(
            f"Unknown format '{format}'.{nearest(format, FORMATS)} Formats: {', '.join(FORMATS)}."
        )
    if format == "table":
        text = _table(sheet(frame), width, frame.attrs.get("first", []), frame.attrs.get("axes", []))
    else:
        text = _csv(frame, raw) if format == "csv" else _WRITERS[format](frame)
    # A lone surrogate, which JSON can hold but UTF-8 cannot, is written as an escape.
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def matrix_csv(values: Any, row_title: str, row_names: Any, column_names: Sequence[str]) -> str:
    """Write a matrix as csv with names of rows and columns, without a newline at the end.

    Parameters
    ----------
    values : array_like, shape (row, column)
    row_title : str
        The header of the first column, which has the names of the rows.
    row_names : array_like, shape (row,)
    column_names : sequence of str
    """
    import pandas as pd

    frame = pd.DataFrame(values, columns=list(column_names))
    frame.insert(0, row_title, row_names)
    return render(frame, "csv")


def sheet(frame: pd.DataFrame) -> Sheet:
    """Choose the columns to show to people, with intervals in one cell.

    A column whose values are all equal is moved to `constant`, unless `attrs["always"]` names it. A table of one
    row has no constant columns except those that `attrs["below"]` names.
    """
    below = frame.attrs.get("below", [])
    always = frame.attrs.get("always", [])
    columns: list[Column] = []
    constant: dict[str, str] = {}
    stems = {name[:-5] for name in map(str, frame) if name.endswith(" mean") and f"{name[:-5]} low" in frame}
    unspread = {stem for stem in stems if f"{stem} mean" not in always and _has_no_spread(frame, stem)}
    shown = {stem for stem in stems - unspread if f"{stem} mean" in always}
    for name in map(str, frame):
        if _stem(name, unspread, *SPREAD):
            if _stem(name, unspread, "mean"):
                constant[_one_line(name[:-5])] = _cells(name, _values(frame[name])[:1])[0]
            continue
        if _stem(name, shown, "low", "high", "p90"):
            continue  # in the cell of the mean, or of the 10th percentile
        values = _values(frame[name])
        is_constant = bool(values) and name not in always and values.count(values[0]) == len(values)
        is_constant = is_constant and not _stem(name, shown, "p10")
        if is_constant and values[0] is None:
            continue
        if is_constant and (len(values) > 1 or name in below):
            constant[_one_line(name)] = _cells(name, values[:1])[0]
        elif _stem(name, stems, "mean", "p10"):
            columns.append(_interval_column(frame, name))
        elif not _stem(name, stems, "low", "high", "p90"):
            columns.append(Column(_one_line(name), _cells(name, values), _is_numeric(values)))
    return Sheet(columns, constant)


def _has_no_spread(frame: pd.DataFrame, stem: str) -> bool:
    """Whether all rows and repetitions have the same number."""
    values = [
        value for part in SPREAD if f"{stem} {part}" in frame for value in _values(frame[f"{stem} {part}"])
    ]
    full = len(frame) > 1 and not frame[f"{stem} mean"].isna().any()
    return full and len({f"{value:.6g}" for value in values if value is not None}) == 1


def _stem(name: str, stems: set[str], *parts: str) -> bool:
    stem, _, what = name.rpartition(" ")
    return stem in stems and what in parts


def _interval_column(frame: pd.DataFrame, name: str) -> Column:
    """Join 'M mean', 'M low' and 'M high' into a column 'M', or 'M p10' and 'M p90' into 'M p10 to p90'."""
    stem, _, what = name.rpartition(" ")
    parts = ("mean", "low", "high") if what == "mean" else ("p10", "p90")
    columns = [_values(frame[f"{stem} {part}"]) for part in parts]
    write = _number_writer([value for values in columns for value in values if value is not None])
    texts = zip(*(_texts(values, write) for values in columns))
    if what == "mean":
        return Column(
            _one_line(stem), [f"{mean} [{low}, {high}]" if low else mean for mean, low, high in texts], True
        )
    return Column(
        f"{_one_line(stem)} p10 to p90", [f"{low} to {high}" if low else "" for low, high in texts], True
    )


def _values(series: pd.Series[Any]) -> list[Any]:
    """The values as Python objects, None where one is missing."""
    values, absent = series.tolist(), series.isna()
    return (
        [None if gone else value for value, gone in zip(values, absent.tolist())] if absent.any() else values
    )


def _cells(name: str, values: list[Any]) -> list[str]:
    if name in _HASHES:
        return _texts(values, lambda value: str(value)[:8] if _HASH.fullmatch(str(value)) else _short(value))
    write = _number_writer([value for value in values if type(value) is float])
    if set(map(type, values)) == {float}:
        return list(map(write, values))
    return _texts(values, lambda value: write(value) if type(value) is float else _short(value))


def _texts(values: list[Any], write: Callable[[Any], str]) -> list[str]:
    """Write every value; None as an empty text."""
    if set(map(type, values)) - {type(None)} in ({str}, {int}):  # few distinct values in most columns
        written = {value: write(value) for value in set(values) if value is not None}
        return [written.get(value, "") for value in values]
    return ["" if value is None else write(value) for value in values]


def _is_numeric(values: list[Any]) -> bool:
    return all(type(value) in (int, float) for value in values if value is not None)


def _number_writer(values: list[float]) -> Callable[[float], str]:
    """How to write the floats of one column: unchanged if all have at most four digits, otherwise with as many
    decimals as the largest needs for four digits.
    """
    sizes = [abs(value) for value in values if value and math.isfinite(value)]
    if not sizes or all(float(f"{size:.4g}") == size for size in sizes):
        return "{:.10g}".format
    largest = math.floor(math.log10(max(sizes)))
    if not -3 <= largest < 6 or min(sizes) < max(sizes) * 1e-3:
        return "{:.4g}".format
    return f"{{:.{max(0, 3 - largest)}f}}".format


def _short(value: Any) -> str:
    """The value on one line, cut in the middle because long texts often share their beginning."""
    text = _whole(value)
    if len(text) > 4 * _MAX_TEXT:  # escaping 100 kB to cut it would be slow
        text = text[: 2 * _MAX_TEXT] + text[-2 * _MAX_TEXT :]
    return cut(_one_line(text), _MAX_TEXT, 14)


def _one_line(text: str) -> str:
    """The text with control characters escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _whole(value: Any) -> str:
    """The value in full: text unchanged, lists and dicts as JSON, floats with every digit."""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value, default=str)
    return repr(value) if isinstance(value, float) else str(value)


def _table(sheet: Sheet, width: int | None, first: Sequence[str], axes: Sequence[str]) -> str:
    widths = [_width(column) for column in sheet.columns]
    names = [column.name for column in sheet.columns]
    blocks = _blocks_of_columns(names, widths, width, first, axes)
    shown = set(itertools.chain.from_iterable(blocks))
    left_out = [column for place, column in enumerate(sheet.columns) if place not in shown]
    lines: list[str] = []
    for block in blocks:
        lines += [""] * bool(lines)
        chosen = [(sheet.columns[place], widths[place]) for place in block]
        heads = [_padded([column.name, "-" * width], width, column.numeric) for column, width in chosen]
        lines += ["  ".join(row).rstrip() for row in zip(*heads)]
        for start in range(0, len(chosen[0][0].cells) if chosen else 0, _CHUNK):
            end = start + _CHUNK
            filled = [_padded(column.cells[start:end], width, column.numeric) for column, width in chosen]
            lines += ["  ".join(row).rstrip() for row in zip(*filled)]
    remarks = [_remark(sheet)]
    if left_out:
        names = [column.name for column in left_out]
        more = f" and {len(names) - 4} more" if len(names) > 5 else ""
        named = ", ".join(names[:4] if more else names)
        remarks.append(f"Too wide to show: {named}{more}. --format csv and json write all columns.")
    for remark in filter(None, remarks):
        lines += ["", *textwrap.wrap(remark, width or 120)]
    return "\n".join(lines)


def _blocks_of_columns(
    names: list[str], widths: list[int], width: int | None, first: Sequence[str], axes: Sequence[str]
) -> list[list[int]]:
    """Choose the columns to show: one block of those that fit, or several if the important ones do not fit.

    Important are the first column, those that `attrs["first"]` or `attrs["axes"]` names, and the first score. Every
    block begins with the columns that name its rows.
    """
    score = next((place for place, name in enumerate(names) if "/" in name), 0)
    before = [names.index(name) for name in map(_one_line, [*first, *axes]) if name in names]
    important = list(dict.fromkeys([0, *before, score]))
    shown = _columns_that_fit(names, widths, width, important)
    if width is None or set(important) <= set(shown):
        return [shown]
    named = [place for place in important if names[place] in _ROW_NAMES] or [0]
    used = sum(widths[place] + 2 for place in named)
    blocks: list[list[int]] = []
    room = 0
    others = [place for place in range(len(names)) if place not in important and names[place] not in _HASHES]
    for place in [*sorted(set(important) - set(named)), *others]:
        if widths[place] > room:
            if place in others:
                break
            blocks.append([*named])
            room = width - used
        blocks[-1].append(place)
        room -= widths[place] + 2
    return [sorted(block) for block in blocks]


def _columns_that_fit(
    names: list[str], widths: list[int], width: int | None, important: Sequence[int]
) -> list[int]:
    """Choose the columns that fit, with two spaces between them.

    The important ones come before the others; hashes are added if there is room at the end.
    """
    others = [place for place, name in enumerate(names) if name not in _HASHES]
    wanted = list(dict.fromkeys([*important, *others]))
    ends = itertools.accumulate(widths[place] + 2 for place in wanted)
    limit = width or math.inf
    shown = wanted[: max(1, sum(end - 2 <= limit for end in ends))]
    for place, name in enumerate(names):
        needed = sum(widths[one] + 2 for one in [*shown, place]) - 2
        if name in _HASHES and place not in shown and needed <= limit:
            shown.append(place)
    return sorted(shown)


def _width(column: Column) -> int:
    """The width of the widest cell."""
    cells = [column.name, *column.cells]
    return max(map(len if all(map(str.isascii, cells)) else cell_width, cells))


def _padded(cells: list[str], width: int, numeric: bool) -> list[str]:
    """The cells with spaces before or after them, all of this width."""
    if all(map(str.isascii, cells)):
        return [cell.rjust(width) for cell in cells] if numeric else [cell.ljust(width) for cell in cells]
    gaps = [" " * (width - cell_width(cell)) for cell in cells]
    return [gap + cell if numeric else cell + gap for cell, gap in zip(cells, gaps)]


def _remark(sheet: Sheet) -> str:
    listed = ", ".join(f"{name} {value or repr(value)}" for name, value in sheet.constant.items())
    several = any(len(column.cells) > 1 for column in sheet.columns)
    return f"{'The same in every row: ' if several else ''}{listed}." if listed else ""


def _csv(frame: pd.DataFrame, raw: bool) -> str:
    def cell(value: Any) -> str:
        text = _whole(value)
        return _quoted(text if raw or isinstance(value, (int, float)) else _harmless(text))

    lines = [",".join(cell(str(name)) for name in frame)]
    for start in range(0, len(frame), _CHUNK):
        chunk = frame.iloc[start : start + _CHUNK]
        columns = [_csv_cells(_values(chunk[name]), cell) for name in chunk]
        lines.append("\n".join(map(",".join, zip(*columns))))
    return "\n".join(lines)


def _csv_cells(values: list[Any], cell: Callable[[Any], str]) -> list[str]:
    """The cells of a column; a number has nothing to quote or to escape."""
    kinds = set(map(type, values))
    if kinds <= {int, bool}:
        return list(map(str, values))
    if kinds == {float}:
        return list(map(repr, values))
    return _texts(values, cell)


def _harmless(text: str) -> str:
    """Escape control characters, and put ' before text that a spreadsheet would compute; numbers stay numbers."""
    text = printable(text)
    is_formula = text.lstrip()[:1] in _FORMULA and text.strip() and not _PLAIN_NUMBER.fullmatch(text)
    return f"'{text}" if is_formula else text


def _quoted(text: str) -> str:
    """Quote a cell as in RFC 4180; empty text is quoted, a missing value is not."""
    # csv.writer does not quote a lone carriage return, which pandas reads as the end of a row.
    return text if text and not _MUST_BE_QUOTED.search(text) else '"' + text.replace('"', '""') + '"'


def _json(frame: pd.DataFrame) -> str:
    names = [str(name) for name in frame]
    rows = zip(*(_json_values(_values(frame[name])) for name in frame))
    write = json.JSONEncoder(allow_nan=False, default=_json_fallback).encode
    lines = ",\n  ".join(write(dict(zip(names, row))) for row in rows)
    return f"[\n  {lines}\n]" if lines else "[]"


def _json_values(values: list[Any]) -> list[Any]:
    """Convert every value for JSON; most columns need no conversion."""
    return values if set(map(type, values)) <= _JSON_TYPES else [_json_value(value) for value in values]


def _json_value(value: Any) -> Any:
    """Replace nan and infinity, which standard JSON lacks, with None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _json_value(inner) for key, inner in value.items()}
    return [_json_value(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _json_fallback(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)


def _markdown(frame: pd.DataFrame) -> str:
    page = sheet(frame)
    rows = [[_markdown_text(column.name) for column in page.columns]]
    rows.append(["---:" if column.numeric else ":---" for column in page.columns])
    rows += [
        [_markdown_text(cell) for cell in row] for row in zip(*(column.cells for column in page.columns))
    ]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([*lines, *(["", _markdown_text(remark)] if (remark := _remark(page)) else [])])


def _markdown_text(text: str) -> str:
    """Escape markup; an underscore inside a word is not markup."""
    return _MARKUP.sub(r"\\\1", text)


def _latex(frame: pd.DataFrame) -> str:
    page = sheet(frame)
    kinds = "".join("r" if column.numeric else "l" for column in page.columns)
    head = " & ".join(_latex_text(column.name) for column in page.columns)
    rows = [
        " & ".join(map(_latex_cell, page.columns, row))
        for row in zip(*(column.cells for column in page.columns))
    ]
    remark = [f"% {remark}"] if (remark := _remark(page)) else []
    body = [rf"{row} \\" for row in rows]
    table = [f"\\begin{{tabular}}{{{kinds}}}", r"\toprule", rf"{head} \\", r"\midrule", *body, r"\bottomrule"]
    return "\n".join([r"% \usepackage{booktabs,textcomp}", *table, r"\end{tabular}", *remark])


def _latex_cell(column: Column, cell: str) -> str:
    return _MINUS.sub("$-$", cell).replace("[", "{[}") if column.numeric else _latex_text(cell)


def _latex_text(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


_WRITERS: dict[str, Callable[[pd.DataFrame], str]] = {
    "json": _json,
    "markdown": _markdown,
    "latex": _latex,
}
FORMATS = ("table", "csv", *_WRITERS)
