"""Differences of Gaussians as convolutions, then a dense or a what/where hidden layer.

With c_size=3 the bounds of the centres contradict each other, and all stay at pixel 2, as they did in NDN.
"""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.conv_dog),
    grid=(
        nf.grid(hidden_lt=["sep"])
        * nf.grid(c_size=[3, 7, 15], c_filters=[9, 30], hidden_t=["l1"], hidden_s=[0.01, 0.1, 1])
        + nf.grid(start=118, hidden_lt=["normal"])
        * nf.grid(c_size=[3, 7, 15], c_filters=[9, 30], hidden_t=["max", "l1"], hidden_s=[0.01, 0.1, 1])
        + nf.grid(start=200, hidden_lt=["sep"])
        * nf.grid(c_size=[7, 15], c_filters=[4], hidden_t=["l1"], hidden_s=[0.01, 0.1])
        + nf.grid(start=304, hidden_lt=["normal"])
        * nf.grid(c_size=[7, 15], c_filters=[4], hidden_t=["max", "l1"], hidden_s=[0.01, 0.1, 1])
    ),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
