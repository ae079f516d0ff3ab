"""LNLN of Kindel et al. on macaque V1: their sweep of the number of units, seven trials each, on recording 02."""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.Fit(
        {"lnln": nf.models.architectures.kindel_lnln},
        data="macaque_v1/02",
        training=nf.models.Training(
            epochs=15_000, batch_size=50, learning_rate=1e-3, optimizer="sgd", loss="mean_squared",
            validate_every=50, patience=15_000,
        ),
        split={"train": 180, "validation": 38, "test": 52},
        standardise="none",
    ),
    grid=nf.grid(architecture=["lnln"], units=[150, 250, 350, 500, 900]),
    repetitions=7,
    split_by="repetition",
)  # fmt: skip

if __name__ == "__main__":
    experiment.main()
