"""Experiment scripts: listing them, finding one by name, and loading it.

A script is any `.py` file under `jobs/`, unless its name or that of one of its folders starts with `_` or a dot. Keep
helper modules in `_helpers.py` or outside `jobs/`. `import_path.py` sets the import path for a script, while it
loads and afterwards (fits may import when they run).
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import os
import sys
import time
import traceback
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, ModuleType
from typing import TYPE_CHECKING

from neurofit import study as studies
from neurofit.errors import NameUnknown, NeurofitError, ScriptError, described, nearest
from neurofit.experiments.import_path import (
    helpers_first,
    hide_standard_library,
    is_inside,
    is_installed,
    search_in,
)
from neurofit.study import Study

if TYPE_CHECKING:
    from neurofit.experiments.experiment import Experiment

MODULES = "neurofit.jobs."
SPAWNED = "__mp_main__"  # the name that multiprocessing gives the main script in a process that it spawns
SLOW_IMPORTS = ("tensorflow", "torch", "jax")
HOW_TO = """Add:

    import neurofit as nf
    def fit(task, *, x=1):
        return {"metric": x}
    experiment = nf.Experiment(fit, grid=nf.grid(x=[1, 2, 3]))"""
_FRAMES_SHOWN = 3


@dataclass(frozen=True)
class Entry:
    """A script under `jobs/`. Its name is its path relative to `jobs/`, without `.py`."""

    name: str
    path: Path


def discover(study: Study) -> list[Entry]:
    """All experiment scripts of a study, sorted by name."""
    entries = []
    for folder, folders, files in os.walk(study.jobs):
        folders[:] = [name for name in folders if name[0] not in "._"]
        paths = [Path(folder, name) for name in files if name.endswith(".py") and name[0] not in "._"]
        entries += [Entry(path.relative_to(study.jobs).with_suffix("").as_posix(), path) for path in paths]
    return sorted(entries, key=lambda entry: entry.name)


def find(study: Study, name: str) -> Entry:
    """Find a script by name.

    Parameters
    ----------
    study : Study
    name : str
        The whole name, its last parts if they are unique, or the path of the script (`jobs/exp3.py`).

    Raises
    ------
    NameUnknown
        No script has this name, or several have these last parts.
    """
    entries = discover(study)
    wanted = name_of(study, name)
    by_name = {entry.name: entry for entry in entries}
    if (whole := completed(name, wanted, by_name)) is not None:
        return by_name[whole]
    if not entries:
        raise NameUnknown(
            f"No experiment '{name}': {study.jobs} has no scripts. "
            "Write one, or create an example with `neurofit init`."
        )
    known = [entry.name for entry in entries]
    tails = {entry.name.rpartition("/")[2]: entry.name for entry in entries}
    hint = nearest(wanted, known) or nearest(wanted, tails)
    raise NameUnknown(f"No experiment '{name}' in {study.jobs}.{hint} Its experiments: {', '.join(known)}.")


def load(study: Study | Path, path: Path, name: str) -> Experiment:
    """Load the experiment that a script defines.

    If an import made loading slow, the `hint` of the experiment explains it.

    Parameters
    ----------
    study : Study or Path
        The study, or the root of a copy of its code.
    path : Path
        The script, under `jobs/` of that root.
    name : str
        The name of the experiment.

    Returns
    -------
    Experiment

    Raises
    ------
    ScriptError
        The script raises an exception, or has no experiment or several.
    """
    # Imported before the script is executed, whose helpers may hide the standard library
    from neurofit.experiments.experiment import Experiment

    root = study.root if isinstance(study, Study) else Path(study)
    search_in(root, path)
    known, started = set(sys.modules), time.perf_counter()
    module = _executed(root, path, name)
    hint = _slow_hint(path, known, time.perf_counter() - started)
    return _experiment(module, path, Experiment).at(name, path, hint=hint)


def placed(experiment: Experiment, path: Path) -> tuple[Study, Experiment]:
    """The study and the experiment of a script that was started directly, as in `python jobs/exp3.py`.

    The experiment gets its name, and the import path is set, as if the script had been loaded.

    Raises
    ------
    StudyError
        The script is not in a study.
    ScriptError
        The script is not under `jobs/` of the study.
    """
    path = Path(os.path.abspath(path))
    study = studies.find(path.parent, trusted=True)  # the user has already executed the script
    name = name_of(study, str(path))
    if Path(name).is_absolute():
        raise ScriptError(
            f"{path} is not under {study.jobs}, the folder of this study's experiments. Move it there."
        )
    search_in(study.root, path)
    return study, experiment.at(name, path)


def head(path: Path) -> str:
    """The first line of the script's docstring, or an empty text. The script is not executed."""
    return docstring(path).partition("\n")[0]


def docstring(path: Path) -> str:
    """The script's docstring without its indentation, or an empty text. The script is not executed."""
    try:
        documented = ast.get_docstring(ast.parse(path.read_bytes()))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return ""
    return (documented or "").strip()


def completed(name: str, wanted: str, known: Collection[str]) -> str | None:
    """The experiment that `wanted` names, whole or by the last parts of its path; None if there is none.

    Raises
    ------
    NameUnknown
        Several have these last parts.
    """
    if wanted in known:
        return wanted
    found = [one for one in known if f"/{one}".endswith(f"/{wanted}")]
    if len(found) > 1:
        raise NameUnknown(f"'{name}' could be any of: {', '.join(found)}. Give the whole name.")
    return found[0] if found else None


def name_of(study: Study, name: str) -> str:
    """The name of the script at a path, absolute or relative to the study's root; names stay as they are."""
    wanted = Path(name)
    with contextlib.suppress(ValueError):
        wanted = Path(os.path.normpath(study.root / name)).relative_to(study.jobs)
    return wanted.as_posix().removesuffix(".py")


def module_name(name: str) -> str:
    """The name of the module of an experiment's script, as in pickles (see `neurofit.jobs`)."""
    return MODULES + name.replace("%", "%25").replace(".", "%2E")


def name_of_module(module: str) -> str:
    """The name of the experiment whose script is this module."""
    return module.removeprefix(MODULES).replace("%2E", ".").replace("%25", "%")


def execute(module: ModuleType, root: Path, path: Path) -> None:
    """Execute a script as this module, with imports from this root, in a process spawned by a task."""
    search_in(root, path)
    with helpers_first(root, path):
        exec(compile(_source(path), str(path), "exec", dont_inherit=True), module.__dict__)
    hide_standard_library()


def is_loading() -> str | None:
    """The module name of the script that is being loaded further up the stack, or None."""
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
    try:  # the output of a script must not be mixed with that of --json
        with contextlib.redirect_stdout(sys.stderr), helpers_first(root, path):
            exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a script may raise anything, including SystemExit
        sys.modules.pop(module.__name__, None)
        raise ScriptError(_explained(error, root, path)) from error
    return module


def _experiment(module: ModuleType, path: Path, kind: type[Experiment]) -> Experiment:
    found = {name: value for name, value in vars(module).items() if isinstance(value, kind)}
    if "experiment" in found:
        return found["experiment"]
    if not found:
        raise ScriptError(f"{path} has no experiment. {HOW_TO}")
    if len({id(value) for value in found.values()}) > 1:
        raise ScriptError(
            f"{path} has several experiments: {', '.join(found)}. "
            "Name the one to run 'experiment', or write a separate script for each."
        )
    return next(iter(found.values()))


def _explained(error: BaseException, root: Path, path: Path) -> str:
    """The error, the place in the user's code where it was raised, and the calls that led to it."""
    message = _message(error)
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        line = f"\n    {error.text.strip()}" if error.text else ""
        return f"{error.filename}, line {error.lineno}: {type(error).__name__}: {error.msg}.{line}"
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename, root, path)
    ]
    if not frames:
        return f"{path}: {message}"
    shown = [
        f"\n  {frame.filename}, line {frame.lineno}, in {frame.name}\n    {frame.line}" for frame in frames
    ]
    return f"{path}, line {frames[0].lineno}: {message}" + "".join(shown[-_FRAMES_SHOWN:])


def _source(path: Path) -> bytes:
    try:  # not with the import system: its cache misses a second edit within one second
        return path.read_bytes()
    except OSError as error:
        raise ScriptError(f"{path} cannot be read: {error.strerror}.") from error


def _message(error: BaseException) -> str:
    return str(error) if isinstance(error, NeurofitError) else described(error)


def _is_users(filename: str, root: Path, path: Path) -> bool:
    return filename == str(path) or (is_inside(filename, root) and not is_installed(filename, root))


def _slow_hint(path: Path, known: set[str], seconds: float) -> str | None:
    slow = [name for name in SLOW_IMPORTS if name in sys.modules and name not in known]
    if not slow:
        return None
    return (
        f"{path} imports {slow[0]} at the top: loading it took {seconds:.1f} s, and every command loads it. "
        "Move the import into the function that needs it."
    )
