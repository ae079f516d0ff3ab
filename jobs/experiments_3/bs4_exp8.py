"""Which penalties and strides for what/where after three convolutions?

Runs 1 and 113 are one point, and keep both numbers: the second block was numbered by itself. The same seeds
make their results equal, so count one of them. max_filt is left out on the first convolution (one channel),
L2 on the readout's normalised `what`: neither changed anything.
"""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.conv_factorised),
    grid=(
        nf.grid(c_filters=[48], cd2x=[0.1, 0.5, 1], conv_reg_type=["max_filt"], conv_reg_str=[1, 10])
        * nf.grid(
            last_type=["l1", "l2"],
            last_str=lambda last_type: [0.005, 0.01, 0.05] if last_type == "l1" else [0.01, 0.05, 0.1],
            secondary_conv_size=[3],
            spacing=[2],
        )
        + nf.grid(start=100, c_filters=[48], cd2x=[0.1], last_type=["l1"], last_str=[0.01])
        * nf.grid(conv_reg_type=["max_filt", "l2", "max"], conv_reg_str=[0.01, 0.1, 1])
        * nf.grid(secondary_conv_size=[3, 8], spacing=[1, 2, 0])
    ),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
