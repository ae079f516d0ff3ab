"""How good is the best convolution with what/where hidden units in each region?

The thesis' MultiEval_tr and MultiEval_val are train/correlation and test/correlation.
"""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(
        nf.models.architectures.conv_penalised,
        data=nf.models.thesis.one_region,
        epochs=35_000,
        validate_every=700,
    ),
    grid=nf.grid(
        start=6,
        c_size=[15],
        c_filters=[30],
        cd2x=[0.01],
        hidden_t=["l1"],
        hidden_s=[0.1],
        hidden_lt=["sep"],
        region=[1, 2, 3],
    ),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
