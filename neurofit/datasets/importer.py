"""Put files of a recording into data/: they are found, validated, and then published, all or none."""

from __future__ import annotations

import contextlib
import filecmp
import lzma
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from neurofit.datasets.recordings import FORMATS
from neurofit.errors import DataError, NameUnknown, nearest

_LARGEST = 2**30  # bytes a file: the largest there is has 14 MB, and an archive can claim anything


def add(kind: str, source: Path, data: Path, dry_run: bool = False) -> list[Path]:
    """Copy the files of this kind from `source` to data/KIND/. Files that are there already are left alone.

    Parameters
    ----------
    kind : str
        Kind of recording, such as "macaque_v1".
    source : Path
        A folder, searched recursively; a tar archive, of which only files with the expected names are read;
        or one such file.
    data : Path
        The study's data/.
    dry_run : bool, default False
        Find and validate, but publish nothing.

    Returns
    -------
    list of Path
        The paths under data/ that are new, or would be.

    Raises
    ------
    NameUnknown
        If there is no such kind.
    DataError
        If source has nothing of that kind; if a file is damaged, or differs from the one in data/, which is
        kept; or if something cannot be read or written (a full disk).
    """
    if kind not in FORMATS:
        raise NameUnknown(
            f"No kind of recording '{kind}'. Known: {', '.join(FORMATS)}.{nearest(kind, FORMATS)}"
        )
    source, target = Path(source), Path(data) / kind
    if not source.exists():
        raise DataError(f"{source}: no such file or folder.")
    try:
        with _staging(target, dry_run) as stage:
            places = _collect(FORMATS[kind], source, stage)
            new = [place for place in places if _is_new(stage / place, target / place, source)]
            if not dry_run:
                _publish(stage, target, new)
    except OSError as error:
        raise DataError(f"{source} cannot be added to {target}: {error}.") from error
    return [target / place for place in new]


def _collect(recording, source: Path, stage: Path) -> list[str]:
    """Copy what belongs to this recording into the staging folder, and validate it there."""
    places: dict[str, str] = {}
    with contextlib.closing(_members(source)) as members:
        for name, copy_to in members:
            place = recording.place(Path(name))
            if place is None:
                continue
            if place in places:
                raise DataError(
                    f"{source} holds {place} twice: {places[place]} and {name}. Add only the right one."
                )
            places[place] = name
            (stage / place).parent.mkdir(parents=True, exist_ok=True)
            copy_to(stage / place)
            _validate(recording, stage, place, f"{source}: {name}")
    if not places:
        expected = ", ".join(recording.files(recording.parts[0]))
        raise DataError(f"{source} contains no files of {recording.kind}. Expected files such as {expected}.")
    return sorted(places)


def _members(source: Path) -> Generator[tuple[str, Callable[[Path], object]], None, None]:
    """(name, copy_to(path)) of each regular file in a folder or a tar archive, or of the file itself."""
    if source.is_dir():
        for path in sorted(path for path in source.rglob("*") if path.is_file()):
            yield str(path), partial(shutil.copyfile, path)
    elif source.name.endswith((".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")):
        yield from _archived(source)
    else:
        yield str(source.absolute()), partial(shutil.copyfile, source)


def _archived(source: Path) -> Iterator[tuple[str, Callable[[Path], object]]]:
    # Nothing is extracted to where the archive says: a member's name only decides which of our own places it
    # fills.
    with _reading(source), tarfile.open(source) as archive:
        for member in archive:
            if member.isfile() and member.size <= _LARGEST and ".." not in PurePosixPath(member.name).parts:
                yield member.name, partial(_extract, source, archive, member)


def _extract(source: Path, archive: tarfile.TarFile, member: tarfile.TarInfo, to: Path) -> None:
    with _reading(source), to.open("wb") as file:
        content = archive.extractfile(member)
        assert content is not None, "a regular file"
        with content:
            shutil.copyfileobj(content, file)


@contextlib.contextmanager
def _reading(source: Path) -> Iterator[None]:
    """Raise DataError for a damaged archive; `add` reports a full disk and files that may not be read."""
    try:
        yield
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        message = f"{source} cannot be read as an archive ({error}). It may be incomplete: download it again."
        raise DataError(message) from None


def _validate(recording, stage: Path, place: str, origin: str) -> None:
    try:
        recording.validate(stage / place, place)
    except DataError as error:
        raise DataError(f"{origin} is not added: {str(error).replace(str(stage / place), place)}") from None


def _is_new(staged: Path, target: Path, source: Path) -> bool:
    if not target.exists():
        return True
    if filecmp.cmp(staged, target, shallow=False):
        return False
    raise DataError(
        f"{target} already exists and differs from the one in {source}. Nothing was added: move it away "
        "first."
    )


def _publish(stage: Path, target: Path, places: list[str]) -> None:
    for place in places:
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        os.replace(stage / place, target / place)


@contextlib.contextmanager
def _staging(target: Path, dry_run: bool) -> Iterator[Path]:
    """A temporary folder: beside the target, so that publishing is a rename; elsewhere in a dry run."""
    if not dry_run:
        target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".adding-", dir=None if dry_run else target.parent) as stage:
        yield Path(stage)
