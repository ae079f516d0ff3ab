"""Do channels that compete help what/where? bs4_exp6 with a max_filt penalty on the convolutions.

On the first convolution, whose input has one channel, the penalty says nothing and is left out.
"""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.conv_factorised_max),
    grid=nf.grid(c_filters=[48], cd2x=[0.01, 0.1], max_filt=[0, 0.1, 1], l1=[0.01, 0.1, 1]),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
