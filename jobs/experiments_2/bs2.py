"""Baseline 2 for 5,000 epochs instead of 35,000."""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.dog_hidden, learning_rate=1e-4),
    grid=nf.grid(dog_layers=[9], hidden=[0.2], biases=["zeros"]),
    repetitions=25,
)

if __name__ == "__main__":
    nf.main(experiment)
