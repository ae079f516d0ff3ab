"""What `neurofit pack` and `neurofit unpack` have in common: which runs, questions, and what is printed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neurofit import exit_codes
from neurofit.cli import options, terminal, wording
from neurofit.cli.selecting import select

if TYPE_CHECKING:
    from neurofit.orchestrate.pack import Report


@dataclass(frozen=True)
class Words:
    """How a command speaks."""

    verb: str  # pack
    done: str  # packed
    doing: str  # Packing
    question: str
    nothing: str


def run(
    words: Words,
    work: Callable[..., Report],
    selectors: Sequence[str],
    *,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int | None:
    """Pack or unpack the selected runs: look first and ask, unless `yes` was given."""
    from neurofit.features.progress import progress
    from neurofit.orchestrate.pack import runs_of

    study = options.here()
    selected: dict[str, list[int]] = {}
    for selector in dict.fromkeys(selectors):
        query, status = select(study, selector)
        selected.setdefault(query.name, []).extend(runs_of(query, status))

    def all_of(trial: bool) -> list[Report]:
        reports = []
        for name, runs in selected.items():
            doing = f"Looking at {name}" if trial else f"{words.doing} {name}"
            wanted = sorted(set(runs))
            with progress(doing, len(wanted), "runs") as advance:
                reports.append(work(study, name, wanted, dry_run=trial, advance=advance))
        return reports

    is_trial = dry_run or not yes
    reports = all_of(is_trial)
    if not as_json:
        for report in reports:
            _print(words, report, will=is_trial)
    found = any(report.runs for report in reports)
    if (
        is_trial
        and found
        and not dry_run
        and terminal.is_interactive()
        and terminal.confirmed(words.question)
    ):
        is_trial = False
        reports = all_of(is_trial)
        if not as_json:
            for report in reports:
                _print(words, report, will=is_trial)
    if as_json:
        terminal.as_json({"changed": not is_trial, "experiments": [report.record() for report in reports]})
    elif is_trial and found:
        terminal.say(f"Nothing was {words.done}.")
    again = wording.next_command(words.verb, selectors)
    terminal.hint(f"{again} --yes" if is_trial and found else wording.next_command("status", selectors))
    return exit_codes.ERROR if any(report.has_errors for report in reports) else None


def _print(words: Words, report: Report, *, will: bool) -> None:
    name = report.experiment
    if report.runs:
        number = wording.count(len(report.runs), "run")
        verb = (
            f"can be {words.done}"
            if will
            else ("was" if len(report.runs) == 1 else "were") + f" {words.done}"
        )
        files = f"files and folders {report.total('files_before'):,} → {report.total('files_after'):,}"
        before, after = report.total("bytes_before"), report.total("bytes_after")
        size = wording.size(before or 0) + (f" → {wording.size(after)}" if after is not None else "")
        terminal.say(f"{name}: {number} {verb}; {files}, {size}.")
    elif not report.refused:
        terminal.say(f"{name}: {words.nothing}")
    for sentence in report.refusals():
        (terminal.problem if report.has_errors else terminal.note)(sentence)
    if report.ended:
        terminal.problem(f"{name}: {report.ended}")
    if report.left:
        kinds = ", ".join(f"{number:,} {why}" for why, number in sorted(report.left.items()))
        terminal.note(f"{name}: files that stay in their folders: {kinds}.")
