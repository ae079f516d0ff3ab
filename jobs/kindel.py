"""The CNN of Kindel et al. 2019 on each macaque recording, with every flag of their program as an argument.

In their units: max_steps 60,000 are 15,000 epochs of 4 steps, fileindex is the recording in `data`.
docs/macaque.md says what was published, and what is reached.
"""

from __future__ import annotations

import neurofit as nf
from neurofit.models.baselines import authors

experiment = nf.Experiment(
    fit=authors.fit({"cnn": nf.models.architectures.kindel_cnn}),
    grid=(
        nf.grid(split=[authors.SPLIT, authors.RANDOM_SPLIT], data=authors.RECORDINGS, architecture=["cnn"])
        * nf.grid(
            conv1size=[7], conv2size=[7], learning_rate=[2e-4], dropout=[0.55]
        )  # their published example
    ),
    repetitions=10,
    split_by="repetition",
)

if __name__ == "__main__":
    nf.main(experiment)
