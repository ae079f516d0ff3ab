"""Baseline 3: bl2 with random biases and a learning rate of 1e-3."""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.hsm, epochs=35_000),
    grid=nf.grid(filters=[9], hidden=[0.2], biases=["normal"], start_below=[2.0]),
    repetitions=25,
)

if __name__ == "__main__":
    nf.main(experiment)
