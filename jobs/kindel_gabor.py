"""The Gabor regression of Kindel et al. on macaque V1: 1,089 wavelets, their sweep of α, seven trials each.

Their notebook took α = 1000 with sklearn's Ridge, on features of a scale of its own; here all features
together have variance 1, so the sweep of logspace(1, 8, 25) is moved to where it covers the same ground, over
as many decades.
"""

from __future__ import annotations

import numpy as np

import neurofit as nf
from neurofit.models.baselines import LinearFit, authors, gabor_wavelets

experiment = nf.Experiment(
    fit=LinearFit(gabor_wavelets, data="macaque_v1/02", split=authors.SPLIT),
    grid=nf.grid(alphas=[[float(f"{alpha:.3g}")] for alpha in np.logspace(-4, 3, 25)]),
    repetitions=7,
    split_by="repetition",
)

if __name__ == "__main__":
    nf.main(experiment)
