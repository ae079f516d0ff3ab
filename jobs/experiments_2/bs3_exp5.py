"""Do L1 or L2 penalties on the hidden and the last layer help? Baseline 3 for 5,000 epochs."""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.dog_penalised),
    grid=nf.grid(hidden=[0.2, 0.4], reg_type=["l1", "l2"], reg_lambda=[1e-1, 1e-3, 1e-5, 1e-7, 1e-9]),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
