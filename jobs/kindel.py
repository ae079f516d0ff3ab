"""The CNN of Kindel et al. 2019 on each macaque recording, with every flag of their program as an argument.

Raw pixels, mean squared error, plain gradient descent; every 200 steps a look at the early-stopping images, of which
the weights with the lowest loss are kept, and training goes on to the end. In their units: max_steps 60,000 are 15,000
epochs of 4 steps, fileindex is the recording in `data`. docs/macaque.md says what was published, and what is reached.
"""

from __future__ import annotations

import neurofit as nf

SPLIT = {"train": 180, "validation": 38, "test": 52}
RECORDINGS = [f"macaque_v1/{number:02d}" for number in range(1, 7)]

experiment = nf.Experiment(
    fit=nf.models.Fit(
        {"cnn": nf.models.architectures.kindel_cnn},
        training=nf.models.Training(
            epochs=15_000, batch_size=50, learning_rate=1e-4, optimizer="sgd", loss="mean_squared",
            validate_every=50, patience=15_000,
        ),
        standardise="none",
    ),
    grid=(
        nf.grid(split=[SPLIT, {**SPLIT, "ignore_groups": True}], data=RECORDINGS, architecture=["cnn"])
        * nf.grid(conv1size=[7], conv2size=[7], learning_rate=[2e-4], dropout=[0.55])  # their published example
    ),
    repetitions=10,
    split_by="repetition",
)  # fmt: skip

if __name__ == "__main__":
    experiment.main()
