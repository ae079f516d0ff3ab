"""What a score is a score of: the whole recipe of a fit in a few lines, for its log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neurofit.models.training import FIELDS

ALWAYS = (
    "loss",
    "optimizer",
    "learning_rate",
    "batch_size",
    "epochs",
)  # of a training, also where they are defaults


def told(recipe: Mapping[str, Any], facts: Mapping[str, Any], metrics: Mapping[str, float]) -> str:
    """Model, data, training, its end, and the scores, one line each.

    Parameters
    ----------
    recipe : dict
        As in `recipe.json`.
    facts : dict
        How the training ended: epochs, best_epoch, stop_reason, neurons_scored, neurons_silent.
    metrics : dict of str to float
        The task's metrics.
    """
    return "\n".join(
        [
            f"model: {recipe['architecture']}({_listed(recipe['arguments'])})",
            f"data: {_data(recipe)}",
            f"training: {_training(recipe['training'])}",
            *_path(facts),
            f"ended: {facts['stop_reason']} after {facts['epochs']} epochs, weights of epoch "
            f"{facts['best_epoch']}",
            f"scores: {_listed({name: f'{value:.4f}' for name, value in metrics.items()})}"
            f" ({facts['neurons_scored']} neurons, {facts['neurons_silent']} silent left out)",
        ]
    )


def _path(facts: Mapping[str, Any]) -> list[str]:
    """Each point of a regularisation path with its loss, where there was one."""
    points = []
    for point in facts.get("path", []):
        argument, strength = next(iter(point.items()))
        points.append(f"{argument}={strength} {point['validation/loss']:.4f} ({point['epochs']} epochs)")
    if not points:
        return []
    return [f"path: {', '.join(points)}; lowest validation loss at {facts['path_chose']}"]


def _data(recipe: Mapping[str, Any]) -> str:
    data, split, scaled = recipe["data"], recipe["split"], recipe["standardise"]
    images = ", ".join(f"{count} {name}" for name, count in data["images"].items())
    groups = f"split with seed {split['seed']}" + (f" by {split['split_by']}" if split["split_by"] else "")
    return f"{data['name']} ({data['hash']}), {data['neurons']} neurons, images: {images}, {groups}; {_listed(scaled)}"


def _training(training: Mapping[str, Any]) -> str:
    shown = {
        name: value for name, value in training.items() if name in ALWAYS or value != _plain(FIELDS.get(name))
    }
    if training["optimizer"] == "lbfgs":
        shown = {name: value for name, value in shown.items() if name not in ("batch_size", "learning_rate")}
    shown.pop("checkpoint_minutes", None)
    return _listed(shown)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())
