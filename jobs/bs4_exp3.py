"""Baseline 4 at 5,000 epochs, with a softplus after the differences of Gaussians."""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.Fit(
        nf.models.architectures.hsm,
        data="antolik_2016/region1",
        training=nf.models.Training(
            epochs=5_000, batch_size=16, learning_rate=1e-3, unit_rates="train+monitored", validate_every=100, jit=True
        ),
        split={"monitor_test": True},  # no validation images were kept back: the monitored set is the reported one
        standardise={"inputs": "global", "statistics": "own"},
    ),
    grid=nf.grid(filters=[9], hidden=[0.2], activation=["softplus"], biases=["normal"], l2=[0.1], start_below=[2.0]),
    repetitions=10,
)

if __name__ == "__main__":
    experiment.main()
