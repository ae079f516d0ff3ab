"""Is a squared error as good as the Poisson loss? Baseline 2 for 5,000 epochs with it.

The squared error is not divided by a neuron's mean response.
"""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.dog_hidden, loss="gaussian", learning_rate=1e-4),
    grid=nf.grid(biases=["zeros"]),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
