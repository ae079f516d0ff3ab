"""The public names of this package, for editors and type checkers; `__init__.py` loads them on first use."""

from .authors import (
    pooled_fve as pooled_fve,
)
from .features import (
    Block as Block,
    GaborBank as GaborBank,
    gabor_energy as gabor_energy,
    gabor_wavelets as gabor_wavelets,
    pixels as pixels,
)
from .linear import (
    LinearFit as LinearFit,
    Regression as Regression,
)
from .ridge import (
    Ridge as Ridge,
    ridge_path as ridge_path,
)
