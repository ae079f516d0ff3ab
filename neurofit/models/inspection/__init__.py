"""What a trained model does and looks like, as arrays: `neurofit.reports` draws them.

A model's inputs are in its *normalised* units (`normalisation.json` of its task), and so is every image that these
functions take or give, unless its name says pixels; `Units` converts. Every function takes a Keras model with one image
input, and one output or several (several readouts): neurons then count through all of them in order.
Names load on first use.
"""

from __future__ import annotations

import importlib

_WHERE = {
    "Units": "units",
    "respond": "responses",
    "gradients": "responses",
    "receptive_fields": "fields",
    "spike_triggered_average": "fields",
    "centres": "fields",
    "filters": "weights",
    "where_maps": "readouts",
    "positions": "readouts",
    "Exciting": "exciting",
    "most_exciting_images": "exciting",
    "gratings": "stimuli",
    "Tuning": "tunings",
    "tuning": "tunings",
    "orientation_selectivity": "tunings",
    "VIEWS": "views",
    "view": "views",
}
__all__ = sorted(_WHERE)


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module 'neurofit.models.inspection' has no attribute '{name}'")
    return getattr(importlib.import_module(f"neurofit.models.inspection.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return __all__
