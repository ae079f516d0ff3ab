"""How good is baseline 4 in each region?

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
    grid=nf.grid(start=3, reg_l=[0.1], region=[1, 2, 3]),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
