"""Which layer of a network predicts IT best, and how much of that is due to its training on ImageNet?

A linear map of every layer of ResNet50, trained and with random weights of three seeds. Published scores of layer3,
the best one: explained variance .26 to .41, correlation .52 to .63; with random weights .16 to .19 and .42. The
scores of the test set compare layers; a layer is chosen by the validation set (it/best).
`neurofit data fetch-weights ResNet50` gets the trained weights; without them, `--where "weights == 'random'"` leaves
their runs out.
"""

from __future__ import annotations

import neurofit as nf
from neurofit.models.linear_maps import MapFit, MapRecipe, NetworkFeatures

experiment = nf.Experiment(
    fit=MapFit(
        NetworkFeatures(),
        data="majaj_2015",
        split={"validation": 0.1},
        scores=("explained_variance", "correlation"),
        labels="object",
        mapping=MapRecipe(fold_rule="stratified"),
    ),
    grid=nf.grid(network=["ResNet50"])
    * nf.grid(layer=["conv1", "layer1", "layer2", "layer3", "layer4", "avgpool"])
    * (nf.grid(weights=["imagenet"]) + nf.grid(weights=["random"], weights_seed=[0, 1, 2]))
    * nf.grid(kind=["ridge", "pca_ridge"]),
)

if __name__ == "__main__":
    nf.main(experiment)
