"""Which learning rate? Baseline 2 for 5,000 epochs with five."""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.dog_hidden),
    grid=nf.grid(biases=["zeros"], learning_rate=[1e-5, 1e-4, 5e-4, 1e-3, 5e-3]),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
