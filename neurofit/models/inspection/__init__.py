"""What a trained model does and looks like, as arrays: `neurofit.plotting` draws them.

A model's inputs are in its *normalised* units (`normalisation.json` of its task), and so is every image that
these functions take or give, unless its name says pixels; `Units` converts. Every function takes a Keras
model with one image input, and one output or several (several readouts): neurons then count through all of
them in order. Names load on first use.
"""

from __future__ import annotations

from neurofit.lazy import attach

_WHERE = {
    "Units": "units",
    "respond": "responses",
    "gradients": "responses",
    "receptive_fields": "fields",
    "spike_triggered_average": "fields",
    "centres": "fields",
    "filters": "weights",
    "where_maps": "weights",
    "positions": "weights",
    "Exciting": "exciting",
    "most_exciting_images": "exciting",
    "gratings": "tunings",
    "Tuning": "tunings",
    "tuning": "tunings",
    "orientation_selectivity": "tunings",
    "VIEWS": "views",
    "view": "views",
}
__getattr__, __dir__, __all__ = attach(__name__, _WHERE)
