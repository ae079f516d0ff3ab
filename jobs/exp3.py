"""Which model predicts V1 better: differences of Gaussians and dense layers, or convolution and what/where
readouts?
"""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.Fit(
        {"hsm": nf.models.architectures.hsm, "what_where": nf.models.architectures.what_where},
        data="simulated",
        training=nf.models.Training(epochs=150, batch_size=16, learning_rate=3e-3, patience=12),
    ),
    grid=(
        nf.grid(architecture=["hsm"], filters=[4, 16], hidden=[0.4], activation=["softplus"])
        + nf.grid(architecture=["what_where"], filters=[4, 16])
    ),
    repetitions=3,
)

if __name__ == "__main__":
    nf.main(experiment)
