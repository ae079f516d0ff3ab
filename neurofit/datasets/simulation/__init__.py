"""Data sets that do not exist, their truth kept: a V1 population (`population`), a known HSM model
(`planted`).
"""

from neurofit.datasets.simulation.planted import planted_hsm
from neurofit.datasets.simulation.population import built_in, simulate

__all__ = ["built_in", "planted_hsm", "simulate"]
