"""How well do regressions on pixels and on Gabor energies predict recordings of macaque V1? (docs/macaque.md)

Ten splits that keep the copies of a photograph together, and the ten random ones of the authors, which do
not. The last run of each split is the recipe for these recordings; what it fixes was chosen by the validation
sets of grouped splits.
"""

from __future__ import annotations

import neurofit as nf
from neurofit.models.baselines import LinearFit, authors, gabor_energy, pixels

BOTH = {"luminance": [0.3], "pixels": [0.5]}  # shares of the variance beside the energies' 1

experiment = nf.Experiment(
    fit=LinearFit({"pixels": pixels, "gabor_energy": gabor_energy}, data="macaque_v1/01+02+03+04+05+06"),
    grid=nf.grid(split=[authors.SPLIT, authors.RANDOM_SPLIT])
    * (
        nf.grid(architecture=["pixels", "gabor_energy"])
        + nf.grid(architecture=["gabor_energy"], luminance=[0.3])
        + nf.grid(architecture=["gabor_energy"], **BOTH)
        + nf.grid(architecture=["gabor_energy"], **BOTH, kernel=["gaussian"], length=[1.5], power=[0.7])
    ),
    repetitions=10,
    split_by="repetition",
)

if __name__ == "__main__":
    nf.main(experiment)
