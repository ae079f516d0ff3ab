"""How good is the linear convolution of differences of Gaussians in each region?

The thesis' MultiEval_tr and MultiEval_val are train/correlation and test/correlation.
"""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(
        nf.models.architectures.conv_dog, data=nf.models.thesis.one_region, epochs=35_000, validate_every=700
    ),
    grid=nf.grid(
        start=9,
        c_size=[7],
        c_filters=[9],
        activation=["linear"],
        hidden_t=["l1"],
        hidden_s=[0.1],
        hidden_lt=["normal"],
        region=[1, 2, 3],
    ),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
