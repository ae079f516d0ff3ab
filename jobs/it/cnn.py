"""How well does a convolutional network predict IT if it is trained on the responses alone?

The first five runs are the networks and recipes that students of the course have tried (docs/it.md), the sixth is
one with a mean over positions, and the last two ask whether random changes of the training images help. Published
scores, on images of 224 pixels: explained variance .17 to .21, correlation .40 to .46. Images are resized to 64
pixels here; `--set pixels=224 --set on_disk=true` keeps their size, and reads them from disk after `neurofit data
convert majaj_2015`.
"""

from __future__ import annotations

import neurofit as nf
from neurofit.datasets.recordings import majaj


def cells(*, study, pixels=64, on_disk=False):
    return majaj.dataset(study / "data" / "majaj_2015", resize=(pixels, pixels), on_disk=on_disk)


step_5 = nf.grid(decay_every=[5], decay=[0.1])
step_10 = nf.grid(decay_every=[10], decay=[0.6])
shallow, pooled = nf.grid(architecture=["shallow_cnn"]), nf.grid(architecture=["pooled_cnn"])

experiment = nf.Experiment(
    fit=nf.models.Fit(
        {
            "shallow_cnn": nf.models.architectures.shallow_cnn,
            "pooled_cnn": nf.models.architectures.pooled_cnn,
        },
        data=cells,
        split={"validation": 0.1},
        scores=("explained_variance", "correlation"),
        training=nf.models.Training(
            epochs=50, batch_size=32, learning_rate=1e-3, loss="mean_squared", patience=15
        ),
    ),
    grid=(
        shallow * step_5
        + shallow * step_10 * nf.grid(batch_norm=[True])
        + shallow * step_10 * nf.grid(dropout=[0.2])
        + shallow * step_10 * nf.grid(optimizer=["adamw"], weight_decay=[0.01])
        + shallow * step_10 * nf.grid(filters=[[16, 32, 64]])
        + pooled * nf.grid(epochs=[200], patience=[50])
        + shallow * step_10 * nf.grid(batch_norm=[True], flip=[True], shift=[0.1])
        + shallow
        * step_10
        * nf.grid(batch_norm=[True], flip=[True], shift=[0.1], brightness=[0.3], contrast=[0.3])
    ),
    repetitions=3,
)

if __name__ == "__main__":
    nf.main(experiment)
