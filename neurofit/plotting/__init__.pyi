"""The public names of this package, for editors and type checkers; `__init__.py` loads them on first use."""

from .curves import (
    Curve as Curve,
    History as History,
    ensemble as ensemble,
    last_steps as last_steps,
    over_repetitions as over_repetitions,
)
from .distributions import (
    draw_histogram as draw_histogram,
    draw_scatter as draw_scatter,
)
from .events import (
    read_events as read_events,
    repetitions as repetitions,
)
from .lines import (
    draw_curves as draw_curves,
    draw_lines as draw_lines,
    draw_progress as draw_progress,
    draw_references as draw_references,
)
from .maps import (
    draw_maps as draw_maps,
    draw_points as draw_points,
)
from .neurons import (
    draw_neurons as draw_neurons,
    draw_predictions as draw_predictions,
)
from .over_axis import (
    draw_over_axis as draw_over_axis,
)
from .recordings import (
    draw_recordings as draw_recordings,
)
from .references import (
    REFERENCES as REFERENCES,
    Reference as Reference,
    reference as reference,
)
from .stimuli import (
    draw_images as draw_images,
    draw_means_by_label as draw_means_by_label,
    draw_rdm as draw_rdm,
)
from .style import (
    figure as figure,
    save as save,
)
