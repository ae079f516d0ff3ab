"""The public names of this package, for editors and type checkers; `__init__.py` loads them on first use."""

from .catalogue import (
    Known as Known,
    check as check,
    convert_images as convert_images,
    known as known,
    load as load,
    load_responses as load_responses,
    load_stimuli as load_stimuli,
    rdms as rdms,
)
from .dataset import (
    AXES as AXES,
    Dataset as Dataset,
)
from .examination import (
    Examination as Examination,
    examine as examine,
)
from .importer import (
    add as add,
)
from .it_example import (
    ExampleOptions as ExampleOptions,
    make_example as make_example,
)
from .merging import (
    join as join,
    stack as stack,
)
from .normalisation import (
    standardise as standardise,
    standardise_like as standardise_like,
)
from .nwb import (
    from_nwb as from_nwb,
)
from .own import (
    from_arrays as from_arrays,
    from_folder as from_folder,
    from_hdf5 as from_hdf5,
)
from .pixels import (
    Conversion as Conversion,
    PixelFormat as PixelFormat,
    check_images as check_images,
    conversion as conversion,
)
from .recordings.converted import (
    ConversionForecast as ConversionForecast,
)
from .recordings.majaj import (
    categories as categories,
)
from .recordings.rdm92 import (
    MeasuredRdms as MeasuredRdms,
)
from .simulation import (
    planted_hsm as planted_hsm,
    simulate as simulate,
)
from .splits import (
    Parts as Parts,
    Split as Split,
    split as split,
)
from .stimulus_set import (
    StimulusSet as StimulusSet,
)
