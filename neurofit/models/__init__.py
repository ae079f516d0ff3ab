"""With what: layers, penalties, losses, architectures, and `Fit`, which trains them. The only place with TensorFlow.

Names load on first use (PEP 562): `Fit` and `Training` cost a job script nothing, the others import Keras.
"""

from __future__ import annotations

import importlib

_WHERE = {
    "Fit": "fit",
    "Training": "training",
    "load_folder": "saved",
    "penalties": "regularizers",
}
_MODULES = (
    "architectures", "baselines", "ensembles", "inspection", "layers", "losses", "optimizers", "regularizers", "saved",
    "thesis",
)  # fmt: skip
__all__ = sorted([*_WHERE, *_MODULES])


def __getattr__(name: str):
    if name in _MODULES:
        return importlib.import_module(f"neurofit.models.{name}")
    if name not in _WHERE:
        raise AttributeError(f"module 'neurofit.models' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"neurofit.models.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
