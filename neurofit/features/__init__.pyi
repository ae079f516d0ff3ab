"""The public names of this package, for editors and type checkers; `__init__.py` loads them on first use."""

from .extraction import (
    extract as extract,
    open as open,
)
from .layer_inputs import (
    activations as activations,
    with_activations as with_activations,
)
from .matrix import (
    Features as Features,
)
from .networks import (
    Network as Network,
)
from .registration import (
    register as register,
)
