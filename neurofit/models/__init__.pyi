"""The public names of this package, for editors and type checkers; `__init__.py` loads them on first use."""

from . import (
    architectures as architectures,
    baselines as baselines,
    ensembles as ensembles,
    inspection as inspection,
    layers as layers,
    linear_maps as linear_maps,
    loaded as loaded,
    losses as losses,
    optimizers as optimizers,
    regularizers as regularizers,
    saved as saved,
    thesis as thesis,
)
from .fit import (
    Fit as Fit,
)
from .regularizers import (
    penalties as penalties,
)
from .saved import (
    load_folder as load_folder,
)
from .training import (
    Training as Training,
)
