"""Baseline 4 for 5,000 epochs instead of 35,000."""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.dog_hidden),
    grid=nf.grid(dog_layers=[9], hidden=[0.2], reg_l=[0.1]),
    repetitions=25,
)

if __name__ == "__main__":
    nf.main(experiment)
