"""How good is baseline 2 in each region? With the learning rate of baseline 3.

The thesis' MultiEval_tr and MultiEval_val are train/correlation and test/correlation.
"""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(
        nf.models.architectures.dog_hidden,
        data=nf.models.thesis.one_region,
        epochs=35_000,
        validate_every=700,
    ),
    grid=nf.grid(biases=["zeros"], region=[1, 2, 3]),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
