"""Features of a map that are layers of a network: which ones, from the feature store.

The images stay on disk: features are extracted (or opened, if they are there) for all images of a stimulus set,
and a map reads them by blocks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurofit import datasets
from neurofit.errors import DataError, GridError, NameUnknown, nearest
from neurofit.models.ready_made import REQUIRED

if TYPE_CHECKING:
    from neurofit.features import Features, Network

NAMED_WEIGHTS = ("imagenet", "random", "saved")
AXES = ("network", "weights", "weights_seed", "layer", "resize", "choose")
CHOOSE = (None, "validation")


@dataclass(frozen=True)
class NetworkFeatures:
    """Layers of a network, as the `features` of a `MapFit`. Every parameter but `networks` can be an axis.

    Parameters
    ----------
    network : str, default "ResNet50"
        A network of `keras.applications`, or a name in `networks`.
    weights : {"imagenet", "random", "saved"} or path, optional
        As of `features.Network`; a path is relative to the study. Default: "imagenet" for networks of
        `keras.applications`, and for those in `networks` what they say themselves.
    weights_seed : int, default 0
        Of random weights.
    layer : str, int, or list of these, optional
        A name, alias ("layer3") or index. Several layers are the bands of a map of the kind "banded", in this
        order, or those that `choose` chooses from. Default: the grid must have the axis `layer`.
    resize : int or (int, int), optional
        Height and width that images are resized to, bilinearly and with antialiasing. Default: their own size.
    choose : {"validation"}, optional
        Of several layers, use the one whose median explained variance on the validation set is highest. The
        test set has no part in the choice.
    networks : mapping of str to features.Network, optional
        Other networks: saved files, or functions that return a model.

    Raises
    ------
    GridError
        If a value is not valid.
    """

    network: str = "ResNet50"
    weights: str | None = None
    weights_seed: int = 0
    layer: Any = None
    resize: Any = None
    choose: str | None = None
    networks: Mapping[str, Network] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.check(
            {"layer": 0, **{name: getattr(self, name) for name in AXES if self._differs(name)}}, "banded"
        )

    def _differs(self, name: str) -> bool:
        default = next(one.default for one in fields(self) if one.name == name)
        return bool(getattr(self, name) != default)

    def arguments(self) -> dict[str, Any]:
        """What can be an axis, with its default."""
        given = {name: getattr(self, name) for name in AXES}
        return {**given, "layer": REQUIRED if self.layer is None else self.layer}

    def settings(self) -> dict[str, Any]:
        """What is part of every run's id, as JSON: what differs from the defaults."""
        own = {name: getattr(self, name) for name in AXES if self._differs(name)}
        named = {name: [one.label, str(one.weights), one.seed] for name, one in sorted(self.networks.items())}
        return {**own, **({"networks": named} if named else {})}

    def check(self, given: Mapping[str, Any], kind: str) -> None:
        """Raise GridError if these arguments are not valid for a map of this kind."""
        asked = {**self.arguments(), **given}
        self.network_of(asked, Path("."))
        weights, layers, resize = asked["weights"], _listed(asked["layer"]), asked["resize"]
        if given.get("weights_seed") and weights != "random":
            raise GridError(
                f"weights_seed={given['weights_seed']} changes nothing for weights={weights!r}, only for "
                "weights='random': add the runs of random weights to the grid, grid(…) + grid(…)."
            )
        if not layers or not all(isinstance(one, (str, int)) for one in layers):
            raise GridError(
                f"layer={asked['layer']!r}: expected the name of a layer, an index, or a list of them."
            )
        if resize is not None and not all(type(one) is int and one > 0 for one in _pair(resize)):
            raise GridError(f"resize={resize!r}: expected a number of pixels, or (height, width).")
        if asked["choose"] not in CHOOSE:
            raise GridError(f"choose={asked['choose']!r}: expected 'validation' or None.")
        if len(layers) > 1 and asked["choose"] is None and kind != "banded":
            raise GridError(
                f"layer={asked['layer']!r} has {len(layers)} layers: use kind='banded' for one map of all of "
                "them, choose='validation' for the best one, or an axis of the grid with one layer per run."
            )

    def network_of(self, asked: Mapping[str, Any], study: Path) -> Network:
        """The network with its weights.

        Raises
        ------
        GridError
            If there is no such network, or no such weights.
        """
        from neurofit.features.networks import Network, known_application

        name, weights = asked["network"], asked["weights"]
        if isinstance(weights, str) and weights not in NAMED_WEIGHTS:
            if "/" not in weights and not weights.endswith((".h5", ".keras")):
                raise GridError(
                    f"weights={weights!r}: expected {', '.join(map(repr, NAMED_WEIGHTS))}, or the path of a "
                    f".weights.h5 or .keras file.{nearest(weights, NAMED_WEIGHTS)}"
                )
            weights = str(study / Path(weights).expanduser())
        if name in self.networks:
            network = self.networks[name]
            return (
                network if weights is None else replace(network, weights=weights, seed=asked["weights_seed"])
            )
        try:
            known_application(str(name))
        except NameUnknown as error:
            own = f" This fit has also: {', '.join(self.networks)}." if self.networks else ""
            raise GridError(f"{error}{own}") from None
        return Network(str(name), weights=weights or "imagenet", seed=asked["weights_seed"])

    def sized(self, images: datasets.StimulusSet, asked: Mapping[str, Any]) -> datasets.StimulusSet:
        """The images as the network sees them: resized if that was asked for."""
        resize = asked["resize"]
        return images if resize is None else images.sized(*_pair(resize), resize=True)

    def files(self, asked: Mapping[str, Any], study: Path) -> list[Path]:
        """The file of weights, if there is one: a result depends on its content."""
        from neurofit.features.networks import fetched_path

        network = self.network_of(asked, study)
        weights = network.weights
        if weights == "imagenet":
            path = fetched_path(study / "data", str(network.source), network.top)
        elif weights is None or weights in NAMED_WEIGHTS:
            return []
        else:
            path = Path(weights)
        return [path] if path.is_file() else []

    def stored(
        self,
        images: datasets.StimulusSet,
        study: Path,
        given: Mapping[str, Any],
        expected: Mapping[str, Any] | None = None,
    ) -> list[Features]:
        """The features of every layer for these images, extracted unless they are there already.

        Parameters
        ----------
        images : StimulusSet
        study : Path
            The folder of the study, whose `training_data/.features/` holds the files.
        given : mapping
            Arguments; the others have the defaults of this object.
        expected : mapping, optional
            `facts_of` features that a map was fitted to: other weights are refused before anything is computed.

        Returns
        -------
        list of Features
            One per layer.

        Raises
        ------
        DataError
            If the weights or the architecture are not the expected ones, or weights or images are missing.
        NameUnknown
            If there is no such layer.
        """
        from neurofit import features

        asked = {**self.arguments(), **given}
        images = self.sized(images, asked)
        network = self.network_of(asked, study).load(*images.shape[1:3], study / "data")
        now = {"weights_digest": network.weights_digest, "architecture_digest": network.architecture_digest}
        for what, digest in now.items():
            if expected is not None and expected[what] != digest:
                raise DataError(
                    f"{network.name} ({network.weights}) has other {what.removesuffix('_digest')} (digest {digest}) "
                    f"than when the map was fitted ({expected[what]}). A map is for the features that it was "
                    "fitted to: restore the file of weights, or fit the map again."
                )
        found = features.extract(network, images, _listed(asked["layer"]), study=study)
        return list(found.values())


def facts_of(features: Sequence[Features]) -> dict[str, Any]:
    """What a recipe says about features: network, weights, layers, preprocessing, images, and keys."""
    first = features[0].record
    return {
        "network": first.network,
        "weights": first.weights,
        "weights_digest": first.origin["weights"],
        "architecture_digest": first.origin["architecture"],
        "layers": [one.layer for one in features],
        "unit_shapes": [list(one.unit_shape) for one in features],
        "keys": [one.key for one in features],
        "preprocessing": first.preprocessing,
        "images": first.images,
    }


def name_of_stored(features: Sequence[Features]) -> str:
    """What features of these layers are, whichever images they are of: a map compares it."""
    said = facts_of(features)
    digest = hashlib.blake2b(
        json.dumps([said["weights_digest"], said["architecture_digest"]]).encode(), digest_size=6
    )
    return f"{said['network']}: {', '.join(said['layers'])} (weights and architecture {digest.hexdigest()})"


def rows_of(part: datasets.Dataset, images: datasets.StimulusSet) -> np.ndarray:
    """The row of each image of a part in the stimulus set.

    Raises
    ------
    DataError
        If the ids there are not those of the part.
    """
    rows = part.inputs["row"].astype(np.int64)
    if not np.array_equal(images.ids[rows], part.image_ids):
        raise DataError(f"{part.name} and the stimulus set {images.name} have different ids of images.")
    return rows


def _listed(layer: Any) -> list[Any]:
    return list(layer) if isinstance(layer, (list, tuple)) else [layer]


def _pair(size: Any) -> tuple[Any, ...]:
    return tuple(size) if isinstance(size, (list, tuple)) and len(size) == 2 else (size, size)
