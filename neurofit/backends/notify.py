"""The notify command: a runner's `notify:`, or that of the study in `neurofit.yaml`, and how it is run.

notify: mail-digest.sh me@example.org        # words, as a shell would split them; or a list of words

It is a program and its arguments, never a text for a shell. What it is about comes on its standard input. A path with
a slash is relative to the study's folder, which is the command's current folder; `~/` is the user's home.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurofit.backends.base import Backend, Finding
from neurofit.backends.commands import clean_environment
from neurofit.errors import RunnerError, nearest
from neurofit.study import Study
from neurofit.text import control_character

LIMIT_SECONDS = 30.0
END_SECONDS = 2.0  # between asking a command to end and killing it
MOST_PRINTED = 1 << 20  # bytes; a command that prints more is ended
KEPT = 4000  # characters of what it printed
KEY = "notify"


@dataclass(frozen=True)
class Ended:
    """How a notify command ended."""

    problem: str | None  # None: it succeeded
    exit_code: int | None
    seconds: float
    output: str


def words_of(setting: Any, place: Path | str) -> tuple[str, ...]:
    """The words of a setting `notify:`; none if there is no command.

    Raises
    ------
    RunnerError
        It is neither text nor a list of words, or its quotes do not match. `place` is the file that it is in.
    """
    if setting is None:
        return ()
    if isinstance(setting, str):
        try:
            words = shlex.split(setting)
        except ValueError as error:
            raise RunnerError(
                f"{place}: '{KEY}' is {setting!r}, which cannot be split into words: {str(error).lower()}."
            ) from None
    elif isinstance(setting, Sequence) and all(isinstance(word, str) for word in setting):
        words = list(setting)
    else:
        raise RunnerError(
            f"{place}: '{KEY}' is {setting!r}, expected a command, for example `{KEY}: scripts/notify.sh`, or a "
            "list of its words."
        )
    if words and not words[0].strip():
        raise RunnerError(
            f"{place}: '{KEY}' is {setting!r}, expected the name of a program as its first word."
        )
    if control_character("".join(setting)) is not None:
        raise RunnerError(
            f"{place}: '{KEY}' is {setting!r}, which contains a line break or another control character."
        )
    return tuple(words)


def command_of(backend: Backend, study: Study) -> tuple[str, ...]:
    """The words of the command for submissions to this backend; none if there is no command.

    Raises
    ------
    RunnerError
        The study's `neurofit.yaml` is not valid.
    """
    if backend.notify is not None:
        return words_of(backend.notify, "the runner")
    return words_of(_settings(study.settings).get(KEY), study.settings)


def _settings(path: Path) -> dict[Any, Any]:
    """The settings of a study; none if it has no file for them."""
    import yaml  # slow to import; most studies have no such file

    from neurofit import yaml_text

    try:
        settings = yaml_text.load(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RunnerError(f"{path}: cannot be read as YAML: {error}") from error
    if settings is None:
        return {}
    if not isinstance(settings, dict):
        raise RunnerError(f"{path}: expected one `setting: value` per line, for example `{KEY}: PROGRAM`.")
    for key in settings:
        if key != KEY:
            raise RunnerError(
                f"{path}: there is no setting '{key}'.{nearest(str(key), [KEY])} Settings: {KEY}."
            )
    return settings


def program(words: Sequence[str], folder: Path) -> tuple[str | None, str]:
    """The path of a command's program, and why it cannot be run here ("" if it can).

    Parameters
    ----------
    folder : Path
        The study's folder.
    """
    name = os.path.expanduser(words[0])
    host = os.uname().nodename
    if "/" not in name:
        found = shutil.which(name)
        return found, "" if found else f"the program '{name}' is not on PATH on {host}"
    path = folder / name
    if not path.is_file():
        return None, f"there is no program {path} on {host}"
    if not os.access(path, os.X_OK):
        return None, f"{path} is not executable: `chmod +x {shlex.quote(str(path))}`"
    return str(path), ""


def finding(words: Sequence[str], folder: Path) -> Finding:
    """Whether a notify command is there, as one result of `neurofit runners check`."""
    path, problem = program(words, folder)
    if path is None:
        return Finding(False, f"the notify command `{shlex.join(words)}` can be run", problem)
    return Finding(True, f"the notify command is {path}")


def run(words: Sequence[str], text: str, folder: Path, *, seconds: float = LIMIT_SECONDS) -> Ended:
    """Run a notify command, without a shell and in a session of its own.

    Parameters
    ----------
    words : sequence of str
        The command.
    text : str
        Its standard input.
    folder : Path
        The study's folder, its current folder.
    seconds : float
        After this time, it is ended with all that it started.
    """
    began = time.monotonic()
    path, problem = program(words, folder)
    if path is None:
        return Ended(f"{problem[0].upper()}{problem[1:]}.", None, 0.0, "")
    try:
        # files, not pipes: the command need not read, and what it leaves running keeps nobody waiting
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as printed:
            given.write(text.encode())
            given.seek(0)
            process = subprocess.Popen(
                [path, *words[1:]],
                stdin=given,
                stdout=printed,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=clean_environment(),
                start_new_session=True,
            )
            problem = _wait(process, printed.fileno(), began + seconds, seconds)
            return Ended(
                problem or _failure(process.returncode),
                process.returncode if not problem and process.returncode >= 0 else None,
                round(time.monotonic() - began, 3),
                _last(printed.fileno()),
            )
    except OSError as error:
        shown = shlex.join(words)[:300]
        return Ended(f"`{shown}` could not be started: {error.strerror or error}.", None, 0.0, "")


def _wait(process: subprocess.Popen[bytes], printed: int, deadline: float, seconds: float) -> str:
    """Wait for the end of a command, and end it if it takes too long; returns why it was ended."""
    problem, pause = "", 0.01
    while not problem:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(min(pause, max(deadline - time.monotonic(), 0.01)))
            return ""
        pause = min(2 * pause, 0.2)
        if os.fstat(printed).st_size > MOST_PRINTED:
            problem = f"It printed more than {MOST_PRINTED >> 20} MB and was ended."
        elif time.monotonic() >= deadline:
            problem = f"It did not end within {seconds:g} s and was ended."
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
    return problem


def _failure(status: int) -> str | None:
    if status == 0:
        return None
    if status > 0:
        return f"It failed with exit code {status}."
    try:
        return f"It was ended by {signal.Signals(-status).name}."
    except ValueError:
        return f"It was ended by signal {-status}."


def _last(printed: int) -> str:
    """The last of what a command printed."""
    size = os.fstat(printed).st_size
    data = os.pread(printed, 4 * KEPT, max(size - 4 * KEPT, 0))
    return data.decode("utf-8", "replace").strip()[-KEPT:]
