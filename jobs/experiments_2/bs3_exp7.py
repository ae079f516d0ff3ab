"""Are two convolutions better than one? bs3_exp6 with a second linear convolution.

The thesis kept its results under bs3_exp71.
"""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.conv_hidden),
    grid=nf.grid(conv_layers=[2], hidden=[0.1, 0.2, 0.4], c_filters=[9], c_size=[3, 5, 7, 15]),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
