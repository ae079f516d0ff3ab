"""Baseline 1: the HSM model on raw intensities (times a million), as first trained."""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.Fit(
        nf.models.architectures.hsm,
        data="antolik_2016/region1",
        training=nf.models.Training(
            epochs=35_000, batch_size=16, learning_rate=1e-4, unit_rates="train+monitored", validate_every=100, jit=True
        ),
        split={"monitor_test": True},  # no validation images were kept back: the monitored set is the reported one
        standardise="times_mil",
    ),
    grid=nf.grid(filters=[9], hidden=[0.2], biases=["zeros"], start_below=[2.0]),
    repetitions=50,
)

if __name__ == "__main__":
    experiment.main()
