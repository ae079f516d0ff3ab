"""Printing: results to stdout, remarks and errors to stderr; rich tables on a terminal, plain ones elsewhere.

While `transcribing` is active, nothing is printed: each call becomes an event, which `replay` prints elsewhere.
"""

from __future__ import annotations

import base64
import codecs
import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from neurofit.text import cell_width, printable, printable_json

if TYPE_CHECKING:
    from rich.console import Console

    from neurofit.status.experiment_status import ExperimentStatus

PLAIN = {
    "…": "...",
    "·": "-",
    "–": "-",
    "—": "-",
    "×": "x",
    "→": "->",
    "━": "=",
    "╸": "=",
    "╺": "-",
    "≈": "~",
    "✓": "+",
    "✗": "x",
}
# marks the styles that this module adds; no text from outside can contain it
_OURS = f"\0{os.urandom(8).hex()}"
LIBRARY_LOG = re.compile(
    r"[IWE]\d{4} \d|WARNING: All log messages before absl|To enable the following instructions: "
)
STYLES = {
    "done": "green",
    "failed": "red",
    "lost": "magenta",
    "running": "cyan",
    "queued": "blue",
    "stopped": "yellow",
    "cancelled": "yellow",
    "new": "white",
}


class Screen(NamedTuple):
    """What is known of the terminal of the user for whom a transcript is made."""

    rich: bool = False  # shows colours and moves the cursor
    coloured: bool = False
    is_terminal: bool = False
    width: int | None = None


Event = dict[str, Any]
_transcript: tuple[Screen, Callable[[Event], None]] | None = None
_STYLE = re.compile(r"\0(\[[0-9;]*m)")  # of the text of an event


@contextlib.contextmanager
def transcribing(screen: Screen, receive: Callable[[Event], None]) -> Iterator[None]:
    """Give what would be printed to `receive`, one JSON object a call."""
    global _transcript
    before, _transcript = _transcript, (screen, receive)
    try:
        yield
    finally:
        _transcript = before


def screen() -> Screen:
    """The terminal of this process."""
    return Screen(is_rich(), is_rich() and not os.environ.get("NO_COLOR"), is_terminal(), width())


def _transcribed(kind: str, value: Any) -> bool:
    global _transcript
    if _transcript is None:
        return False
    if isinstance(value, str):
        value = "\0".join(part.replace("\0", "\\x00") for part in value.split(_OURS))
    active, _transcript = _transcript, None  # whoever receives it may print it
    try:
        active[1]({kind: value})
    finally:
        _transcript = active
    return True


def replay(event: Event, *, control: bool = False) -> None:
    """Print what another process would have printed. Nothing in an event is trusted.

    Parameters
    ----------
    event : dict
    control : bool, default False
        Whether the user has asked for bytes with their control characters.

    Raises
    ------
    ValueError
        It is not an event.
    """
    match event:
        case {"say": str(text)}:
            say(_STYLE.sub(lambda match: _OURS + match[1], text) if is_rich() else _STYLE.sub("", text))
        case {"note": str(text)}:
            note(text)
        case {"problem": str(text)}:
            problem(text)
        case {"error": str(text)}:
            error(text)
        case {"remark": str(text)}:
            remark(text)
        case {"hint": list(commands)}:
            hint(*map(str, commands))
        case {"json": record}:
            as_json(record)
        case {"raw": str(text)} if control:
            raw(text)
        case {"bytes": str(text)} if control:
            write(base64.b64decode(text, validate=True))
        case {"table": {"headers": list(headers), "rows": list(rows), "styles": list(styles)}}:
            if not all(isinstance(row, list) and len(row) == len(headers) for row in rows):
                raise ValueError("the rows of a table differ in length")
            known = [one if isinstance(one, str) and one in _OF_COLUMNS else "" for one in styles]
            table([str(name) for name in headers], rows, styles=known)
        case _:
            raise ValueError(f"not an event: {str(event)[:80]}")


_OF_COLUMNS = {*STYLES, *STYLES.values(), "bold", "dim", "state"}


def set_up() -> None:
    """Make the streams replace characters that their encoding lacks, instead of failing."""
    codecs.register_error("neurofit", _replacement)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="neurofit")


def _replacement(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(
        PLAIN.get(one) or one.encode("ascii", "backslashreplace").decode() for one in lacking
    ), error.end


def is_rich() -> bool:
    """Whether stdout is a terminal that can move the cursor and show colours."""
    if _transcript is not None:
        return _transcript[0].rich
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def is_terminal() -> bool:
    """Whether stdout is a terminal."""
    return _transcript[0].is_terminal if _transcript is not None else sys.stdout.isatty()


def shows_progress() -> bool:
    """Whether stderr is a terminal on which a line can be drawn again."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def is_interactive() -> bool:
    """Whether a user can answer questions."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def width() -> int | None:
    """The width of the terminal in cells; if stdout is not a terminal, that of COLUMNS, or None."""
    import shutil

    if _transcript is not None:
        return _transcript[0].width
    is_set = os.environ.get("COLUMNS", "").isdigit()
    return shutil.get_terminal_size().columns if sys.stdout.isatty() or is_set else None


def styled(text: str, **style: Any) -> str:
    """The text with a style, if stdout shows colours and NO_COLOR is not set."""
    if _transcript is not None and not _transcript[0].coloured:
        return text
    if _transcript is None and (not is_rich() or os.environ.get("NO_COLOR")):
        return text
    return click.style(printable(text), **style).replace("\x1b", _OURS)


def _cleared(text: str) -> str:
    """The text with control characters as escapes, except those of `styled`."""
    return "\x1b".join(printable(part) for part in text.split(_OURS))


def say(text: str = "") -> None:
    """Print a line to stdout."""
    if not _transcribed("say", text):
        print(_cleared(text))  # click.echo assumes that every terminal shows Unicode


def note(text: str) -> None:
    """Print a remark to stderr."""
    if _transcribed("note", text):
        return
    sys.stdout.flush()
    print(_dimmed(_cleared(text)), file=sys.stderr)


def problem(text: str) -> None:
    """Print a warning to stderr."""
    if _transcribed("problem", text):
        return
    sys.stdout.flush()
    print(f"{_marked('Warning:', 'yellow')} {_cleared(text)}", file=sys.stderr)


def problems_of(status: ExperimentStatus) -> None:
    """Print which files of an experiment could not be read, and which of its queues could not be asked."""
    for text in dict.fromkeys([*status.problems, *status.unanswered]):
        problem(text)


def error(text: str) -> None:
    """Print the error that ends the command to stderr."""
    if _transcribed("error", text):
        return
    sys.stdout.flush()
    print(f"{_marked('Error:', 'red')} {_cleared(text)}", file=sys.stderr)


def remark(text: str) -> None:
    """Print a text to stderr as it is, such as a message of click."""
    if not _transcribed("remark", text):
        print(printable(text), end="", file=sys.stderr)


def raw(text: str) -> None:
    """Print a line to stdout, with control characters."""
    if not _transcribed("raw", text):
        click.echo(text, color=True)


def write(data: bytes) -> None:
    """Write bytes to stdout, with control characters."""
    if _transcribed("bytes", base64.b64encode(data).decode() if _transcript else ""):
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


@contextlib.contextmanager
def without_library_logs() -> Iterator[None]:
    """Drop messages that C++ libraries write to stderr; TensorFlow writes them whatever its settings are."""
    import tempfile  # imports much, and few commands need it

    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            captured.seek(0)
            for line in captured.read().decode("utf-8", "replace").splitlines():
                if not LIBRARY_LOG.match(line):
                    print(printable(line), file=sys.stderr)


def hint(*commands: str) -> None:
    """Print commands that are useful next."""
    if not _transcribed("hint", list(commands)):
        note("Next: " + "  ·  ".join(commands))


def as_json(record: Any) -> None:
    """Print a record as JSON."""
    if _transcribed("json", record):
        return
    ascii_only = sys.stdout.encoding.lower() not in ("utf-8", "utf8")
    print(printable_json(json.dumps(record, indent=2, ensure_ascii=ascii_only, default=str)))


def confirmed(question: str) -> bool:
    """Ask a question; True if the answer is yes, which is not the default."""
    return bool(click.confirm(printable(question), default=False, err=True))


def _dimmed(text: str) -> str:
    return click.style(text, dim=True) if _coloured_err() else text


def _marked(text: str, colour: str) -> str:
    return click.style(text, fg=colour, bold=True) if _coloured_err() else text


def _coloured_err() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")


def table(
    headers: Sequence[str], rows: Iterable[Sequence[Any]], *, styles: Sequence[str | None] = ()
) -> None:
    """Print a table with numbers aligned to the right, without the columns that are empty in every row.

    Parameters
    ----------
    headers : sequence of str
        The names of the columns.
    rows : iterable of sequence
        One value per column.
    styles : sequence of str or None, optional
        A rich style per column; "state" gives each cell the colour of the state that it names.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    if _transcribed("table", {"headers": list(headers), "rows": cells, "styles": list(styles)}):
        return
    names = [printable(name) for name in headers]
    shown = [place for place, _ in enumerate(names) if any(row[place] != "" for row in cells)]
    if is_rich():
        _rich_table(names, cells, shown, styles)
    else:
        _plain_table(names, cells, shown)


def _cell(value: Any) -> Any:
    if isinstance(value, (int, float)):
        return value
    return "" if value is None else printable(str(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) or value == ""


def _plain_table(headers: Sequence[str], rows: list[list[Any]], shown: list[int]) -> None:
    columns = []
    for place in shown:
        right = all(_is_number(row[place]) for row in rows)
        texts = [headers[place], *(str(row[place]) for row in rows)]
        breadth = max(map(cell_width, texts))
        gaps = [" " * (breadth - cell_width(text)) for text in texts]
        columns.append([gap + text if right else text + gap for text, gap in zip(texts, gaps)])
    for line in zip(*columns):
        say("  ".join(line).rstrip())


def _rich_table(
    headers: Sequence[str], rows: list[list[Any]], shown: list[int], styles: Sequence[str | None]
) -> None:
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    breadths = [
        max(cell_width(str(text)) for text in (headers[place], *(row[place] for row in rows)))
        for place in shown
    ]
    fitting = _fitting(breadths, console().width)
    for place, breadth in fitting:
        right = all(_is_number(row[shown[place]]) for row in rows)
        made.add_column(
            headers[shown[place]],
            justify="right" if right else "left",
            no_wrap=True,
            overflow="ellipsis",
            width=breadth,
        )
    for row in rows:
        cells = [
            (str(row[shown[place]]), _style(row[shown[place]], styles, shown[place])) for place, _ in fitting
        ]
        made.add_row(*(Text(text.replace("\n", " "), style=style) for text, style in cells))
    console().print(made)
    if len(fitting) < len(shown):
        left_out = ", ".join(headers[place] for place in shown[len(fitting) :])
        note(f"Columns left out: {left_out}. Add --json to see all.")


def _fitting(breadths: list[int], room: int) -> list[tuple[int, int]]:
    """The columns that fit and their widths; the last one may be cut, down to 20 cells."""
    found: list[tuple[int, int]] = []
    used = 0
    for place, breadth in enumerate(breadths):
        left = room - used
        if breadth > left and (left < 20 or breadth < 20):
            return found or [(0, room)]
        found.append((place, min(breadth, left)))
        used += breadth + 2
    return found


def _style(value: Any, styles: Sequence[str | None], place: int) -> str:
    style = (styles[place] if place < len(styles) else None) or ""
    return STYLES.get(str(value).partition(",")[0], "") if style == "state" else STYLES.get(style, style)


def console() -> Console:
    """A rich console for stdout that prints text unchanged."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)
