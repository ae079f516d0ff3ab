"""Baseline 3: bl2 with random biases and a learning rate of 1e-3."""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.Fit(
        nf.models.architectures.hsm,
        data="antolik_2016/region1",
        training=nf.models.Training(
            epochs=35_000, batch_size=16, learning_rate=1e-3, unit_rates="train+monitored", validate_every=100, jit=True
        ),
        split={"monitor_test": True},  # no validation images were kept back: the monitored set is the reported one
        standardise={"inputs": "global", "statistics": "own"},
    ),
    grid=nf.grid(filters=[9], hidden=[0.2], biases=["normal"], start_below=[2.0]),
    repetitions=25,
)

if __name__ == "__main__":
    experiment.main()
