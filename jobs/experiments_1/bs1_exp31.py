"""Does a softplus after the differences of Gaussians help on raw intensities? bs1 with it.

The thesis ran it twice, with seeds 0-9 and 10-19.
"""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.dog_hidden, standardise="times_mil", learning_rate=1e-4),
    grid=nf.grid(activation=["softplus"], biases=["zeros"]),
    repetitions=20,
)

if __name__ == "__main__":
    nf.main(experiment)
