"""Do stronger penalties help? bs3_exp5 with strengths of 10 and 1."""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.dog_penalised),
    grid=nf.grid(hidden=[0.2, 0.4], reg_type=["l1", "l2"], reg_lambda=[10, 1]),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
