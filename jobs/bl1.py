"""Baseline 1: the HSM model on raw intensities (times a million), as first trained."""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(
        nf.models.architectures.hsm, standardise="times_mil", epochs=35_000, learning_rate=1e-4
    ),
    grid=nf.grid(filters=[9], hidden=[0.2], biases=["zeros"], start_below=[2.0]),
    repetitions=50,
)

if __name__ == "__main__":
    nf.main(experiment)
