"""What can be loaded by name, and where its files are looked for. Only this module and `data_scripts`, which runs the
scripts there, read a study's data/.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from neurofit.datasets import data_scripts
from neurofit.datasets.dataset import Dataset
from neurofit.datasets.recordings.converted import ConversionForecast
from neurofit.datasets.recordings.rdm92 import MeasuredRdms
from neurofit.datasets.stimulus_set import StimulusSet
from neurofit.errors import DataError, NameUnknown, nearest
from neurofit.text import command

_SIMULATED = "simulated"


@dataclass(frozen=True)
class Known:
    """One kind of data set, and which of its recordings are under data/.

    Parameters
    ----------
    name : str
    description : str
        One line for people.
    present : list of str
        Names that `load` accepts.
    missing : list of str
        Files of the other recordings, relative to data/.
    size_bytes : int
        Size of the files that are there.
    """

    name: str
    description: str
    present: list[str]
    missing: list[str]
    size_bytes: int


def load(spec: str, data: Path | None = None, *, on_disk_above: int | None = None) -> Dataset:
    """Load a data set by name.

    Parameters
    ----------
    spec : str
        "simulated"; "macaque_v1/02"; "macaque_v1/01+02", recordings of the same images, joined by image;
        "antolik_2016/region1"; "antolik_2016/region1/test", the test images alone;
        "antolik_2016/region1+region2", stacked as in the thesis; "majaj_2015". Or the name of a script in data/,
        without ".py", whose function `load(study)` returns a `Dataset`.
    data : Path, optional
        The study's data/. A simulation does not need it.
    on_disk_above : int, optional
        Images that take more bytes in memory stay on disk if they can be read in any order there: those of
        "majaj_2015" that were converted. The input "image" is then not an array (`disk_images.DiskImages`).

    Returns
    -------
    Dataset

    Raises
    ------
    NameUnknown
        If there is no such data set, or it has no such recording.
    DataError
        If a file is missing, damaged, or does not fit the others.
    """
    kind, _, rest = spec.partition("/")
    path = _script(spec, data)
    if spec == _SIMULATED:
        from neurofit.datasets.simulation import built_in

        return built_in()
    if path is not None:
        return _made(path, data, Dataset)
    if kind not in _formats():
        names = [_SIMULATED, *_formats(), *data_scripts.names(data)]
        raise NameUnknown(f"No data set '{spec}'. Known: {', '.join(names)}.{nearest(kind, names)}")
    recording = _formats()[kind]
    parts = [_part(recording, text) for text in rest.split("+")]
    if len(set(parts)) < len(parts):
        raise NameUnknown(f"'{spec}' names a recording twice.")
    if on_disk_above is not None and hasattr(recording, "large"):
        return recording.large(_folder(recording, parts[0], data), on_disk_above)
    return _merged(recording, [_read(recording, part, data) for part in parts])


def load_responses(spec: str, data: Path | None = None) -> Dataset:
    """Load a data set by name without keeping its images in memory.

    Parameters
    ----------
    spec : {"majaj_2015"}
    data : Path, optional
        The study's data/.

    Returns
    -------
    Dataset
        Its only input is "row": the row of each image in `load_stimuli(spec, data)`. All else is as of `load`.

    Raises
    ------
    NameUnknown
        If there is no such data set, or its images are not a stimulus set.
    DataError
        If a file is missing or damaged.
    """
    known = _formats_with("responses")
    if spec not in known:
        raise NameUnknown(
            f"No data set '{spec}' whose images are a stimulus set. Known: {', '.join(known)}.{nearest(spec, known)}"
        )
    return known[spec].responses(_folder(known[spec], known[spec].parts[0], data))


def load_stimuli(spec: str, data: Path | None = None) -> StimulusSet:
    """Load the images of a data set by name, with their pixel format and labels. Images stay on disk.

    Parameters
    ----------
    spec : str
        "majaj_2015/train", "majaj_2015/val" or "majaj_2015/test", the hidden images; "majaj_2015", the images
        of training and validation in the order of the data set; "rdm92". Or the name of a script in data/ whose
        function `load(study)` returns a `StimulusSet`.
    data : Path, optional
        The study's data/.

    Returns
    -------
    StimulusSet

    Raises
    ------
    NameUnknown
        If there is no such stimulus set.
    DataError
        If a file is missing or damaged.
    """
    kind, _, part = spec.partition("/")
    known = _formats_with("stimuli")
    names = [_name(one, part) for one in known.values() for part in ("", *one.stimulus_parts)]
    if (path := _script(spec, data)) is not None:
        return _made(path, data, StimulusSet)
    if spec not in names:
        raise NameUnknown(f"No stimulus set '{spec}'. Known: {', '.join(names)}.{nearest(spec, names)}")
    recording = known[kind]
    return recording.stimuli(part, _folder(recording, recording.parts[0], data))


def rdms(spec: str, data: Path | None = None) -> MeasuredRdms:
    """Load measured dissimilarity matrices by name.

    Parameters
    ----------
    spec : {"rdm92"}
    data : Path, optional
        The study's data/.

    Returns
    -------
    MeasuredRdms

    Raises
    ------
    NameUnknown
        If there are no such matrices.
    DataError
        If a file is missing or damaged.
    """
    known = _formats_with("rdms")
    if spec not in known:
        raise NameUnknown(f"No matrices '{spec}'. Known: {', '.join(known)}.{nearest(spec, known)}")
    return known[spec].rdms(_folder(known[spec], "", data))


def convert_images(kind: str, data: Path, dry_run: bool = False) -> ConversionForecast:
    """Convert the compressed images of a kind of data set once, to .npy files beside them.

    Images are read from these files as long as the compressed file does not change.

    Parameters
    ----------
    kind : {"majaj_2015"}
    data : Path
        The study's data/.
    dry_run : bool, default False
        Only forecast.

    Returns
    -------
    ConversionForecast

    Raises
    ------
    NameUnknown
        If there is no such kind, or it has no compressed images.
    DataError
        If the file is missing or damaged, or the disk is too small, which is known before anything is written.
    """
    from neurofit.datasets.recordings import converted

    known = _formats_with("compressed")
    if kind not in known:
        raise NameUnknown(
            f"No compressed images of '{kind}'. Known: {', '.join(known)}.{nearest(kind, known)}"
        )
    recording = known[kind]
    folder = _folder(recording, recording.parts[0], data)
    parts = {part: recording.stimuli(part, folder) for part in recording.stimulus_parts}
    return converted.convert(folder / recording.compressed, parts, dry_run)


def files(spec: str, data: Path) -> list[Path]:
    """The files that `load` reads for this name; none for a simulation, and those that a script in data/ read when it
    last ran.

    Parameters
    ----------
    spec : str
        As for `load`.
    data : Path
        The study's data/.

    Returns
    -------
    list of Path

    Raises
    ------
    NameUnknown
        If the data set has no such recording.
    """
    kind, _, rest = spec.partition("/")
    recording = _formats().get(kind)
    if recording is None:
        path = _script(spec, data)
        return [] if path is None else data_scripts.files_of(path)
    parts = [_part(recording, text) for text in rest.split("+")]
    names = dict.fromkeys(name for part in parts for name in recording.files(part))
    return [Path(data) / kind / name for name in names]


def known(data: Path | None = None) -> list[Known]:
    """Every kind of data set, and which of its recordings are under data/.

    Parameters
    ----------
    data : Path, optional
        The study's data/.

    Returns
    -------
    list of Known
    """
    description = "a simulated V1 population, natural-like images 31×31; needs no file"
    simulated = Known(_SIMULATED, description, present=[_SIMULATED], missing=[], size_bytes=0)
    own = [_own(name, data) for name in data_scripts.names(data)]
    return [simulated, *(_survey(recording, data) for recording in _formats().values()), *own]


def check(spec: str, data: Path) -> None:
    """Check that a task will find a data set, before it is queued: recordings by their files, and those of a script in
    data/ by loading them.

    Parameters
    ----------
    spec : str
        As for `load`.
    data : Path
        The study's data/.

    Raises
    ------
    NameUnknown
        If there is no such data set, or it has no such recording.
    DataError
        If a file is missing, or the script fails, or makes something that is no data set.
    """
    kind, _, rest = spec.partition("/")
    if kind in _formats():
        for text in rest.split("+"):
            _folder(_formats()[kind], _part(_formats()[kind], text), data)
    elif spec != _SIMULATED:  # which is always there, and takes a second to make
        load(spec, data)


def _own(name: str, data: Path | None) -> Known:
    path = data_scripts.script(name, data)
    about = "" if path is None else data_scripts.description(path)
    return Known(name, about or f"made by data/{name}.py", present=[name], missing=[], size_bytes=0)


def _script(name: str, data: Path | None) -> Path | None:
    """The script in data/ that makes this data set.

    Raises
    ------
    DataError
        A recording that neurofit knows has the same name.
    """
    path = data_scripts.script(name, data)
    if path is not None and name in (_SIMULATED, *_formats()):
        raise DataError(f"{path} has the name of the data set '{name}' of neurofit. Give it another name.")
    return path


def _made(path: Path, data: Path | None, kind: type) -> Any:
    """The data set, or stimulus set, that a script makes, under its name.

    Raises
    ------
    NameUnknown
        It makes the other kind, which is found where that is asked for.
    DataError
        It makes neither.
    """
    made = data_scripts.made_by(path, Path(data or path.parent).parent)
    if not isinstance(made, Dataset | StimulusSet):
        raise DataError(
            f"{path}: `{data_scripts.FUNCTION}` returned a {type(made).__name__}; expected a Dataset, or a StimulusSet."
        )
    if not isinstance(made, kind):
        raise NameUnknown(f"{path} makes a {type(made).__name__}, and a {kind.__name__} is needed here.")
    return replace(made, name=path.stem)


def _formats() -> dict:
    from neurofit.datasets.recordings import FORMATS

    return FORMATS


def _formats_with(attribute: str) -> dict:
    """The formats that have this attribute, by name."""
    return {name: one for name, one in _formats().items() if hasattr(one, attribute)}


def _part(recording, text: str) -> str:
    """Canonical name of a recording, if there is such a recording."""
    part = recording.part(text)
    if part.removesuffix("/test") not in recording.parts or (
        part.endswith("/test") and not recording.has_test
    ):
        names = ", ".join(_name(recording, name) for name in recording.parts)
        what = f"no recording '{text}'" if text else "name the recording"
        raise NameUnknown(f"{recording.kind}: {what}. Known: {names}.{nearest(part, recording.parts)}")
    return part


def _name(recording, part: str) -> str:
    """ "macaque_v1/02"; "majaj_2015", of which there is only one recording."""
    return f"{recording.kind}/{part}".rstrip("/")


def _read(recording, part: str, data: Path | None) -> Dataset:
    return recording.read(part, _folder(recording, part, data))


def _folder(recording, part: str, data: Path | None) -> Path:
    """The folder of the recording, in which its files are."""
    if data is None:
        raise DataError(f"'{_name(recording, part)}' needs a study's data/, and none was given.")
    folder = Path(data) / recording.kind
    for name in recording.files(part):
        if not (folder / name).is_file():
            add = command("data add", recording.kind, "PATH")
            raise DataError(
                f"{_name(recording, part)}: no file {folder / name}. `{add}` puts it "
                f"there, where PATH is a folder or a data.tar.gz that holds it.{recording.hint(name)}"
            )
    return folder


def _merged(recording, datasets: list[Dataset]) -> Dataset:
    if len(datasets) == 1:
        return datasets[0]
    from neurofit.datasets import merging

    return getattr(merging, recording.merge)(datasets)


def _survey(recording, data: Path | None) -> Known:
    present, missing, size_bytes = [], [], 0
    folder = None if data is None else Path(data) / recording.kind
    for part in recording.parts:
        files = recording.files(part)
        here = [name for name in files if folder is not None and (folder / name).is_file()]
        size_bytes += sum((folder / name).stat().st_size for name in here)
        missing += [f"{recording.kind}/{name}" for name in files if name not in here]
        if len(here) == len(files):
            present.append(_name(recording, part))
        elif recording.has_test and set(recording.files(f"{part}/test")) <= set(here):
            present.append(f"{_name(recording, part)}/test")
    note = recording.note(folder) if present and hasattr(recording, "note") else ""
    return Known(recording.kind, recording.description + note, present, missing, size_bytes)
