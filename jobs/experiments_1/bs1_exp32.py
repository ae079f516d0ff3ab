"""Does a second hidden layer help? bs1_exp12 with one."""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(
        nf.models.architectures.dog_hidden,
        data=nf.models.thesis.several_regions,
        standardise="times_mil",
        learning_rate=1e-4,
    ),
    grid=nf.grid(regions=[[1, 2]], dog_layers=[16], hidden_layers=[2], biases=["zeros"]),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
