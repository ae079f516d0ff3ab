"""Which batch size, for the same number of updates? Baseline 3 with more epochs for larger batches.

The thesis' `bs` is `batch_size`. Batches below 16 have more updates: at least 5,000 epochs.
"""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.thesis.fit(nf.models.architectures.dog_hidden),
    grid=nf.grid(batch_size=[2, 8, 16, 32, 64, 128, 512, 1024, 1800]).derive(
        epochs=lambda batch_size: max(int(batch_size / 16 * 5000), 5000)
    ),
    repetitions=10,
)

if __name__ == "__main__":
    nf.main(experiment)
