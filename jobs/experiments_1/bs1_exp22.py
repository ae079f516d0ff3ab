"""Do responses of standard deviation 1 help as well? bs1_exp21 with them."""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(
        nf.models.architectures.dog_hidden,
        standardise={**nf.models.thesis.OWN, "responses": "std"},
        learning_rate=1e-4,
    ),
    grid=nf.grid(dog_layers=[9], biases=["zeros"]),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
