"""The public names of this package, for editors and type checkers; `__init__.py` loads them on first use."""

from .fields import (
    centres as centres,
    filters as filters,
    positions as positions,
    receptive_fields as receptive_fields,
    spike_triggered_average as spike_triggered_average,
    where_maps as where_maps,
)
from .responses import (
    Units as Units,
    gradients as gradients,
    respond as respond,
)
from .stimuli import (
    Exciting as Exciting,
    Tuning as Tuning,
    gratings as gratings,
    most_exciting_images as most_exciting_images,
    orientation_selectivity as orientation_selectivity,
    tuning as tuning,
)
from .views import (
    VIEWS as VIEWS,
    view as view,
)
