"""The public names of this package, for editors and type checkers; `__init__.py` loads them on first use."""

from .curves import (
    Curve as Curve,
    History as History,
    ensemble as ensemble,
    last_steps as last_steps,
    over_repetitions as over_repetitions,
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
from .references import (
    REFERENCES as REFERENCES,
    Reference as Reference,
    reference as reference,
)
from .style import (
    figure as figure,
    save as save,
)
