"""What does the best layer explain, if the test set has no part in the choice of the layer?

A task fits a map to every layer, takes the one with the highest median explained variance on the validation images,
and scores it on the test images; the column `chosen_layer` says which. One run has the weights trained on ImageNet,
the other one random weights. `neurofit predict` predicts the hidden images with a finished task of it/best. it/layers
shows the scores of all layers.
"""

from __future__ import annotations

import neurofit as nf
from neurofit.models.linear_maps import MapFit, MapRecipe, NetworkFeatures

experiment = nf.Experiment(
    fit=MapFit(
        NetworkFeatures(
            layer=["conv1", "layer1", "layer2", "layer3", "layer4", "avgpool"], choose="validation"
        ),
        data="majaj_2015",
        split={"validation": 0.1},
        scores=("explained_variance", "correlation"),
        labels="object",
        mapping=MapRecipe(fold_rule="stratified", per_neuron=True),
    ),
    grid=nf.grid(weights=["imagenet", "random"]),
)

if __name__ == "__main__":
    nf.main(experiment)
