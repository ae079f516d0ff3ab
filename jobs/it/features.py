"""The activations that it/layers and it/best need: all layers of a network in one pass over the images.

Each run is one set of weights. What is in the feature store already is not computed again, and several tasks never
compute the same layer. At 224 pixels the six layers take 26 GB per set of weights.
"""

from __future__ import annotations

import neurofit as nf
from neurofit import datasets
from neurofit.models.linear_maps import NetworkFeatures

LAYERS = ["conv1", "layer1", "layer2", "layer3", "layer4", "avgpool"]


def extract(
    task,
    *,
    data="majaj_2015",
    network="ResNet50",
    weights="imagenet",
    weights_seed=0,
    layers=LAYERS,
    resize=None,
):
    asked = {"network": network, "weights": weights, "weights_seed": weights_seed, "resize": resize}
    images = datasets.load_stimuli(data, task.study / "data")
    found = NetworkFeatures(layer=layers).stored(images, task.study, asked)
    task.record(keys=[one.key for one in found])
    return {"layers": len(found), "gigabytes": sum(4e-9 * one.shape[0] * one.shape[1] for one in found)}


experiment = nf.Experiment(
    fit=extract,
    grid=nf.grid(weights=["imagenet"]) + nf.grid(weights=["random"], weights_seed=[0, 1, 2]),
)

if __name__ == "__main__":
    nf.main(experiment)
