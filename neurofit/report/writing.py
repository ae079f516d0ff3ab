"""The page of a report: the template filled in, as one file without references to others."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurofit.errors import UsageError, install
from neurofit.files import check_place, explain_os_errors, write_whole
from neurofit.orchestrate.explanations import factor_lines
from neurofit.report.gathering import ExperimentReport, Report
from neurofit.text import command, printable

GENERATOR = "neurofit report"
SUFFIXES = (".html", ".htm")
MOST_CSV_BYTES = 3_000_000  # of one file, packed
MOST_NAMES = 3  # of experiments, in the title
_HEAD = 4096  # bytes of a file that say whether it is a report
_MARK = re.compile(rb'<meta name="generator" content="neurofit report ')
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class CsvFiles:
    """The CSV files of an experiment: name and id of each, and sentences about those that are left out."""

    files: list[tuple[str, str]]
    left_out: list[str]


def require_jinja2() -> None:
    """Check that jinja2 is installed.

    Raises
    ------
    UsageError
    """
    try:
        import jinja2  # noqa: F401
    except ImportError:
        raise UsageError(
            f"A report needs jinja2, which is not installed: {install('report')}. To write the numbers without a "
            "page, use `neurofit results … --format csv`."
        ) from None


def check_path(path: Path, *, chosen: bool) -> None:
    """Check that a report can be written to a path.

    Parameters
    ----------
    path : Path
    chosen : bool
        Whether the user named it, and not the command.

    Raises
    ------
    UsageError
        The name has another end, its folder is missing, it is a folder, or the user did not name it and it is
        a file that is not a report.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path}: the file name must end in {' or '.join(SUFFIXES)}.")
    check_place(path, "report.html")
    if not chosen and path.exists() and not is_report(path):
        raise UsageError(f"{path} exists and is not a report of neurofit. Choose another name with -o FILE.")


def is_report(path: Path) -> bool:
    """Whether a file is a report that this command wrote."""
    try:
        with open(path, "rb") as file:
            return bool(_MARK.search(file.read(_HEAD)))
    except OSError:
        return False


def write(report: Report, path: Path) -> int:
    """Write a report whole or not at all, and return its size in bytes.

    Raises
    ------
    StoreError
        The file cannot be written.
    """
    content = page(report).encode("utf-8", "backslashreplace")
    with explain_os_errors(path, "write the report"):
        write_whole(path, content)
    return len(content)


def page(report: Report) -> str:
    """The report as HTML. Every text is escaped, and a policy forbids all requests and all other scripts."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    files, blocks = {}, []
    for experiment in report.experiments:
        files[experiment.anchor], packed = _csv_files(experiment)
        blocks += packed
    names = [experiment.selector for experiment in report.experiments]
    title = ", ".join(names) if len(names) <= MOST_NAMES else f"{report.study}: {len(names)} experiments"
    template: Any = environment.get_template("page.html")
    text: str = template.render(
        report=report,
        title=title,
        policy=_policy(style, script),
        generator=GENERATOR,
        style=_Trusted(style),
        script=_Trusted(script),
        csv=files,
        blocks=blocks,
        factors=factor_lines,
        hours=_hours,
        memory=lambda gigabytes: "" if gigabytes is None else f"{gigabytes:.2f}",
        command=command,
        coded=_coded,
        breakable=_breakable,
    )
    return text


class _Trusted(str):
    """Text of this package, which the template inserts unescaped."""

    def __html__(self) -> str:
        return str(self)


def _policy(style: str, script: str) -> str:
    """What the page may do: its own style and script, and nothing from anywhere else."""
    sources = [
        f"{kind}-src 'sha256-{_digest(text)}'" for kind, text in (("style", style), ("script", script))
    ]
    return "; ".join(["default-src 'none'", *sources, "base-uri 'none'", "form-action 'none'"])


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _csv_files(experiment: ExperimentReport) -> tuple[CsvFiles, list[tuple[str, str]]]:
    stem = re.sub(r"[^\w.-]+", "-", experiment.selector).strip("-.") or "experiment"
    files: list[tuple[str, str]] = []
    blocks: list[tuple[str, str]] = []
    left_out: list[str] = []
    for name, text, by in (
        (f"{stem}-runs.csv", experiment.table.csv, "run"),
        (f"{stem}-tasks.csv", experiment.csv, None),
    ):
        packed = gzip.compress(text.encode("utf-8", "backslashreplace"), 9, mtime=0)
        if len(packed) > MOST_CSV_BYTES:
            words = command("results", experiment.selector, by=by, format="csv")
            left_out.append(
                f"{name} would add {len(packed) / 1e6 * 4 / 3:.0f} MB to this page and is left out; "
                f"`{words}` prints it."
            )
            continue
        identifier = f"{experiment.anchor}-csv-{len(files) + 1}"
        files.append((name, identifier))
        blocks.append((identifier, base64.b64encode(packed).decode()))
    return CsvFiles(files, left_out), blocks


def _hours(hours: float) -> str:
    """'<0.01', '1.25', '1,203'"""
    if 0 < hours < 0.01:
        return "<0.01"
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.2f}" if hours else "0"


def _coded(text: str) -> _Trusted:
    """A sentence, escaped, with what is between backticks as code."""
    return _Trusted(re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(printable(text))))


def _breakable(name: str) -> _Trusted:
    """A name, escaped, that may be broken after a slash or an underscore."""
    return _Trusted(re.sub("([/_])", r"\1<wbr>", html.escape(printable(name))))
