"""The public names of this package, for editors and type checkers; `__init__.py` loads them on first use."""

from . import (
    datasets as datasets,
    errors as errors,
    features as features,
    models as models,
    plotting as plotting,
    reports as reports,
    scores as scores,
)
from .cli.script import (
    main as main,
)
from .experiments.experiment import (
    Experiment as Experiment,
)
from .experiments.grid.grid import (
    grid as grid,
    search as search,
)
from .experiments.grid.search import (
    integers as integers,
    log_uniform as log_uniform,
    uniform as uniform,
)
from .plotting.curve_sets import (
    curves as curves,
)
from .programs.command import (
    Command as Command,
)
from .tables.frames import (
    compare as compare,
    neurons as neurons,
    results as results,
    runs as runs,
)
from .tables.loading import (
    ensemble as ensemble,
    folder as folder,
    load as load,
    predict as predict,
)

__version__: str
