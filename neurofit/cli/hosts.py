"""Commands with `--host`: the neurofit there answers with what it would print, or copies of its files are read here.

A request is one JSON object, {"format", "words", "screen"}. The answer is events of `cli.terminal`, between
{"format", "version"} and {"exit"}; {"alive"} comes while nothing is printed. Nothing is shown before the answer is
complete, except with `logs --follow`.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from neurofit import exit_codes
from neurofit.cli import terminal
from neurofit.errors import HostError

if TYPE_CHECKING:
    from neurofit.remote.address import Address
    from neurofit.remote.connection import Connection

FORMAT = 1
ANSWERED = ("status", "results", "logs")  # by the neurofit there; a report is made here, from copies
_NOT_UNDERSTOOD = "The answer of the other host was not understood"
_WATCHES = (
    "--watch cannot be combined with --host. To watch over one connection, run neurofit there: "
    "ssh -t HOST 'cd FOLDER && neurofit status --watch'. To wait for the end, use --wait SECONDS."
)


class HostCommand(click.Command):
    """A command that reads the study on another host if `--host` is given."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[__name__] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        from neurofit.study import Study

        given = dict(ctx.params)
        host, tool = given.pop("host"), given.pop("neurofit_there")
        is_answering = ctx.find_object(Study) is not None
        by_hand = ctx.get_parameter_source("neurofit_there") is ParameterSource.COMMANDLINE
        if host is None or is_answering:
            if by_hand and host is None:
                raise click.UsageError("--neurofit-there works only with --host.")
            return ctx.invoke(self.callback, **given) if self.callback else None
        if given.get("watch"):
            raise click.UsageError(_WATCHES)
        command = ctx.info_name or ""
        if command not in ANSWERED and by_hand and tool != "none":
            raise click.UsageError(
                f"`neurofit {command} --host` reads copies of files and asks no neurofit there: leave out "
                "--neurofit-there."
            )
        selectors = given.get("selectors") or [one for one in [given.get("selector")] if one]
        reading = _Reading(
            command,
            ctx.meta[__name__],
            selectors,
            live=bool(given.get("follow")),
            control=bool(given.get("raw")) or given.get("format") == "parquet",
            tool=tool,
        )
        return reading.show(host)


@dataclass
class _Answer:
    """What came over the connection."""

    events: list[terminal.Event] = field(default_factory=list)
    refused: str | None = None
    tool: str | None = None  # the neurofit there that was asked
    status: int | None = None  # how it ended
    version: str | None = None
    exit_code: int | None = None
    clock: float | None = None  # the time there, if an archive came


@dataclass(frozen=True)
class _Reading:
    """One command on the study of another host."""

    command: str
    words: list[str]
    selectors: Sequence[str]
    live: bool
    control: bool  # the user has asked for bytes with their control characters
    tool: str | None

    def show(self, host: str) -> int:
        """Ask, show the answer, and return the exit code of the command."""
        from neurofit.remote import address, connection, copies, script

        there = address.parse(host)
        mark = f"neurofit-{secrets.token_hex(16)}"
        request = json.dumps(
            {"format": FORMAT, "words": [self.command, *self.words], "screen": terminal.screen()._asdict()}
        )
        tool = self.tool if self.command in ANSWERED else script.NO_NEUROFIT
        program = script.program(
            mark,
            there.folder,
            request,
            found=copies.wanted(self.command, self.selectors),
            small=copies.wanted_if_small(self.command),
            pruned=copies.PRUNED,
            tool=tool,
        )
        with connection.ending_on_signals(), tempfile.TemporaryDirectory(prefix="neurofit-") as folder:
            archive = Path(folder, "archive")
            with connection.opened(there, mark, program) as opened:
                answer = self._read(opened, archive)
                opened.finish()
                complaints = opened.complaints()
            if answer.refused is not None:
                raise HostError(_refusal(there, answer.refused))
            if answer.status == 0 and answer.exit_code is not None:
                return self._replayed(there, answer)
            if answer.clock is None or (self.live and answer.version):
                raise HostError(
                    f"The neurofit on {there.name} ({answer.tool}) ended before it had answered: "
                    f"{_last(complaints) or 'no message'}."
                )
            with tempfile.TemporaryDirectory(prefix="neurofit-", dir=copies.folder_for(archive)) as inside:
                root = Path(inside, _name(there))
                root.mkdir(mode=0o700)
                if not copies.unpack(archive, root, answer.clock):
                    (root / "training_data").mkdir()
                archive.unlink()
                terminal.note(_from_copies(there, answer, tool, self.command, complaints))
                return self._on_copies(there, root)

    def _read(self, connection: Connection, archive: Path) -> _Answer:
        from neurofit.remote.connection import json_of

        answer = _Answer()
        for line in connection.lines():
            word, _, value = line.partition(" ")
            if line.startswith("{"):
                self._take(connection.address, answer, json_of(line))
            elif word == "refused":
                answer.refused = value
            elif word == "neurofit":
                answer.tool = value
            elif word == "ended":
                answer.status = int(value) if value.isdecimal() else 1
            elif word == "files":
                answer.clock = int(value) - time.time() if value.isdecimal() else 0.0
                connection.rest(archive)
        return answer

    def _take(self, there: Address, answer: _Answer, event: terminal.Event | None) -> None:
        match event:
            case {"format": int(number), "version": str(version)} if number == FORMAT:
                answer.version = version
            case {"exit": int(code)} if 0 <= code <= 255:
                answer.exit_code = code
            case {"alive": _}:
                pass
            case None:
                raise HostError(f"{_NOT_UNDERSTOOD}: a line of it is not JSON.")
            case _ if self.live:
                self._replay(there, event)
            case _:
                answer.events.append(event)

    def _on_copies(self, there: Address, root: Path) -> int:
        """Run the command on copies of the files, as if their paths were those on the other host."""
        from neurofit.cli.application import group, run
        from neurofit.study import Study

        def show(event: terminal.Event) -> None:
            self._replay(there, _renamed(event, str(root), there.text.rstrip("/")))

        with contextlib.ExitStack() as stack:
            stack.enter_context(terminal.transcribing(terminal.screen(), show))
            if self.command != "report":  # which writes a file
                stack.enter_context(_inside(root))
            return run(group, "neurofit", [self.command, *self.words], obj=Study(root, copy_of=there.text))

    def _replayed(self, there: Address, answer: _Answer) -> int:
        import neurofit

        for event in answer.events:
            self._replay(there, event)
        assert answer.exit_code is not None
        if answer.exit_code == exit_codes.USAGE and answer.version not in (None, neurofit.__version__):
            terminal.note(
                f"The neurofit on {there.name} ({answer.tool}) is version {answer.version}; this one is "
                f"{neurofit.__version__}."
            )
        return answer.exit_code

    def _replay(self, there: Address, event: terminal.Event) -> None:
        try:
            match event:
                case {"hint": list(commands)}:
                    _print_hints(there, [str(one) for one in commands])
                case _:
                    terminal.replay(event, control=self.control)
        except ValueError as error:
            raise HostError(f"{_NOT_UNDERSTOOD}: {error}.") from error


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = os.open(".", os.O_RDONLY)
    os.chdir(folder)
    try:
        yield
    finally:
        os.fchdir(before)
        os.close(before)


def _print_hints(there: Address, commands: list[str]) -> None:
    """The commands that are useful next: those that work here, or else those for a shell on the other host."""
    here = [one for one in commands if " --host " in one]
    if here:
        terminal.hint(*here)
    elif commands:
        terminal.note(f"Next, on {there.name}: {'  ·  '.join(commands)}")


def _renamed(value: Any, old: str, new: str) -> Any:
    """The value with another path in all of its texts."""
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, dict):
        return {_renamed(key, old, new): _renamed(one, old, new) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_renamed(one, old, new) for one in value]
    return value


def _name(there: Address) -> str:
    """The name of the folder of the study there."""
    name = PurePosixPath(there.folder).name
    return name if name not in ("", ".", "..", "~") and len(os.fsencode(name)) < 200 else "study"


def _last(complaints: list[str]) -> str:
    return complaints[-1][:300] if complaints else ""


def _from_copies(
    there: Address, answer: _Answer, tool: str | None, command: str, complaints: list[str]
) -> str:
    """Why copies are read, and what that means."""
    means = f"This is read from copies of the files in {there}; no queue was asked."
    if command not in ANSWERED or tool == "none":
        return means
    if answer.tool is None:
        return (
            f"No neurofit was found on {there.name}: neither in the study's .venv, nor on the PATH of a shell without "
            f"login files, nor in ~/.local/bin (name it with --neurofit-there). {means}"
        )
    if answer.status == exit_codes.USAGE:
        return f"The neurofit on {there.name} ({answer.tool}) is of a version that cannot answer. {means}"
    why = _last(complaints)
    return (
        f"The neurofit on {there.name} ({answer.tool}) could not answer, and ended with status {answer.status}"
        f"{f': {why}' if why else ''}. {means}"
    )


def _refusal(there: Address, why: str) -> str:
    folder = there.folder.removeprefix("./")
    if why == "missing":
        return (
            f"There is no folder '{folder}' on {there.name}. A path without / at its start begins in the home "
            "folder there."
        )
    if why == "denied":
        return (
            f"The folder '{folder}' on {there.name} cannot be read by your user there: check its permissions."
        )
    if why == "study":
        return (
            f"The folder '{folder}' on {there.name} is not a study: it has neither training_data/ nor jobs/ and "
            "runners/."
        )
    if why == "tar":
        return (
            f"There is no neurofit on {there.name} that can answer, and no tar to send its files. Name a neurofit "
            "there with --neurofit-there PATH."
        )
    return f"{there.name} could not answer: {why}."
