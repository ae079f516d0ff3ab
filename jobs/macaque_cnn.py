"""The CNN of `jobs/kindel.py` for the table of docs/macaque.md: 10,000 steps instead of 60,000.

With the flags of the authors' published example, whose best weights came after 6,401 steps. The lowest loss
on the early-stopping images chooses the weights as it does there.
"""

from __future__ import annotations

import neurofit as nf
from neurofit.models.baselines import authors

experiment = nf.Experiment(
    fit=authors.fit({"cnn": nf.models.architectures.kindel_cnn}, steps=10_000, learning_rate=2e-4),
    grid=(
        nf.grid(split=[authors.SPLIT, authors.RANDOM_SPLIT], data=authors.RECORDINGS, architecture=["cnn"])
        * nf.grid(conv1size=[7], conv2size=[7], dropout=[0.55])
    ),
    repetitions=10,
    split_by="repetition",
)

if __name__ == "__main__":
    nf.main(experiment)
