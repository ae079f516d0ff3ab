"""Scripts as modules: `neurofit.jobs.exp3` is the study's `jobs/exp3.py`, wherever it was loaded from.

What a script defines has this name in pickles, so that a process which a task spawns (`multiprocessing` with
spawn or forkserver, joblib) finds its functions and classes, in the copy of the code that the task runs.
Elsewhere, in a notebook, they come from the study of the current folder.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from neurofit import study
from neurofit.environment import settle_keras
from neurofit.errors import NeurofitError
from neurofit.experiments import scripts

__path__: list[str] = []  # a package, whose modules are the scripts


class _Scripts(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds scripts by their modules' names."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not name.startswith(scripts.MODULES):
            return None
        try:
            root = Path(os.environ.get(scripts.ROOT) or study.find(Path.cwd()).root)
        except NeurofitError:
            return None
        file = root / "jobs" / f"{scripts.name_of_module(name)}.py"
        return importlib.util.spec_from_file_location(name, file, loader=self) if file.is_file() else None

    def exec_module(self, module: ModuleType) -> None:
        file = Path(module.__file__)
        levels = len(Path(scripts.name_of_module(module.__name__)).parts)
        scripts.execute(module, file.parents[levels], file)


sys.meta_path.append(_Scripts())
settle_keras()
