"""What the thesis' experiments share: how they were trained and on what (`fits`), and its study of synthetic
noise.

Cheap to import. The experiments are in `jobs/`, their architectures in `models.architectures`;
`docs/thesis.md` says which is which, and what differs from the thesis on purpose.
"""

from __future__ import annotations

from neurofit.models.thesis.fits import OWN, REGION_1, SPLIT, fit, one_region, several_regions
from neurofit.models.thesis.synthetic import SyntheticFit, generated, synthetic

__all__ = [
    "OWN",
    "REGION_1",
    "SPLIT",
    "SyntheticFit",
    "fit",
    "generated",
    "one_region",
    "several_regions",
    "synthetic",
]
