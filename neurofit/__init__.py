"""neurofit: from an experiment script to a table of results, on whichever queue you have.

Public names load on first use, so that `import neurofit as nf` costs a job script nothing.
"""

from __future__ import annotations

from neurofit.lazy import attach

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = attach(__name__, __file__)
__all__ += ["__version__"]
