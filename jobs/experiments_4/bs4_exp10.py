"""Is a linear convolution of differences of Gaussians better? bs4_exp9 without their softplus."""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.conv_dog),
    grid=(
        nf.grid(start=200, hidden_lt=["sep"], activation=["linear"])
        * nf.grid(c_size=[7, 15], c_filters=[9], hidden_t=["l1"], hidden_s=[0.01, 0.1])
        + nf.grid(start=304, hidden_lt=["normal"], activation=["linear"])
        * nf.grid(c_size=[7, 15], c_filters=[9], hidden_t=["l1"], hidden_s=[0.01, 0.1])
    ),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
