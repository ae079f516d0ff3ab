"""A pretrained network up to one of its layers, with a readout that is trained on the responses. Cheap to import."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from neurofit.errors import StudyError, UsageError
from neurofit.models.architectures.images import augmentation

READOUTS = ("mean", "flatten")
_CHECKED = 64  # images that are compared with the declared format


def fine_tuned(
    shapes,
    *,
    network="ResNet50",
    weights="imagenet",
    weights_seed=0,
    layer="layer3",
    pixels="torch",
    needs=None,
    readout="mean",
    hidden=0,
    dropout=0.0,
    flip=False,
    shift=0.0,
    brightness=0.0,
    contrast=0.0,
):
    """[random changes →] conversion of pixels → network up to a layer → [dense ReLU → dropout →] linear.

    The network is one layer of the model, called "network": `freeze=["network/conv[1-3]_*"]` and
    `rate_factors={"network/*": 0.1}` of `Training` name its layers. Use it with `standardise="none"`, because
    `pixels` says what the values of the images mean.

    Parameters
    ----------
    shapes : Shapes
    network, weights, weights_seed
        As `features.Network(source, weights, seed)`; relative paths start at the study's folder.
    layer : str, default "layer3"
        One layer of the network, as for `features.extract`.
    pixels : {"torch", "caffe", "tf", "raw"}, default "torch"
        What the images of the data set hold: "torch" is normalised for ImageNet, as those of `majaj_2015`. The
        conversion to what the network needs is part of the model.
    needs : str, optional
        What the network needs. Networks of `keras.applications` know it.
    readout : {"mean", "flatten"}
        What neurons see of the layer's maps: their means over positions, or every unit.
    hidden : int, default 0
        Dense units between the layer and the neurons; 0: none.
    dropout : float, default 0
        Share of what neurons see that is dropped during training.
    flip, shift, brightness, contrast
        Random changes of training images; see `images.augmentation`.

    Returns
    -------
    keras.Model

    Raises
    ------
    UsageError
        If a value is not valid.
    NameUnknown, DataError, ShapeError
        As `features.Network.load`.
    """
    import keras

    from neurofit.datasets.pixels import NETWORKS, conversion

    if readout not in READOUTS:
        raise UsageError(f"fine_tuned: readout={readout!r}; expected one of {', '.join(READOUTS)}.")
    have = conversion(NETWORKS["torch"], pixels).need  # checks the name
    loaded, name = _network(shapes, network, weights, weights_seed, layer, needs)
    core = keras.Model(loaded.model.inputs, loaded.model.get_layer(name).output, name="network")
    seen = image = keras.Input(shapes.image, name="image")
    for change in augmentation(flip=flip, shift=shift, brightness=brightness, contrast=contrast):
        seen = change(seen)
    seen = core(_converted(seen, conversion(have, loaded.pixels)))
    if len(seen.shape) == 4 and readout == "mean":
        seen = keras.layers.GlobalAveragePooling2D(name="mean")(seen)
    seen = keras.layers.Flatten(name="flatten")(seen)
    if hidden:
        seen = keras.layers.Dense(hidden, activation="relu", name="hidden")(seen)
    if dropout:
        seen = keras.layers.Dropout(dropout, name="dropout")(seen)
    model = keras.Model(image, keras.layers.Dense(shapes.neurons, name="neurons")(seen))
    model.pixels = have
    return model


def initialise(model: Any, train: Any) -> None:
    """Refuse images that are not in the format that `pixels` declares; change nothing."""
    from neurofit.datasets.pixels import check_images

    check_images(train.inputs["image"][:_CHECKED], model.pixels, where=f"{train.name}: images")


cast(Any, fine_tuned).initialise = initialise
cast(Any, fine_tuned).standardise = "none"


def _network(shapes, source, weights, seed, layer, needs):
    """The network with its weights, and the name of the layer."""
    from neurofit import study as studies
    from neurofit.features.layers import one_layer
    from neurofit.features.networks import Network

    try:
        root = studies.find(Path.cwd()).root
    except StudyError:  # a trained model is loaded elsewhere; random weights need no study
        root = Path.cwd()

    def place(text):
        return root / text if Path(text).suffix in (".keras", ".h5") else text

    height, width, _ = shapes.image
    asked = Network(place(source), weights=place(weights), seed=seed, pixels=needs, name=Path(source).stem)
    loaded = asked.load(height, width, root / "data")
    return loaded, one_layer(layer, loaded.layers, loaded.name)


def _converted(images, way):
    """The images in the format that the network needs."""
    import keras
    import numpy as np

    numbers = way.describe()
    if way.have.order != way.need.order:
        images = (
            keras.ops.repeat(images, 3, axis=-1)
            if way.have.order == "grey"
            else keras.ops.flip(images, axis=-1)
        )
    return images * np.asarray(numbers["scale"], np.float32) + np.asarray(numbers["offset"], np.float32)
