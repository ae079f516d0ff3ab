"""What is printed and how: facts on stdout, words about them on stderr; rich tables on a terminal, else plain
ones.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click

from neurofit.text import cell_width, printable, printable_json

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
# stands for the escape character of our own styles, which nobody else can write
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


def set_up() -> None:
    """Have streams write what their encoding lacks in other characters, instead of failing."""
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
    """Whether stdout is a terminal that can do more than print lines."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def is_asked() -> bool:
    """Whether somebody is there to answer a question."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def width() -> int | None:
    """Columns of the terminal; where the output is none, what COLUMNS says, or None."""
    import shutil

    asked = os.environ.get("COLUMNS", "").isdigit()
    return shutil.get_terminal_size().columns if sys.stdout.isatty() or asked else None


def styled(text: str, **style: Any) -> str:
    """The text in colour, where stdout shows colours and the user wants them."""
    if not is_rich() or os.environ.get("NO_COLOR"):
        return text
    return click.style(printable(text), **style).replace("\x1b", _OURS)


def _cleared(text: str) -> str:
    """The text without anything that would control a terminal, but for our own styles."""
    return "\x1b".join(printable(part) for part in text.split(_OURS))


def say(text: str = "") -> None:
    """A line of facts."""
    print(_cleared(text))  # not click.echo, which takes a terminal without Unicode for one that has it


def note(text: str) -> None:
    """A line about the facts, apart from them."""
    sys.stdout.flush()
    print(_dimmed(_cleared(text)), file=sys.stderr)


def problem(text: str) -> None:
    """Something that is wrong, and does not keep the command from going on."""
    sys.stdout.flush()
    print(f"{_marked('Warning:', 'yellow')} {_cleared(text)}", file=sys.stderr)


def problems_of(found: Any) -> None:
    """What could not be read of an experiment, and which of its queues could not be asked."""
    for text in dict.fromkeys([*found.problems, *found.unanswered]):
        problem(text)


def error(text: str) -> None:
    """What ended the command."""
    sys.stdout.flush()
    print(f"{_marked('Error:', 'red')} {_cleared(text)}", file=sys.stderr)


@contextlib.contextmanager
def without_library_logs() -> Iterator[None]:
    """Leaves out what C++ libraries log on stderr of their own accord (TensorFlow does so whatever it is
    told).
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            said.seek(0)
            lines = said.read().decode("utf-8", "replace").splitlines()
            for line in lines:
                if not LIBRARY_LOG.match(line):
                    print(printable(line), file=sys.stderr)


def hint(*commands: str) -> None:
    """The next useful commands."""
    note("Next: " + "  ·  ".join(commands))


def as_json(record: Any) -> None:
    """A record for programs."""
    ascii_only = sys.stdout.encoding.lower() not in ("utf-8", "utf8")
    print(printable_json(json.dumps(record, indent=2, ensure_ascii=ascii_only, default=str)))


def confirmed(question: str) -> bool:
    """Whether somebody says yes; no is the default."""
    return click.confirm(printable(question), default=False, err=True)


def _dimmed(text: str) -> str:
    return click.style(text, dim=True) if _coloured_err() else text


def _marked(text: str, colour: str) -> str:
    return click.style(text, fg=colour, bold=True) if _coloured_err() else text


def _coloured_err() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")


def table(
    headers: Sequence[str], rows: Iterable[Sequence[Any]], *, styles: Sequence[str | None] = ()
) -> None:
    """Columns under their headers, numbers to the right; a column that is empty in every row is left out.

    Parameters
    ----------
    styles : a style per column, for rich; "state" gives each cell the colour of the state that it names
    """
    headers = [printable(name) for name in headers]
    cells = [[_cell(value) for value in row] for row in rows]
    shown = [place for place, _ in enumerate(headers) if any(row[place] != "" for row in cells)]
    if is_rich():
        _rich_table(headers, cells, shown, styles)
    else:
        _plain_table(headers, cells, shown)


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
    fitting = _that_fit(breadths, console().width)
    for place, breadth in fitting:
        right = all(_is_number(row[shown[place]]) for row in rows)
        justify = "right" if right else "left"
        made.add_column(
            headers[shown[place]], justify=justify, no_wrap=True, overflow="ellipsis", width=breadth
        )
    for row in rows:
        cells = [
            (str(row[shown[place]]), _style(row[shown[place]], styles, shown[place])) for place, _ in fitting
        ]
        made.add_row(*(Text(text.replace("\n", " "), style=style) for text, style in cells))
    console().print(made)
    if len(fitting) < len(shown):
        note(
            f"Too wide to show: {', '.join(headers[place] for place in shown[len(fitting) :])}. --json has "
            "them."
        )


def _that_fit(breadths: list[int], room: int) -> list[tuple[int, int]]:
    """Which columns find room, and how wide: the last of them may be cut, down to 20 characters."""
    found, used = [], 0
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


def console() -> Any:
    """rich's console on stdout, which prints text as it is given."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)
