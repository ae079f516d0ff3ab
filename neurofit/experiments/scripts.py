"""Experiment scripts: which there are, which one a name means, and loading one.

A script is any `.py` file under `jobs/` whose own name, and those of its folders, do not start with `_` or a
dot: keep helper modules in `_helpers.py`, or outside `jobs/`. `import_path.py` decides where the imports
of a script are looked for, while it loads and from then on (fits import late).
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import os
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, ModuleType

from neurofit import study as studies
from neurofit.errors import NameUnknown, NeurofitError, ScriptError, described, nearest
from neurofit.experiments.experiment import Experiment
from neurofit.experiments.import_path import (
    helpers_first,
    hide_standard_library,
    is_inside,
    is_installed,
    search_in,
)
from neurofit.study import Study

MODULES = "neurofit.jobs."
ROOT = "NEUROFIT_SCRIPTS"  # in the environment of a task: the root of the code that it runs
SPAWNED = "__mp_main__"  # what multiprocessing calls the main script in a process that it has spawned
SLOW_IMPORTS = ("tensorflow", "torch", "jax")
HOW_TO = """Add:

    import neurofit as nf
    def fit(task, *, x=1):
        return {"metric": x}
    experiment = nf.Experiment(fit, grid=nf.grid(x=[1, 2, 3]))"""
_FRAMES_SHOWN = 3


@dataclass(frozen=True)
class Entry:
    """A script under `jobs/`; its name is its path there without `.py`."""

    name: str
    path: Path


def discover(study: Study) -> list[Entry]:
    """Every experiment script, by name."""
    entries = []
    for folder, folders, files in os.walk(study.jobs):
        folders[:] = [name for name in folders if name[0] not in "._"]
        paths = [Path(folder, name) for name in files if name.endswith(".py") and name[0] not in "._"]
        entries += [Entry(path.relative_to(study.jobs).with_suffix("").as_posix(), path) for path in paths]
    return sorted(entries, key=lambda entry: entry.name)


def find(study: Study, name: str) -> Entry:
    """The script of that name: its whole name, its last parts if no other has them, or its path
    (`jobs/exp3.py`).

    Raises
    ------
    NameUnknown : there is none, or several have these last parts
    """
    entries = discover(study)
    wanted = name_of(study, name)
    exact = [entry for entry in entries if entry.name == wanted]
    found = exact or [entry for entry in entries if f"/{entry.name}".endswith(f"/{wanted}")]
    if len(found) == 1:
        return found[0]
    if found:
        raise NameUnknown(
            f"'{name}' could be any of: {', '.join(entry.name for entry in found)}. Give the whole name."
        )
    if not entries:
        raise NameUnknown(
            f"No experiment '{name}': {study.jobs} has no scripts. Write one, or see `neurofit init`."
        )
    known = [entry.name for entry in entries]
    tails = {entry.name.rpartition("/")[2]: entry.name for entry in entries}
    hint = nearest(wanted, known) or nearest(wanted, tails)
    raise NameUnknown(f"No experiment '{name}' in {study.jobs}.{hint} Experiments there: {', '.join(known)}.")


def load(study: Study | Path, path: Path, name: str) -> Experiment:
    """The experiment that the script at this path defines. Its `hint` says what made loading slow, if
    something did.

    Parameters
    ----------
    study : the study, or the root of a copy of its code
    path : the script, under that root's `jobs/`
    name : the experiment's name

    Raises
    ------
    ScriptError : the script raises, or has no experiment, or several
    """
    root = study.root if isinstance(study, Study) else Path(study)
    search_in(root, path)
    known, started = set(sys.modules), time.perf_counter()
    module = _executed(root, path, name)
    hint = _slow_hint(path, known, time.perf_counter() - started)
    return _experiment(module, path).at(name, path, hint=hint)


def placed(experiment: Experiment, path: Path) -> tuple[Study, Experiment]:
    """An experiment that its script runs by itself, `python jobs/exp3.py`, with its study, and with its name
    and imports as if it had been loaded.

    Raises
    ------
    StudyError : the script is in no study
    ScriptError : it is not under the study's `jobs/`
    """
    path = Path(os.path.abspath(path))
    study = studies.find(path.parent, trusted=True)  # the user has executed it already
    name = name_of(study, str(path))
    if Path(name).is_absolute():
        raise ScriptError(
            f"{path} is not under {study.jobs}, where the experiments of this study are. Move it there."
        )
    search_in(study.root, path)
    return study, experiment.at(name, path)


def head(path: Path) -> str:
    """The first line of the script's docstring, or nothing; the script is not executed."""
    try:
        documented = ast.get_docstring(ast.parse(path.read_bytes()))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return ""
    return (documented or "").strip().partition("\n")[0]


def name_of(study: Study, name: str) -> str:
    """The name that a path to a script stands for: absolute, or relative to the study's root."""
    wanted = Path(name)
    with contextlib.suppress(ValueError):
        wanted = Path(os.path.normpath(study.root / name)).relative_to(study.jobs)
    return wanted.as_posix().removesuffix(".py")


def module_name(name: str) -> str:
    """The module that an experiment's script is: what pickles call it (see `neurofit.jobs`)."""
    return MODULES + name.replace("%", "%25").replace(".", "%2E")


def name_of_module(module: str) -> str:
    return module.removeprefix(MODULES).replace("%2E", ".").replace("%25", "%")


def execute(module: ModuleType, root: Path, path: Path) -> None:
    """Run a script as this module, with its imports from that root: in a process that a task has spawned."""
    search_in(root, path)
    with helpers_first(root, path):
        exec(compile(_source(path), str(path), "exec", dont_inherit=True), module.__dict__)
    hide_standard_library()


def is_loading() -> str | None:
    """The module name of the script that is being loaded, further up the stack; None where none is."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if frame.f_code.co_name == "<module>" and (name == SPAWNED or name.startswith(MODULES)):
            return name
        frame = frame.f_back
    return None


def _executed(root: Path, path: Path, name: str) -> ModuleType:
    source = _source(path)
    spec = importlib.util.spec_from_file_location(module_name(name), path)
    assert spec is not None  # its name ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    try:  # what a script prints must not end up in --json
        with contextlib.redirect_stdout(sys.stderr), helpers_first(root, path):
            exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a script may raise anything, SystemExit included
        sys.modules.pop(module.__name__, None)
        raise ScriptError(_explained(error, root, path)) from error
    return module


def _experiment(module: ModuleType, path: Path) -> Experiment:
    found = {name: value for name, value in vars(module).items() if isinstance(value, Experiment)}
    if "experiment" in found:
        return found["experiment"]
    if not found:
        raise ScriptError(f"{path} has no experiment. {HOW_TO}")
    if len({id(value) for value in found.values()}) > 1:
        raise ScriptError(
            f"{path} has several experiments: {', '.join(found)}. "
            "Call the one to run 'experiment', or give each a script of its own."
        )
    return next(iter(found.values()))


def _explained(error: BaseException, root: Path, path: Path) -> str:
    """The error, where in the user's code it was raised, and how the script got there."""
    said = _said(error)
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        line = f"\n    {error.text.strip()}" if error.text else ""
        return f"{error.filename}, line {error.lineno}: {type(error).__name__}: {error.msg}.{line}"
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename, root, path)
    ]
    if not frames:
        return f"{path}: {said}"
    shown = [
        f"\n  {frame.filename}, line {frame.lineno}, in {frame.name}\n    {frame.line}" for frame in frames
    ]
    return f"{path}, line {frames[0].lineno}: {said}" + "".join(shown[-_FRAMES_SHOWN:])


def _source(path: Path) -> bytes:
    try:  # not by the import system, whose cache takes a file edited twice in a second for unchanged
        return path.read_bytes()
    except OSError as error:
        raise ScriptError(f"{path} cannot be read: {error.strerror}.") from error


def _said(error: BaseException) -> str:
    return str(error) if isinstance(error, NeurofitError) else described(error)


def _is_users(filename: str, root: Path, path: Path) -> bool:
    return filename == str(path) or (is_inside(filename, root) and not is_installed(filename, root))


def _slow_hint(path: Path, known: set[str], seconds: float) -> str | None:
    slow = [name for name in SLOW_IMPORTS if name in sys.modules and name not in known]
    if not slow:
        return None
    return (
        f"{path} imports {slow[0]} at its top: loading it took {seconds:.1f} s, which every command pays. "
        "Move the import into the function that needs it."
    )
