"""Files of attempts that `neurofit pack` put into an archive: readers get them here as if they lay in their folders.

runs/012-3f9a1c2e/packed.zip     members are named rep-03/attempt-02/history.csv

A file that also lies in its folder counts there: the archive may be older. An archive's comment has a digest of
its list of members, which ZIP itself does not protect; contents have their CRC. Nothing in an archive is trusted.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import stat
import struct
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from neurofit.errors import StoreError

if TYPE_CHECKING:
    import zipfile  # slow to import, and only archives need it

ARCHIVE = "packed.zip"
LARGEST_BYTES = 100_000_000  # of a member that is read
MOST_MEMBERS = 10_000_000
_COMMENT = "neurofit pack 1 "
_MODIFIED = 0x464E  # of the extra field with the time of a file in nanoseconds
_RUN = re.compile(r"(?:(?<=/)|\A)runs/\d{3,}-[0-9a-f]{8}(?=/rep-\d+/attempt-\d+(?:/|\Z))")  # … of an attempt
_NAME = re.compile(r"rep-\d+/attempt-\d+(?:/(?!\.\.?(?:/|\Z))[^/\0]+)+/?", re.DOTALL)
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_STORED, _DEFLATED = 0, 8
_REMEMBERED = 64  # lists of members
_BROKEN = (
    NotImplementedError,
    ValueError,
    struct.error,
    EOFError,
    OverflowError,
    zlib.error,
)

Stamp = tuple[int, int, int, int]  # device, inode, size and mtime of an archive


@dataclass(frozen=True)
class Member:
    """A file or a folder in an archive."""

    info: zipfile.ZipInfo

    @property
    def name(self) -> str:
        """Without the slash at the end of a folder's name."""
        return self.info.filename.rstrip("/")

    @property
    def is_folder(self) -> bool:
        return self.info.filename.endswith("/")

    @property
    def size(self) -> int:
        return self.info.file_size

    @property
    def mode(self) -> int:
        """Permissions."""
        return stat.S_IMODE(self.info.external_attr >> 16)

    @property
    def modified(self) -> int:
        """In nanoseconds since 1970."""
        extra = self.info.extra
        while len(extra) >= 4:
            kind, length = struct.unpack("<HH", extra[:4])
            if kind == _MODIFIED and length == 8 and len(extra) >= 12:
                return int(struct.unpack("<q", extra[4:12])[0])
            extra = extra[4 + length :]
        raise ValueError(f"{self.name} has no time")


def extra_of(modified: int) -> bytes:
    """The extra field of a member with the time of the file, in nanoseconds since 1970."""
    return struct.pack("<HHq", _MODIFIED, 8, modified)


def comment_of(members: Mapping[str, Member]) -> bytes:
    """The comment of an archive with these members, in this order."""
    digest = hashlib.sha256()
    for one in members.values():
        listed = f"{one.size} {one.info.CRC} {one.info.external_attr} {one.modified} {one.info.filename}\0"
        digest.update(listed.encode())
    return (_COMMENT + digest.hexdigest()).encode()


_known: OrderedDict[str, tuple[Stamp, dict[str, Member]]] = OrderedDict()  # archive → its members


class Archive:
    """An open archive of one run."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self.path, self._file = path, file
        there = os.fstat(file.fileno())
        self.status = there
        self.stamp: Stamp = there.st_dev, there.st_ino, there.st_size, there.st_mtime_ns
        known = _known.get(str(path))
        if known is None or known[0] != self.stamp:
            known = self.stamp, self._listed()
            _known[str(path)] = known
            while len(_known) > _REMEMBERED:
                _known.popitem(last=False)
        self.members: Mapping[str, Member] = known[1]

    def _listed(self) -> dict[str, Member]:
        import zipfile

        with self._explained("its list of files"):
            try:
                with zipfile.ZipFile(self._file) as archive:
                    infos, comment = archive.infolist(), archive.comment
            except zipfile.BadZipFile as error:
                raise ValueError(str(error)) from error
            if len(infos) > MOST_MEMBERS:
                raise ValueError("too many files")
            found: dict[str, Member] = {}
            for info in infos:
                member = Member(info)
                if not _NAME.fullmatch(info.orig_filename) or info.filename != info.orig_filename:
                    raise ValueError(f"the name {info.orig_filename[:80]!a} is not allowed")
                if member.name in found or member.size > LARGEST_BYTES:
                    raise ValueError(f"{member.name[:80]!a} is there twice, or too large")
                found[member.name] = member
            if comment != comment_of(found):
                raise ValueError("the digest in its comment is another one")
        return found

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except _BROKEN as error:
            raise StoreError(
                f"{self.path}: damaged, {what} cannot be read ({str(error)[:200]}). Restore this archive from a backup."
            ) from error

    def read(self, member: Member) -> bytes:
        """The content of a file. Raises StoreError if it is damaged."""
        with self._explained(member.name):
            info, file = member.info, self._file
            file.seek(info.header_offset)
            header = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
            if header[0] != b"PK\x03\x04" or file.read(header[9]) != info.filename.encode():
                raise ValueError("another file is there")
            file.seek(header[10], os.SEEK_CUR)
            data = file.read(info.compress_size)
            if info.compress_type == _DEFLATED:
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, member.size + 1)
            elif info.compress_type != _STORED:
                raise ValueError(f"compression {info.compress_type} is not known")
            if len(data) != member.size or zlib.crc32(data) != info.CRC:
                raise ValueError("its checksum is another one")
        return data

    def below(self, name: str) -> list[Member]:
        """The members in a folder, such as rep-03/attempt-02."""
        return [one for one in self.members.values() if one.name.startswith(f"{name}/")]


@contextlib.contextmanager
def archive_at(path: Path) -> Iterator[Archive | None]:
    """Open the archive at a path; None if there is no file.

    Raises
    ------
    StoreError
        It is damaged.
    OSError
        It cannot be read.
    """
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(open(path, "rb"))
        except (FileNotFoundError, NotADirectoryError):
            file = None
        yield Archive(path, file) if file else None


Place = tuple[Path, str]  # an archive, and a name in it


def place_of(path: Path | str) -> Place | None:
    """The archive that may have a file or a folder of an attempt, and its name there; None for any other path.

    A task may have written a folder that is named like a run, and a study may lie in the folder of a task. Then it is
    the archive that has the file or the folder. If none has, it is that of the innermost run.
    """
    places = _places(os.fspath(path))
    if len(places) < 2:
        return places[0] if places else None
    return next((one for one in places if _has(*one)), places[0])


def _places(path: str) -> list[Place]:
    """The archives of all runs that a path may lead through, and its name there; the innermost one first."""
    found = [(Path(path[: run.end()], ARCHIVE), path[run.end() + 1 :]) for run in _RUN.finditer(path)]
    return found[::-1]


def _has(path: Path, name: str) -> bool:
    with contextlib.suppress(StoreError, OSError), archive_at(path) as archive:
        return archive is not None and (name in archive.members or bool(archive.below(name)))
    return False


def opened(path: Path | str) -> IO[bytes]:
    """Open a file for reading, from its run's archive if it was packed.

    Raises
    ------
    FileNotFoundError
        It is neither there nor in the archive.
    StoreError
        The archive is damaged.
    """
    try:
        return open(path, "rb")
    except FileNotFoundError:
        data = _packed_content(path)
        if data is not None:
            return io.BytesIO(data)
        return open(path, "rb")  # perhaps it was unpacked a moment ago


def read(path: Path | str) -> bytes:
    """The content of a file, from its run's archive if it was packed; raises as `opened`."""
    with opened(path) as file:
        return file.read()


def exists(path: Path | str) -> bool:
    """Whether a file or a folder is there, or was packed. A damaged archive raises StoreError."""
    return os.path.exists(path) or _packed(path) is not None or os.path.exists(path)


def size(path: Path | str) -> int:
    """The size of a file in bytes; raises as `opened`."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        member = _packed(path)
        return member.size if member else os.stat(path).st_size


def _packed(path: Path | str) -> Member | None:
    with _found(path) as (_, member):
        return member


def _packed_content(path: Path | str) -> bytes | None:
    with _found(path) as (archive, member):
        return archive.read(member) if archive and member and not member.is_folder else None


@contextlib.contextmanager
def _found(path: Path | str) -> Iterator[tuple[Archive | None, Member | None]]:
    """The archive that has a file, and the file; a link that stayed in its folder may lead to a packed one."""
    place = place_of(_followed(os.fspath(path)))
    if place is None:
        yield None, None
        return
    with archive_at(place[0]) as archive:
        yield archive, archive.members.get(place[1]) if archive else None


def _followed(path: str) -> str:
    """Where a path leads if a link is a part of it; what is in the same run or experiment keeps their names."""
    places = _places(path)
    if not _has_link(path, places):
        return path
    leads = os.path.realpath(path)
    for folder in (above for archive, _ in places for above in (archive.parent, archive.parent.parent)):
        inside = os.path.relpath(leads, os.path.realpath(folder))
        if inside.split(os.sep)[0] != os.pardir:
            return os.path.join(folder, inside)
    return leads


def _has_link(path: str, places: list[Place]) -> bool:
    """Whether a path is a link, or leads through one in the folder of an attempt."""
    if not places:
        return os.path.islink(path)
    archive, name = places[-1]
    parts = name.split("/")
    return any(os.path.islink(archive.parent.joinpath(*parts[:end])) for end in range(len(parts), 2, -1))
