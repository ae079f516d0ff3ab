"""Where version 0.1 had `Job`: jobs that it queued name this module in their pickles."""

from __future__ import annotations

from neurofit.backends.slurm.job import Job

__all__ = ["Job"]
