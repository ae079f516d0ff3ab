"""Which settings of the factorised readout predict recordings of macaque V1 best?

The `what_where` model of `jobs/macaque.py`, of which nobody has tuned the penalties: a search over its kernels, its
penalties and the learning rate, for one recording. The validation set chooses;
`neurofit submit macaque_search --best 3 --repetitions 10` says what the best trials are worth.
"""

from __future__ import annotations

import neurofit as nf

experiment = nf.Experiment(
    fit=nf.models.Fit(
        nf.models.architectures.what_where,
        data="macaque_v1/01",
        training=nf.models.Training(epochs=300, batch_size=16, patience=20, decays=2),
    ),
    grid=nf.search(
        learning_rate=nf.log_uniform(1e-4, 1e-2),
        filters=nf.integers(4, 32, log=True),
        size=[7, 9, 11, 13],
        smoothness=nf.log_uniform(1e-3, 10),
        where_l1=nf.log_uniform(1e-4, 1),
        trials=60,
        metric="validation/correlation",
        pruner="median",
        at_once=4,
    ),
)

if __name__ == "__main__":
    nf.main(experiment)
