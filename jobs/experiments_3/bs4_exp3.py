"""Baseline 4 at 5,000 epochs, with a softplus after the differences of Gaussians."""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.hsm),
    grid=nf.grid(
        filters=[9], hidden=[0.2], activation=["softplus"], biases=["normal"], l2=[0.1], start_below=[2.0]
    ),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
