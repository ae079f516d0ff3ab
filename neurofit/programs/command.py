"""`Command`: a program as a fit."""

from __future__ import annotations

import fnmatch
import os
import re
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from neurofit.errors import GridError, ProgramError, nearest
from neurofit.experiments.fits import REQUIRED
from neurofit.experiments.grid.params import plain, short
from neurofit.programs import metrics as metrics_of, options as options_of
from neurofit.programs.template import OF_THE_TASK, Template
from neurofit.protocols import Task

LOG_SECONDS = 1.0  # between rows of history.csv that say only the step


class Command:
    """A program as the fit of an experiment: its command, and where its metrics are.

    The program starts in the study's folder, with the words of the command and never through a shell. What it prints
    is the task's log. A request to stop (time limit, cancellation, Ctrl-C) reaches it as a signal; it has 20 seconds
    to save what it needs in `{persistent}`, where the next attempt finds it.

    Parameters
    ----------
    program : str or sequence of str
        The command, as a line or as words. `{lr}` stands for the argument `lr`, `{lr:.3g}` for the same in a
        format. `{folder}` is the attempt's folder, where all is kept; `{persistent}` a folder that the next attempt
        finds again, until `submit --rerun` starts a new one; `{study}` the study's folder; `{seed}` and
        `{repetition}` the number of the repetition, `{repetitions}` how many there are; `{seeds.init}`,
        `{seeds.shuffle}`, `{seeds.noise}` and `{seeds.split}` independent seeds in [0, 2³¹). Numbers are written as
        Python writes them; a list that is a whole word becomes several words; a dict is JSON. `{{` is a brace.
    metrics : str, optional
        The file with the metrics, relative to `{folder}`: `.json` (nested names are joined by `/`), `.yaml`, or
        `.csv` with a row of names (the last row counts).
    pattern : str, optional
        A regular expression whose named groups are metrics in the program's output:
        `r"accuracy: (?P<accuracy>\\S+)"`. The last line that matches counts.
    code : str or sequence of str, optional
        Files, folders or patterns, relative to the study, that the program consists of. Their copies at the time of
        the submit are what runs; words of the command that name one of them become the path of its copy, and
        Python finds modules there. They are part of the code hash. Write text constants: they are read in the
        script's source.
    defaults : mapping of str to value, optional
        Values of arguments that a grid may leave out.
    progress : str, optional
        A regular expression with the named group `step`, and possibly others, for `history.csv`:
        `r"epoch (?P<step>\\d+) loss (?P<loss>\\S+)"`. By default, "step 12", "epoch: 12" and the bars of tqdm count.
    stop_signal : str, default "SIGTERM"
        The signal that asks the program to stop.
    environment : mapping of str to str, optional
        Further environment variables.

    Raises
    ------
    GridError
        A parameter is invalid.
    """

    def __init__(
        self,
        program: str | Sequence[str],
        *,
        metrics: str | None = None,
        pattern: str | None = None,
        code: str | Sequence[str] = (),
        defaults: Mapping[str, Any] | None = None,
        progress: str | None = None,
        stop_signal: str = "SIGTERM",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.template = Template.of(program)
        self.metrics = _metrics_file(metrics)
        self.pattern = None if pattern is None else metrics_of.compiled(pattern, "pattern")
        if self.metrics is None and self.pattern is None:
            raise GridError(
                'Command: there are no metrics. Name the file that the program writes, metrics="metrics.json", or '
                'a pattern in its output, pattern=r"accuracy: (?P<accuracy>\\S+)".'
            )
        self.code = _code(code)
        self._defaults = self._known(defaults or {})
        self._progress = metrics_of.compiled(metrics_of.STEP if progress is None else progress, "progress")
        if progress is not None and "step" not in self._progress.groupindex:
            raise GridError(f"Command(progress={progress!r}) has no group (?P<step>…), which is the step.")
        self._stop_signal = _signal(stop_signal)
        self._environment = _environment(environment or {})
        self._options: tuple[options_of.Option, ...] = ()

    @classmethod
    def from_argparse(
        cls,
        program: str,
        *,
        fixed: Mapping[str, str] | None = None,
        options: str | None = None,
        function: str | None = None,
        code: str | Sequence[str] = (),
        **settings: Any,
    ) -> Command:
        """A Python program with argparse or click, whose options become arguments with its own defaults.

        The options are read in its source, without running anything of it. An option is passed to the program if
        the grid or `--set` gives it a value; otherwise the program uses its default. Names that are no option are
        refused. `--seed`, if there is one, gets the number of the repetition.

        Parameters
        ----------
        program : str
            The program's file, relative to the study: "train.py".
        fixed : mapping of str to str, optional
            What options always get, by name: `{"out": "{folder}", "seed": "{seeds.init}"}`, with the placeholders of
            `Command`. They are no arguments of the experiment.
        options : str, optional
            The file that has the options, relative to the study, if the program's own has not.
        function : str, optional
            The function of that file that makes the parser, or is the command of click, if there are several.
        code : str or sequence of str, optional
            Further files, folders or patterns that the program consists of, as for `Command`.
        **settings
            `metrics`, `pattern`, `progress`, `stop_signal` and `environment` of `Command`.

        Raises
        ------
        GridError
            The options cannot be read, or a parameter is invalid.
        """
        if "defaults" in settings:
            raise GridError("Command.from_argparse has no defaults=…: the program's own are used.")
        place = options or program
        found = options_of.read(_root(place) / place, function)
        given = _fixed(found, fixed or {})
        words, positional = options_of.command_words(found, given)
        command = cls(
            ["python", program, *words],
            code=tuple(dict.fromkeys([program, place, *_code(code)])),
            defaults={one.name: one.default for one in positional if one.default is not None},
            **settings,
        )
        command._options = tuple(one for one in found if one.flags and one.name not in given)
        return command

    def arguments(self) -> dict[str, Any]:
        """The placeholders that stand for arguments, with their defaults or REQUIRED, and the program's options."""
        placeholders = {name: self._defaults.get(name, REQUIRED) for name in self.template.arguments()}
        options = {one.name: REQUIRED if one.required else one.default for one in self._options}
        return {**placeholders, **options}

    def check(self, params: Mapping[str, Any]) -> None:
        """Raise GridError if an argument cannot be a value of its option."""
        options_of.must_fit(self._options, params)

    def settings(self) -> dict[str, Any]:
        """What else makes the fit what it is: its command and where its metrics are."""
        found: dict[str, Any] = {"command": list(self.template.texts)}
        if self.metrics is not None:
            found["metrics"] = self.metrics
        if self.pattern is not None:
            found["pattern"] = self.pattern.pattern
        if self._environment:
            found["environment"] = dict(self._environment)
        return found

    @property
    def architectures(self) -> list[str]:
        """The name of the program, for tables."""
        named = next(iter(self.code), "") or self.template.texts[0]
        return [PurePosixPath(named).name or "program"]

    def __call__(self, task: Task) -> dict[str, Any]:
        """Run the program and return its metrics.

        Raises
        ------
        ProgramError
            It failed, could not be started, or left no metrics.
        """
        from neurofit.worker import program  # a submit host starts none

        words = self.words(task)
        reader = _Reader(task, self._progress, self.pattern)
        if task.should_stop():  # having been asked, a signal does not interrupt what follows
            task.stop()
        ended = program.run(
            words,
            folder=task.study,
            environment=self._whole_environment(task),
            should_stop=lambda: reader.is_pruned or task.should_stop(),
            stop_signal=self._stop_signal,
            each_line=reader.line,
        )
        reader.close()
        if reader.is_pruned and not task.should_stop():
            return dict(reader.row)
        if ended.was_asked or task.should_stop():
            task.stop()
        try:
            if ended.status:
                last = "".join(f"\n{line}" for line in ended.last_lines)
                what = f"`{short(' '.join(words), 300)}` ended with {ended}."
                raise ProgramError(f"{what}{' Its last lines:' if last else ''}{last}")
            found = {} if self.metrics is None else metrics_of.read(task.folder / self.metrics)
            return {**found, **self._printed(reader.metrics)}
        except ProgramError:
            # a queue that ends a job may signal its programs a moment before the task
            if program.is_asked_soon(task.should_stop):
                task.stop()
            raise

    def words(self, task: Task) -> list[str]:
        """The words that the program gets in this task."""
        values: dict[str, Any] = {**self._defaults, **task.params}
        seeds: Any = task.seeds
        for name in self.template.names():
            if name == "persistent":
                values[name] = task.persistent
            elif name.startswith("seeds."):
                values[name] = getattr(seeds, name.removeprefix("seeds."))
            elif name in OF_THE_TASK:
                values[name] = getattr(task, name)
        plain = {name: _plain(value) for name, value in values.items()}
        filled = self.template.filled(plain, lambda word: self._copied(word, task.code))
        given = {name: plain.get(name) if name in task.params else None for name in plain}
        return [*filled, *(word for one in self._options for word in one.words(given.get(one.name)))]

    def _copied(self, word: str, copy: Path) -> str:
        """A word of the command; the path of the copy if it names a file of its code."""
        path = PurePosixPath(os.path.normpath(word)).as_posix()
        is_code = (
            bool(word) and any(_covers(pattern, path) for pattern in self.code) and (copy / path).exists()
        )
        return str(copy / path) if is_code else word

    def _whole_environment(self, task: Task) -> dict[str, str]:
        places = [str(task.code), *filter(None, [os.environ.get("PYTHONPATH")])]
        programs = [os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]
        # `python -m` finds the copy of the code, not the study's folder
        safe = {"PYTHONSAFEPATH": "1"} if "-m" in self.template.texts else {}
        return {
            **os.environ,
            "PATH": os.pathsep.join(programs),  # `python` is the one that runs neurofit
            "PYTHONPATH": os.pathsep.join(places),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            **safe,
            **self._environment,
        }

    def _printed(self, found: Mapping[str, float]) -> Mapping[str, float]:
        """The metrics in the output, all that the pattern names."""
        if self.pattern is None:
            return found
        for name in self.pattern.groupindex:
            if name not in found:
                raise ProgramError(
                    f"The program ended without an error, but no line of its output has a number for '{name}' by "
                    f"the pattern {self.pattern.pattern!r}."
                )
        return found

    def _known(self, defaults: Mapping[str, Any]) -> dict[str, Any]:
        known = self.template.arguments()
        for name in defaults:
            if name not in known:
                raise GridError(
                    f"Command(defaults=…): '{name}' is no placeholder of the command.{nearest(name, known)} Its "
                    f"arguments: {', '.join(known) or 'none'}."
                )
        return {name: plain(value, f"the default of '{name}'") for name, value in defaults.items()}


class _Reader:
    """Steps and metrics in the lines that a program prints."""

    def __init__(self, task: Task, progress: re.Pattern[str], pattern: re.Pattern[str] | None) -> None:
        self.task, self.progress, self.pattern = task, progress, pattern
        self.metrics: dict[str, float] = {}
        self.step = -1.0
        self.logged = 0.0
        self.waiting: tuple[float, dict[str, float]] | None = None  # a row that was not yet written
        self.row: dict[str, float] = {}  # the last one that has numbers
        self.is_pruned = False  # the program is a trial of a search, which ends it early

    def line(self, text: str) -> None:
        if self.pattern is not None:
            self.metrics |= metrics_of.in_line(self.pattern, text)
        numbers = metrics_of.in_line(self.progress, text)
        step = numbers.pop("step", numbers.pop("count", None))
        if step is None or step <= self.step:
            return
        self.step, self.waiting = step, (step, numbers)
        if numbers or time.monotonic() - self.logged >= LOG_SECONDS:
            self._log()

    def close(self) -> None:
        self._log()

    def _log(self) -> None:
        if self.waiting is not None:
            step, numbers = self.waiting
            self.task.log(int(step), **numbers)
            self.waiting, self.logged = None, time.monotonic()
            self.row = numbers or self.row
            self.is_pruned = self.is_pruned or (bool(numbers) and self.task.should_prune())


def _root(file: str) -> Path:
    """The folder of the study, or of the copy of its code, that has a file; the current one if no script calls."""
    script = sys._getframe(2).f_globals.get("__file__")
    above = Path(os.path.abspath(script)).parents if isinstance(script, str) else ()
    roots = [folder.parent for folder in above if folder.name == "jobs"]
    return next((root for root in roots if (root / file).is_file()), roots[-1] if roots else Path.cwd())


def _fixed(found: Sequence[options_of.Option], fixed: Mapping[str, str]) -> dict[str, str]:
    """What options always get; `seed` is the number of the repetition unless the user says otherwise."""
    known = {one.name: one for one in found}
    for name, text in fixed.items():
        if name not in known:
            raise GridError(
                f"Command.from_argparse(fixed=…): the program has no option '{name}'.{nearest(name, known)} Its "
                f"options: {', '.join(known)}."
            )
        if not isinstance(text, str) or known[name].kind not in ("value", "values", "each"):
            raise GridError(
                f"Command.from_argparse(fixed=…): '{name}' is {short(text)}; expected a text for an option that "
                f'takes one, such as fixed={{"{name}": "{{folder}}"}}.'
            )
    given = {**({"seed": "{seed}"} if "seed" in known else {}), **fixed}
    reserved = [name for name in known if name in OF_THE_TASK and name not in given]
    if reserved:
        name = reserved[0]
        raise GridError(
            f"Command.from_argparse: the option '{name}' has the name of a placeholder, {OF_THE_TASK[name]}. Say "
            f'what it gets: fixed={{"{name}": "{{{name}}}"}}, or another text.'
        )
    return given


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, os.PathLike) else value


def _covers(pattern: str, path: str) -> bool:
    folder = PurePosixPath(pattern).as_posix()
    return path == folder or path.startswith(f"{folder}/") or fnmatch.fnmatchcase(path, folder)


def _metrics_file(name: str | None) -> str | None:
    if name is None:
        return None
    expected = 'expected the name of a file in the attempt\'s folder, such as "metrics.json"'
    if not isinstance(name, str) or not name or os.path.isabs(name) or ".." in PurePosixPath(name).parts:
        raise GridError(f"Command(metrics={short(name)}): {expected}.")
    if PurePosixPath(name).suffix not in metrics_of.SUFFIXES:
        raise GridError(
            f"Command(metrics={name!r}): {expected}; its name ends in {', '.join(metrics_of.SUFFIXES)}."
        )
    return name


def _code(code: str | Sequence[str]) -> tuple[str, ...]:
    listed = [code] if isinstance(code, str) else list(code)
    wrong = [one for one in listed if not isinstance(one, str) or not one or os.path.isabs(one)]
    if wrong:
        raise GridError(
            f"Command(code=…): {short(wrong[0])} is no path relative to the study. Write "
            'code=["train.py", "lib/"].'
        )
    return tuple(listed)


def _signal(name: str) -> int:
    names = [one.name for one in signal.Signals if one.name not in ("SIGKILL", "SIGSTOP")]
    if name not in names:
        offer = nearest(str(name), names)
        raise GridError(
            f"Command(stop_signal={short(name)}): expected the name of a signal that a program can catch.{offer}"
        )
    return signal.Signals[name].value


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    for name, value in variables.items():
        if not isinstance(name, str) or not isinstance(value, str) or "=" in name or "\0" in name + value:
            raise GridError(
                f"Command(environment=…): {short(name)}={short(value)} is not a variable and its text."
            )
    return dict(variables)
