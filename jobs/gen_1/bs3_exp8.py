"""Can baseline 3 learn what a model like it generated, and how much of the noise on it? (5,000 epochs)

Six scores: train/ and test/ correlation_noised, correlation_generated, correlation_true. Its truth is a
trained model: `neurofit submit bl3:0/14` before, or `--truth`; a simulated data set (`--data simulated`)
brings its own.
"""

from __future__ import annotations

from _truth import responses

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(
        nf.models.architectures.dog_hidden, data=responses, kind=nf.models.thesis.SyntheticFit
    ),
    grid=nf.grid(noise_coef=[0.25, 0.5, 1, 1.3, 2], eval_noised=[True, False]),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
