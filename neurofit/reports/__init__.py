"""Pictures: curves over repetitions, training progress, scores per neuron, and what a model looks like.

Functions that draw take arrays and a matplotlib Axes, and return it; `figure` makes one, `save` writes it. Nothing here
reads a study or loads TensorFlow, and matplotlib (the extra `plots`) loads when something is drawn.
Names load on first use.
"""

from __future__ import annotations

import importlib

_WHERE = {
    "Curve": "curves",
    "History": "curves",
    "over_repetitions": "curves",
    "ensemble": "curves",
    "last_steps": "curves",
    "draw_curves": "lines",
    "draw_progress": "lines",
    "draw_references": "lines",
    "draw_lines": "lines",
    "draw_neurons": "neurons",
    "draw_predictions": "neurons",
    "draw_maps": "maps",
    "draw_points": "maps",
    "read_events": "events",
    "repetitions": "events",
    "REFERENCES": "references",
    "Reference": "references",
    "reference": "references",
    "figure": "style",
    "save": "style",
}
__all__ = sorted(_WHERE)


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module 'neurofit.reports' has no attribute '{name}'")
    return getattr(importlib.import_module(f"neurofit.reports.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return __all__
