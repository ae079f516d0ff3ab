"""neurofit: from an experiment script to a table of results, on whichever queue you have.

Public names load on first use, so that `import neurofit as nf` costs a job script nothing.
"""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

_WHERE = {
    "Experiment": "neurofit.experiments.definition",
    "grid": "neurofit.experiments.grid",
    "results": "neurofit.orchestrate.tables",
    "neurons": "neurofit.orchestrate.tables",
    "load": "neurofit.orchestrate.reload",
    "folder": "neurofit.orchestrate.reload",
    "curves": "neurofit.orchestrate.pictures.curves",
    "ensemble": "neurofit.orchestrate.reload",
}
_FOLDERS = ("datasets", "errors", "models", "reports", "scores")
__all__ = sorted([*_WHERE, *_FOLDERS, "__version__"])


def __getattr__(name: str):
    if name in _FOLDERS:
        return importlib.import_module(f"neurofit.{name}")
    if name not in _WHERE:
        raise AttributeError(f"module 'neurofit' has no attribute '{name}'")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
