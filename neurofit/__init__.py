"""neurofit: from an experiment script to a table of results, on whichever queue you have.

Public names load on first use, so that `import neurofit as nf` costs a job script nothing.
"""

from __future__ import annotations

from neurofit.lazy import attach

__version__ = "0.1.0"

_WHERE = {
    "Experiment": "experiments.experiment",
    "main": "cli.script",
    "grid": "experiments.grid.grid",
    "results": "tables.rows",
    "neurons": "tables.rows",
    "load": "tables.loading",
    "folder": "tables.loading",
    "curves": "plotting.curve_sets",
    "ensemble": "tables.loading",
}
_FOLDERS = ("datasets", "errors", "models", "plotting", "reports", "scores")
__getattr__, __dir__, __all__ = attach(__name__, _WHERE, _FOLDERS)
__all__ += ["__version__"]
