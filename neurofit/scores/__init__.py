"""How good: scores of predicted responses, one value per neuron (`measures`), and of a population (`summary`).

Names load on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

import importlib

_WHERE = {
    "correlation": "measures",
    "explained_variance": "measures",
    "fraction_of_variance_explained": "measures",
    "poisson_log_likelihood": "measures",
    "Summary": "summary",
    "population": "summary",
    "scored": "summary",
}
__all__ = sorted(_WHERE)


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module 'neurofit.scores' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"neurofit.scores.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
