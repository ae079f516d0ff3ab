"""Can a learned scale of the pixels replace normalisation? Baseline 3 for 5,000 epochs with and without it.

The thesis' `input_scale` is `standardise`: normalize_mean_std is the dict, identity "none".
"""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.dog_hidden),
    grid=nf.grid(lin_scale=[True, False], standardise=[nf.models.thesis.OWN, "times_mil", "none"]),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
