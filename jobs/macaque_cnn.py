"""The CNN of `jobs/kindel.py` for the table of docs/macaque.md: 10,000 steps instead of 60,000.

With the flags of the authors' published example, whose best weights came after 6,401 steps. The lowest loss on the
early-stopping images chooses the weights as it does there.
"""

from __future__ import annotations

import neurofit as nf

SPLIT = {"train": 180, "validation": 38, "test": 52}
RECORDINGS = [f"macaque_v1/{number:02d}" for number in range(1, 7)]

experiment = nf.Experiment(
    fit=nf.models.Fit(
        {"cnn": nf.models.architectures.kindel_cnn},
        training=nf.models.Training(
            epochs=2_500, batch_size=50, learning_rate=2e-4, optimizer="sgd", loss="mean_squared",
            validate_every=50, patience=2_500,
        ),
        standardise="none",
    ),
    grid=(
        nf.grid(split=[SPLIT, {**SPLIT, "ignore_groups": True}], data=RECORDINGS, architecture=["cnn"])
        * nf.grid(conv1size=[7], conv2size=[7], dropout=[0.55])
    ),
    repetitions=10,
    split_by="repetition",
)  # fmt: skip

if __name__ == "__main__":
    experiment.main()
