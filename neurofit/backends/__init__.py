"""Where to run it: one class per kind of queue, found by name."""

from __future__ import annotations

BUILT_IN = {
    "local": "neurofit.backends.local:LocalBackend",
    "slurm": "neurofit.backends.slurm:SlurmBackend",
    "pbs": "neurofit.backends.pbs:PbsBackend",
    "sge": "neurofit.backends.sge:SgeBackend",
}
