"""Do regions 2 and 3 gain from a shared model? bs3_exp4 on them."""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.dog_hidden, data=nf.models.thesis.several_regions),
    grid=(
        nf.grid(regions=[[3]], hidden=[0.2], dog_layers=[9])
        + nf.grid(hidden=[0.2, 0.4], dog_layers=[9, 15, 25], regions=[[2, 3]])
    ),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
