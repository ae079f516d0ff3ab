"""Does a network predict IT better if it has to name the category of each image as well?

A label weight of 0 is the training on responses alone; 0.3 and 1 are the published weights (docs/it.md). `category`
needs the objects of the stimulus set to be known. Images are resized to 64 pixels; `--set pixels=224 --set
on_disk=true` keeps their size, and reads them from disk after `neurofit data convert majaj_2015`.
"""

from __future__ import annotations

import neurofit as nf
from neurofit.datasets.recordings import majaj


def cells(*, study, pixels=64, on_disk=False):
    return majaj.dataset(study / "data" / "majaj_2015", resize=(pixels, pixels), on_disk=on_disk)


experiment = nf.Experiment(
    fit=nf.models.Fit(
        nf.models.architectures.co_trained_cnn,
        data=cells,
        label="category",
        split={"validation": 0.1},
        scores=("explained_variance", "correlation"),
        training=nf.models.Training(
            epochs=50, batch_size=32, learning_rate=1e-3, loss="mean_squared", patience=15
        ),
    ),
    grid=nf.grid(label_weight=[0.0, 0.3, 1.0]),
    repetitions=3,
)

if __name__ == "__main__":
    nf.main(experiment)
