"""How good is what/where after three convolutions, and how smooth are its kernels?

norm2_filt has no effect, as NDN ignored it on convolutions. Its axis stays, so that runs keep their numbers:
three equal runs each; `--where 'norm2_filt == 0'` leaves out the copies.
"""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.conv_factorised_norm2),
    grid=nf.grid(c_filters=[12, 24, 48], cd2x=[0.01, 0.1, 1], norm2_filt=[0, 0.1, 1], l1=[0.1]),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
