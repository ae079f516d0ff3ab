"""Are filters of the pixels as good as differences of Gaussians? LNLN, smooth by a Laplacian penalty."""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.lnln),
    grid=nf.grid(hidden=[0.1, 0.2], reg_h=[0, 0.1, 0.5, 1, 10], reg_l=[0.1, 0.5]),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
