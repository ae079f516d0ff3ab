"""How much of IT does a linear map of the pixels explain? What every network has to exceed.

Published scores, on images of 224 pixels: explained variance about .09, correlation .29. Least squares on pixels
explain less than nothing. Images are resized to 64 pixels here; `--set pixels=224` keeps their size and needs about
4 GB of memory.
"""

from __future__ import annotations

import numpy as np

import neurofit as nf
from neurofit.datasets.recordings import majaj
from neurofit.models.linear_maps import MapFit, MapRecipe


def cells(*, study, pixels=64):
    return majaj.dataset(study / "data" / "majaj_2015", resize=(pixels, pixels))


def raw_pixels(images):
    return np.reshape(images, (len(images), -1))


experiment = nf.Experiment(
    fit=MapFit(
        raw_pixels,
        data=cells,
        split={"validation": 0.1},
        scores=("explained_variance", "correlation"),
        labels="object",
        mapping=MapRecipe(fold_rule="stratified"),
    ),
    grid=nf.grid(kind=["ols", "ridge", "pca_ridge"]) + nf.grid(kind=["ridge"], per_neuron=[True]),
)

if __name__ == "__main__":
    nf.main(experiment)
