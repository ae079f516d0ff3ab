"""Where to run it: one class per kind of queue, found by name."""

from __future__ import annotations

BUILT_IN = {
    "local": "neurofit.backends.local.backend:LocalBackend",
    "slurm": "neurofit.backends.slurm.backend:SlurmBackend",
    "pbs": "neurofit.backends.qsub.pbs:PbsBackend",
    "sge": "neurofit.backends.qsub.gridengine:SgeBackend",
}
