"""Does a softplus after the differences of Gaussians help? Baseline 2 for 5,000 epochs with it."""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.dog_hidden, learning_rate=1e-4),
    grid=nf.grid(activation=["softplus"], biases=["zeros"]),
    repetitions=20,
)

if __name__ == "__main__":
    nf.main(experiment)
