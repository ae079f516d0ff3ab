"""LNLN of Kindel et al. on macaque V1: their sweep of the number of units on recording 02, seven trials each,
and the number that they chose on the others, for 35,000 steps.
"""

from __future__ import annotations

import neurofit as nf
from neurofit.models.baselines import authors

OTHERS = [name for name in authors.RECORDINGS if name != "macaque_v1/02"]

experiment = nf.Experiment(
    fit=authors.fit(
        {"lnln": nf.models.architectures.kindel_lnln},
        learning_rate=1e-3,
        data="macaque_v1/02",
        split=authors.SPLIT,
    ),
    grid=(
        nf.grid(architecture=["lnln"], units=[150, 250, 350, 500, 900])
        + nf.grid(architecture=["lnln"], units=[250], data=OTHERS, epochs=[35_000 // authors.STEPS_PER_EPOCH])
    ),
    repetitions=7,
    split_by="repetition",
)

if __name__ == "__main__":
    nf.main(experiment)
