"""The public names of this package, for editors and type checkers; `__init__.py` loads them on first use."""

from .blocks import (
    ArrayMatrix as ArrayMatrix,
    NpyMatrix as NpyMatrix,
    StackedMatrix as StackedMatrix,
    WideMatrix as WideMatrix,
    wide as wide,
)
from .fit import (
    MapFit as MapFit,
)
from .folds import (
    folds_of as folds_of,
)
from .gram import (
    Gram as Gram,
    gram_of as gram_of,
)
from .maps import (
    LinearMap as LinearMap,
    fit_map as fit_map,
)
from .network_features import (
    NetworkFeatures as NetworkFeatures,
)
from .recipe import (
    MapRecipe as MapRecipe,
)
from .saved import (
    SavedMap as SavedMap,
)
