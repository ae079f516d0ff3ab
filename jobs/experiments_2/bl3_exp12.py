"""How much L2 on the hidden layer, how much on the last? Baseline 3 with all 35,000 epochs."""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.dog_hidden, epochs=35_000, validate_every=700),
    grid=nf.grid(hidden=[0.2, 0.3], reg_h=[0, 0.05, 0.1, 0.5], reg_l=[0, 0.05, 0.1, 0.5]),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
