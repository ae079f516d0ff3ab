"""Does dropout of hidden units help? Baseline 3 for 5,000 epochs, dropping 0 to half of them.

`dropout_h` is the share that is kept, as NDN took it.
"""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.dog_dropout),
    grid=nf.grid(hidden=[0.2, 0.3, 0.4], dropout_h=[1, 0.95, 0.9, 0.8, 0.6, 0.5]),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
