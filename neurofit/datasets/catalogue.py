"""What can be loaded by name."""

from __future__ import annotations

from pathlib import Path

from neurofit.datasets.dataset import Dataset
from neurofit.errors import NameUnknown, nearest


def load(spec: str, data: Path | None = None) -> Dataset:
    if spec == "simulated":
        from neurofit.datasets.simulation import built_in
        return built_in()
    raise NameUnknown(f"No data set '{spec}'.{nearest(spec, ['simulated'])}")
