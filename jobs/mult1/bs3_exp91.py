"""Do regions gain from a shared model that is penalised? bs3_exp4 with L2 on hidden and last layer."""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.dog_l2, data=nf.models.thesis.several_regions),
    grid=(
        nf.grid(regions=[[1], [2], [3]], hidden=[0.2], dog_layers=[9])
        + nf.grid(hidden=[0.2, 0.3], dog_layers=[9, 15, 25], regions=[[1, 2], [1, 2, 3]])
    )
    * nf.grid(l2=[0, 0.1, 1]),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
