"""Baseline 2: bl1 with inputs of mean 0 and standard deviation 1, each part by its own statistics."""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.hsm, epochs=35_000, learning_rate=1e-4),
    grid=nf.grid(filters=[9], hidden=[0.2], biases=["zeros"], start_below=[2.0]),
    repetitions=25,
)

if __name__ == "__main__":
    nf.main(experiment)
