"""Does dropout of hidden units help? Baseline 3 for 5,000 epochs; the grid the wrong way round, as it was
run.

`dropout_h` is the share of units that are *kept*, though the thesis meant dropped: bs3_exp11_2 is the
corrected grid. Runs 0, 6 and 12 keep nothing, which NDN refused; here they learn mean rates, and correlate
with nothing.
"""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.dog_dropout),
    grid=nf.grid(hidden=[0.2, 0.3, 0.4], dropout_h=[0, 0.05, 0.1, 0.2, 0.4, 0.5]),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
