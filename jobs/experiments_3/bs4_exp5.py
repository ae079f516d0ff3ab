"""A convolution, then a dense or a what/where hidden layer: which kernel size, how many, how smooth?

Runs with hidden_t=l2 have no penalty on the hidden layer, whatever hidden_s: the thesis lost it where a dict
had one key twice. They stay, three equal runs each, so that the others keep their numbers; `--where "hidden_t
!= 'l2' or hidden_s == 1"` leaves out the copies.
"""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.conv_penalised),
    grid=(
        nf.grid(
            c_size=[3, 7, 15],
            c_filters=[9, 30],
            cd2x=[0.01, 0.1],
            hidden_t=["l1", "l2"],
            hidden_s=[0.01, 0.1, 1],
        )
        * nf.grid(hidden_lt=["sep"])
        + nf.grid(start=172, hidden_lt=["normal"])
        * nf.grid(
            c_size=[3, 7, 15],
            c_filters=[9, 30],
            cd2x=[0.01, 0.1],
            hidden_t=["max", "l2"],
            hidden_s=[0.01, 0.1, 1],
        )
    ),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
