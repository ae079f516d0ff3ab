"""How files of recordings are read: one module per format, and the table of formats."""

from __future__ import annotations

from neurofit.datasets.recordings.antolik import Antolik
from neurofit.datasets.recordings.macaque import Macaque
from neurofit.datasets.recordings.majaj import Majaj
from neurofit.datasets.recordings.rdm92 import Rdm92

FORMATS = {recording.kind: recording for recording in (Macaque(), Antolik(), Majaj(), Rdm92())}
