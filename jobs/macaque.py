"""How well do a DoG model and a small convolutional one predict recordings of macaque V1?

The recordings are not part of neurofit: `neurofit data add macaque_v1 PATH` puts them in their place.
"""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.Fit(
        {"hsm": nf.models.architectures.hsm, "what_where": nf.models.architectures.what_where},
        data="macaque_v1/01",
        training=nf.models.Training(epochs=300, batch_size=16, learning_rate=1e-3, patience=20, decays=2),
    ),
    grid=nf.grid(architecture=["hsm", "what_where"]) * nf.grid(data=["macaque_v1/01", "macaque_v1/02"]),
    repetitions=3,
)

if __name__ == "__main__":
    nf.main(experiment)
