"""The import path of scripts: `sys.path` and `sys.modules` while a script loads, and afterwards.

The study's root, `jobs/` and the script's folder are on `sys.path` after the standard library and before
installed packages. A helper in the script's own folder with the name of a module of the standard library
hides that module from the script. Loading from another root removes the modules of the previous root.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from neurofit.experiments.dependencies import hiding

_ours: dict[str, Path] = {}  # folder added to sys.path -> its root
_before: dict[Path, frozenset[str]] = {}  # root -> the modules loaded before any from this root


def search_in(root: Path, path: Path) -> None:
    """Search for imports in the root, in `jobs/` and in the script's folder from now on."""
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
    for name in [name for name, file in _hiding.items() if is_inside(str(file), root)]:
        del _hiding[name]
        _helpers.pop(name, None)
    sys.path[:] = [entry for entry in sys.path if _ours.get(entry) != root]
    for folder in [folder for folder, owner in _ours.items() if owner == root]:
        del _ours[folder]
    for name, module in list(sys.modules.items()):
        if name not in before and _is_studys(module, root):
            del sys.modules[name]


def _is_studys(module: ModuleType, root: Path) -> bool:
    return any(is_inside(place, root) and not is_installed(place, root) for place in _places(module))


def _places(module: ModuleType) -> Iterator[str]:
    file = getattr(module, "__file__", None)
    if file:
        yield file
    elif getattr(module, "__path__", None):  # a folder without __init__.py
        yield from (str(place) for place in module.__path__)


def is_inside(place: str, root: Path) -> bool:
    """Whether a file is below the root."""
    return place.startswith(f"{root}{os.sep}")


def is_installed(place: str, root: Path) -> bool:
    """Whether a file below the root is not the study's code: in a virtual environment, or neurofit itself."""
    parts = place[len(str(root)) + 1 :].split(os.sep)
    return parts[0] == "neurofit" or "site-packages" in parts or any(part.startswith(".") for part in parts)


def modules_of(root: Path) -> list[ModuleType]:
    """The modules loaded from a study or a copy of its code: scripts, and modules that they import."""
    return [module for module in list(sys.modules.values()) if _is_studys(module, root)]


_hiding: dict[str, Path] = {}  # helpers in scripts' folders, which hide modules of the standard library
_helpers: dict[str, ModuleType] = {}  # those that are loaded


def hide_standard_library() -> None:
    """Let helpers hide modules of the standard library from now on, as in `python jobs/exp3.py`.

    For a process that runs tasks of a single script.
    """
    if _hiding:
        for name in _hiding:
            sys.modules.pop(name, None)
        sys.modules.update(_helpers)
        sys.meta_path.insert(0, _Helpers(dict(_hiding)))


class _Helpers:
    """Finds helpers by name while a script is loaded."""

    def __init__(self, files: dict[str, Path]) -> None:
        self.files = files

    def find_spec(
        self, name: str, path: object, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_file_location(name, self.files[name]) if name in self.files else None


@contextlib.contextmanager
def helpers_first(root: Path, path: Path) -> Iterator[None]:
    """Let the script's helpers hide the standard library while it loads, but not afterwards."""
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
