"""Do biases that start random help? Baseline 2 for 5,000 epochs with them.

"trunc_normal" in the thesis: for biases that was N(0, .1), not its absolute value.
"""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.dog_hidden, learning_rate=1e-4),
    grid=nf.grid(biases=["normal"]),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
