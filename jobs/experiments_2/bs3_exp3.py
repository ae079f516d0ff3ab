"""How many hidden units and differences of Gaussians? Baseline 3 for 5,000 epochs."""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.dog_hidden),
    grid=nf.grid(hidden=[0.05, 0.1, 0.2, 0.3, 0.4], dog_layers=[4, 9, 15, 20, 30]),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
