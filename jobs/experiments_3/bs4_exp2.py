"""How good is one smooth filter per neuron? LN with twelve strengths of the Laplacian penalty."""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.ln),
    grid=nf.grid(reg_l=[0, 0.001, 0.01, 0.1, 0.5, 1, 5, 10, 100, 1000, 10_000, 100_000]),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
