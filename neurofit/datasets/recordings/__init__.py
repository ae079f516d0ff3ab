"""How recordings' files are read: a module per format, and the table of them.

| a format has | which is |
| --- | --- |
| kind, description | its folder under data/ and its name in `load`; a line for people |
| parts, part(text) | its recordings; a recording's canonical name ("2" is "02") |
| merge | how `+` puts them together: "join" or "stack" |
| has_test | "PART/test" can be had on its own |
| files(part) | what it needs, relative to its folder |
| hint(file) | what to know about one that is missing |
| place(path) | where a file of that name belongs, relative to its folder; None: it is no such file |
| validate(path, place) | raises DataError if the file is not what its name says |
| read(part, folder) | its Dataset; the files are there |
"""

from __future__ import annotations

from neurofit.datasets.recordings.antolik import Antolik
from neurofit.datasets.recordings.macaque import Macaque

FORMATS = {recording.kind: recording for recording in (Macaque(), Antolik())}
