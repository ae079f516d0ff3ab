"""Do inputs of mean 0 and standard deviation 1 help? bs1 with them, each part by its own statistics."""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.dog_hidden, learning_rate=1e-4),
    grid=nf.grid(dog_layers=[9], biases=["zeros"]),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
