"""How similar are the layers of an untrained network, and pixels, to IT: dissimilarities of 92 images (docs/it.md).

The images and matrices are those of Kriegeskorte et al. (2008). Scores are Spearman's correlations over the pairs of
images: `monkey` with the one matrix of monkey IT, `human` the mean over four human subjects, beside which
`human_lower` and `human_upper` are the noise ceiling. `human_mean` is with the mean of their matrices. Repetitions have
other random weights. With weights of your own: `neurofit run it/rdm92 --set layer=block3_pool --set weights=PATH`.
"""

from __future__ import annotations

import numpy as np

import neurofit as nf
from neurofit import datasets, features, scores
from neurofit.models.linear_maps import gram_of

LAYERS = [f"block{number}_pool" for number in range(1, 6)]


def similarity(task, *, layer="pixels", weights="random"):
    data = task.study / "data"
    images, measured = datasets.load_stimuli("rdm92", data), datasets.rdms("rdm92", data)
    task.uses("data/rdm92")
    if layer == "pixels":
        values = images.read(slice(None)).reshape(images.shape[0], -1)
    else:
        path = weights if weights in ("random", "imagenet") else task.study / weights
        network = features.Network("VGG16", weights=path, seed=task.repetition)
        values = features.extract(network, images, LAYERS, study=task.study)[layer]  # all in one pass
        task.record(features=values.key, weights=values.record.weights)
    model = gram_of(values).dissimilarities()
    subjects = np.mean(measured.human, axis=1)  # over sessions
    lower, upper = scores.rdm_ceiling(subjects)
    return {
        "monkey": scores.rdm_similarity(model, measured.monkey),
        "human": float(np.mean([scores.rdm_similarity(model, one) for one in subjects])),
        "human_mean": scores.rdm_similarity(model, subjects.mean(axis=0)),
        "human_lower": lower,
        "human_upper": upper,
    }


experiment = nf.Experiment(
    fit=similarity,
    grid=nf.grid(layer=["pixels", *LAYERS]),
    repetitions=3,
)

if __name__ == "__main__":
    nf.main(experiment)
