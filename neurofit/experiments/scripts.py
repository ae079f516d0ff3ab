"""Experiment scripts: which there are, which one a name means, and loading one.

A script is any `.py` file under `jobs/` whose own name, and those of its folders, do not start with `_` or a
dot: keep helper modules in `_helpers.py`, or outside `jobs/`. While it loads, and from then on (fits import
late), the study's root, `jobs/` and the script's folder are on `sys.path`, after the standard library and
before installed packages, so that neither `jobs/queue.py` nor an installed `utils` gets in the way. A helper
in the script's own folder that the script imports by a name of the standard library's is what it is in
`python jobs/exp3.py`: the helper. Loading from another root, a submitted copy of the code, forgets the
modules of the root before.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import os
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from neurofit import study as studies
from neurofit.errors import NameUnknown, NeurofitError, ScriptError, described, nearest
from neurofit.experiments.dependencies import hiding
from neurofit.experiments.experiment import Experiment
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
    _search_in(root, path)
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
    _search_in(study.root, path)
    return study, experiment.at(name, path)


def modules_of(root: Path) -> list[ModuleType]:
    """The modules that were loaded from a study, or a copy of its code: of scripts, and of what they
    import.
    """
    return [module for module in list(sys.modules.values()) if _is_studys(module, root)]


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
    _search_in(root, path)
    with _hidden(root, path):
        exec(compile(_source(path), str(path), "exec", dont_inherit=True), module.__dict__)
    hide_standard_library()


def is_loading() -> str | None:
    """The module name of the script that is being loaded, further up the stack; None where none is."""
    frame = sys._getframe()
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if frame.f_code.co_name == "<module>" and (name == SPAWNED or name.startswith(MODULES)):
            return name
        frame = frame.f_back
    return None


_hiding: dict[str, Path] = {}  # helpers in scripts' folders, which hide modules of the standard library
_helpers: dict[str, ModuleType] = {}  # those that are loaded


def hide_standard_library() -> None:
    """Have helpers that are named like modules of the standard library found from now on, by whatever a task
    imports: as in `python jobs/exp3.py`. For a process that does tasks of one script alone.
    """
    if _hiding:
        for name in _hiding:
            sys.modules.pop(name, None)
        sys.modules.update(_helpers)
        sys.meta_path.insert(0, _Helpers(dict(_hiding)))


class _Helpers:
    """Finds such helpers while a script is loaded."""

    def __init__(self, files: dict[str, Path]) -> None:
        self.files = files

    def find_spec(
        self, name: str, path: object, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_file_location(name, self.files[name]) if name in self.files else None


@contextlib.contextmanager
def _hidden(root: Path, path: Path) -> Iterator[None]:
    """While the script is loaded, its helpers hide the standard library; afterwards that is there for the
    others.
    """
    files = hiding(root, path)
    if not files:
        yield
        return
    _hiding.update(files)
    finder = _Helpers(files)
    before = {name: sys.modules.pop(name) for name in files if name in sys.modules}
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        _helpers.update({name: sys.modules.pop(name) for name in files if name in sys.modules})
        sys.modules.update(before)


def _executed(root: Path, path: Path, name: str) -> ModuleType:
    source = _source(path)
    spec = importlib.util.spec_from_file_location(module_name(name), path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    try:  # what a script prints must not end up in --json
        with contextlib.redirect_stdout(sys.stderr), _hidden(root, path):
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
    return filename == str(path) or (_is_inside(filename, root) and not _is_installed(filename, root))


_ours: dict[str, Path] = {}  # folder that was put on sys.path -> the root it is for
_before: dict[Path, frozenset[str]] = {}  # root -> the modules there were before anything was loaded from it


def _search_in(root: Path, path: Path) -> None:
    for other in _before.keys() - {root}:
        _forget(other)
    _before.setdefault(root, frozenset(sys.modules))
    sys.path[:] = [entry for entry in sys.path if entry not in _ours]
    folders = dict.fromkeys([str(path.parent), str(root / "jobs"), str(root), *_ours])
    missing = [folder for folder in folders if folder not in sys.path]
    _ours.update(dict.fromkeys(missing, root))
    installed = (
        i for i, entry in enumerate(sys.path) if Path(entry).name in ("site-packages", "dist-packages")
    )
    at = next(installed, len(sys.path))
    sys.path[at:at] = missing
    importlib.invalidate_caches()


def _forget(root: Path) -> None:
    before = _before.pop(root)
    for name in [name for name, file in _hiding.items() if _is_inside(str(file), root)]:
        del _hiding[name]
        _helpers.pop(name, None)
    sys.path[:] = [entry for entry in sys.path if _ours.get(entry) != root]
    for folder in [folder for folder, owner in _ours.items() if owner == root]:
        del _ours[folder]
    for name, module in list(sys.modules.items()):
        if name not in before and _is_studys(module, root):
            del sys.modules[name]


def _is_studys(module: ModuleType, root: Path) -> bool:
    return any(_is_inside(place, root) and not _is_installed(place, root) for place in _places(module))


def _places(module: ModuleType) -> Iterator[str]:
    file = getattr(module, "__file__", None)
    if file:
        yield file
    elif getattr(module, "__path__", None):  # a folder without __init__.py
        yield from (str(place) for place in module.__path__)


def _is_inside(place: str, root: Path) -> bool:
    return place.startswith(f"{root}{os.sep}")


def _is_installed(place: str, root: Path) -> bool:
    """Whether a file under the root is no part of the study's code: in a virtual environment, or neurofit
    itself.
    """
    parts = place[len(str(root)) + 1 :].split(os.sep)
    return parts[0] == "neurofit" or "site-packages" in parts or any(part.startswith(".") for part in parts)


def _slow_hint(path: Path, known: set[str], seconds: float) -> str | None:
    slow = [name for name in SLOW_IMPORTS if name in sys.modules and name not in known]
    if not slow:
        return None
    return (
        f"{path} imports {slow[0]} at its top: loading it took {seconds:.1f} s, which every command pays. "
        "Move the import into the function that needs it."
    )
