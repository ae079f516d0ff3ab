"""Experiment scripts as modules: `neurofit.jobs.exp3` is `jobs/exp3.py` of the study.

Functions and classes of a script have this module name in pickles. A process that a task spawns
(`multiprocessing` with spawn or forkserver, joblib) therefore finds them in the copy of the code that the task
runs. In other processes, such as a notebook, they come from the study of the current folder.
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

__path__: list[str] = []  # this module is a package, and the scripts are its modules


class _Scripts(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds and loads scripts by the names of their modules."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not name.startswith(scripts.MODULES):
            return None
        try:
            root = Path(os.environ.get(study.CODE_ROOT) or study.find(Path.cwd()).root)
        except NeurofitError:
            return None
        file = root / "jobs" / f"{scripts.name_of_module(name)}.py"
        return importlib.util.spec_from_file_location(name, file, loader=self) if file.is_file() else None

    def exec_module(self, module: ModuleType) -> None:
        assert module.__file__ is not None  # its spec has a location
        file = Path(module.__file__)
        levels = len(Path(scripts.name_of_module(module.__name__)).parts)
        scripts.execute(module, file.parents[levels], file)


sys.meta_path.append(_Scripts())
settle_keras()
