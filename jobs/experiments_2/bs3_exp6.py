"""Are convolutions as good as differences of Gaussians? One linear convolution before the hidden layer.

The thesis kept its results under bs3_exp61.
"""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.conv_hidden),
    grid=nf.grid(hidden=[0.1, 0.2, 0.4], c_filters=[9, 20], c_size=[3, 5, 7, 15, 30]),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
