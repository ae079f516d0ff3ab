"""Baseline 4 with five repetitions in one program: the same models as those of bl4, but for rounding, in less time."""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.hsm, epochs=35_000, validate_every=700, together=5),
    grid=nf.grid(filters=[9], hidden=[0.2], biases=["normal"], l2=[0.1], start_below=[2.0]),
    repetitions=25,
)

if __name__ == "__main__":
    nf.main(experiment)
