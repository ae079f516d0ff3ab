"""LNLN of Kindel et al. on macaque V1: their sweep of the number of units, seven trials each, on recording 02."""

from __future__ import annotations

import neurofit as nf
from neurofit.models.baselines import authors

experiment = nf.Experiment(
    fit=authors.fit(
        {"lnln": nf.models.architectures.kindel_lnln},
        learning_rate=1e-3,
        data="macaque_v1/02",
        split=authors.SPLIT,
    ),
    grid=nf.grid(architecture=["lnln"], units=[150, 250, 350, 500, 900]),
    repetitions=7,
    split_by="repetition",
)

if __name__ == "__main__":
    experiment.main()
