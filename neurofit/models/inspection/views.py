"""Pictures of a model for `neurofit plot`, as panels of plain arrays (docs/architecture.md, "Views")."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from neurofit.errors import UsageError, nearest
from neurofit.models.inspection import fields, responses, stimuli
from neurofit.models.inspection.responses import Units

AT_MOST = 36  # neurons, unless some are named
FEW = 7  # neurons whose lines have a colour each
Panel = dict[str, Any]


def view(
    model: keras.Model, record: Mapping[str, Any], name: str, *, neurons: Sequence[int] | None = None
) -> list[Panel]:
    """The panels of one view.

    Parameters
    ----------
    model : keras.Model
    record : mapping
        The normalisation of the model's inputs (`saved.normalisation(folder)`).
    name : str
        One of VIEWS.
    neurons : sequence of int, optional
        Indices. Default: the first 36.

    Returns
    -------
    list of dict
        docs/architecture.md describes the entries.

    Raises
    ------
    UsageError
        If there is no such view or neuron, or the model has nothing of that kind.
    """
    if name not in VIEWS:
        raise UsageError(f"There is no view '{name}'.{nearest(name, VIEWS)} Views: {', '.join(VIEWS)}.")
    indices = responses.chosen(model, None if neurons is None else neurons)
    panels = VIEWS[name](model, record, indices if neurons is not None else indices[:AT_MOST])
    if not panels:
        raise UsageError(f"The model '{model.name}' has no {name}: none of its layers has any.")
    return panels


def _filters(model: keras.Model, record: Mapping[str, Any], indices: np.ndarray) -> list[Panel]:
    return [_maps(layer, maps, "weight") for layer, maps in fields.filters(model).items()]


def _receptive_fields(model: keras.Model, record: Mapping[str, Any], indices: np.ndarray) -> list[Panel]:
    units, shape = Units.of(record), responses.image_shape(model)
    found = fields.receptive_fields(model, at=np.full(shape, units.middle), neurons=indices) * units.typical
    return [_maps("receptive fields: gradient at the mean grey", found, "response per pixel std", indices)]


def _readouts(model: keras.Model, record: Mapping[str, Any], indices: np.ndarray) -> list[Panel]:
    panels, first = [], 0
    for layer, maps in fields.where_maps(model).items():  # neurons count through all readouts
        own = indices[(indices >= first) & (indices < first + len(maps))]
        if len(own):
            panels.append(_maps(f"{layer}: where", maps[own - first], "weight", own))
        first += len(maps)
    first = 0
    for layer, found in fields.positions(model).items():
        own, first = indices[(indices >= first) & (indices < first + len(found))] - first, first + len(found)
        found = found[own]
        title, axes = f"{layer}: centres", {"x_label": "x (−1 left, 1 right)", "y_label": "y (1 below)"}
        panels.append({"kind": "points", "title": title, "points": found, "limits": [-1, 1], **axes})
    return panels


def _exciting(model: keras.Model, record: Mapping[str, Any], indices: np.ndarray) -> list[Panel]:
    units, norm = Units.of(record), np.sqrt(np.prod(responses.image_shape(model)))
    found = stimuli.most_exciting_images(
        model, neurons=indices, norm=norm * units.typical, around=units.middle
    )
    shown = (found.images - units.middle) / units.typical
    return [
        _maps(f"most exciting images of norm ≤ {norm:.3g}", shown, "pixel std from the mean grey", indices)
    ]


def _tuning(model: keras.Model, record: Mapping[str, Any], indices: np.ndarray) -> list[Panel]:
    found = stimuli.tuning(model, neurons=indices, units=Units.of(record))
    return [
        _orientation(found, indices),
        _lines(
            "spatial frequency",
            found.frequencies,
            found.by_frequency,
            "frequency [cycles/pixel]",
            indices,
            "log",
        ),
        _lines("size", found.diameters, found.by_diameter, "diameter [pixels]", indices, "log"),
        _lines("contrast response", found.contrasts, found.by_contrast, "contrast", indices),
    ]


def _orientation(found: stimuli.Tuning, indices: np.ndarray) -> Panel:
    """Of many neurons, relative to each one's preferred orientation, so that a median makes sense."""
    if len(indices) <= FEW:
        panel = _lines("orientation", found.orientations, found.by_orientation, "orientation [°]", indices)
        return {**panel, "x_ticks": [0, 45, 90, 135, 180]}
    half = len(found.orientations) // 2
    turned = [np.roll(one, half - one.argmax()) for one in found.by_orientation]
    x = found.orientations - found.orientations[half]
    panel = _lines("orientation", x, np.stack(turned), "orientation from the preferred one [°]", indices)
    return {**panel, "x_ticks": [-90, -45, 0, 45, 90]}


def _maps(title: str, maps: np.ndarray, unit: str, labels: Iterable[int] | None = None) -> Panel:
    labels = range(len(maps)) if labels is None else labels
    return {
        "kind": "maps",
        "title": title,
        "maps": maps,
        "labels": [str(one) for one in labels],
        "unit": unit,
    }


def _lines(
    title: str, x: np.ndarray, y: np.ndarray, x_label: str, labels: Iterable[int], scale: str = "linear"
) -> Panel:
    return {
        "kind": "lines",
        "title": title,
        "x": x,
        "y": y,
        "labels": [f"neuron {one}" for one in labels],
        "x_label": x_label,
        "y_label": "predicted response",
        "x_scale": scale,
    }


VIEWS: dict[str, Callable[..., list[Panel]]] = {
    "filters": _filters,
    "receptive-fields": _receptive_fields,
    "readouts": _readouts,
    "exciting-images": _exciting,
    "tuning": _tuning,
}
