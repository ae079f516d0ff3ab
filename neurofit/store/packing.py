"""The archive of one run: made of its small files, and taken apart again.

An archive is written whole under a temporary name, read again from the disk, and renamed, before the first file is
deleted; the next `pack` deletes what an interrupted one has left. A file is deleted only if it is still the one
that was read. The caller holds the experiment's lock.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from neurofit import packed, recording
from neurofit.errors import StoreError
from neurofit.files import explain_os_errors, partial_path
from neurofit.packed import ARCHIVE, Archive, Member
from neurofit.process import user
from neurofit.store import run_files
from neurofit.store.run_files import Loose, RunFiles, attempt_of, walk

_LEFT_OVER = re.compile(rf"\.{re.escape(ARCHIVE)}\..*\.partial")
_TRIED_BYTES = 65536  # compressed to see whether that saves anything
_WORTH = 0.9
_EARLIEST, _LATEST = 315_619_200, 4_354_732_800  # seconds that the date of a ZIP member can express


class NotDeleted(StoreError):
    """The archive has all files, and some of them could not be deleted."""


def pack(found: RunFiles) -> None:
    """Put the files that were found into the run's archive, together with those that it has, and delete them.

    Raises
    ------
    NotDeleted
        The archive is written, and files that it has are still in their folders.
    StoreError
        The archive that is there is damaged, or there is no room for a new one. No file was deleted.
    """
    recording.require(found.archive)
    remove_leftovers(found.folder)
    with explain_os_errors(found.folder, "remove unfinished files in it"):
        for name in found.unfinished:
            (found.folder / name).unlink(missing_ok=True)
    if not found.files:
        with packed.archive_at(found.archive) as old:
            emptied = [one for one in found.packable if old is not None and one.name in old.members]
        _remove_folders(found.folder, emptied)
        return
    with explain_os_errors(found.folder, "delete files in it"):
        for parent in {os.path.dirname(one.name) for one in found.packable}:
            if not os.access(found.folder / parent, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(found.folder / parent))
    with explain_os_errors(found.archive, "write this archive"):
        read = _written(found)
    try:
        with explain_os_errors(found.folder, "delete the packed files in it"):
            _delete(found, read)
    except StoreError as error:
        raise NotDeleted(f"{error} The next `neurofit pack` deletes the rest.") from error.__cause__


def remove_leftovers(folder: Path) -> None:
    """Remove the archives that an interrupted command has not finished."""
    with (
        contextlib.suppress(FileNotFoundError),
        explain_os_errors(folder, "remove an unfinished archive in it"),
    ):
        for name in os.listdir(folder):
            if _LEFT_OVER.fullmatch(name):
                os.unlink(folder / name)


def _written(found: RunFiles) -> dict[str, os.stat_result]:
    """Make sure that the archive has all files, and return those that were read, as they were then."""
    with packed.archive_at(found.archive) as old:
        _check_owner(old)
        if old is not None and (read := _already_packed(found, old)) is not None:
            return read
        partial = partial_path(found.archive)
        try:
            read, expected = _write(found, old, partial)
            _verify(partial, expected)
            partial.replace(found.archive)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise
    _sync_folder(found.folder)
    return read


def _check_owner(archive: Archive | None) -> None:
    if archive is not None and archive.status.st_uid != os.geteuid():
        raise StoreError(
            f"{archive.path}: this archive belongs to another user than you ({user()}). Only its owner can change it."
        )


def _already_packed(found: RunFiles, old: Archive) -> dict[str, os.stat_result] | None:
    """The files, if the archive has each of them as it is: an earlier command was interrupted."""
    read = {}
    for loose in found.packable:
        member = old.members.get(loose.name)
        if member is None or member.is_folder != loose.is_folder:
            return None
        if loose.is_folder:
            continue
        same = (member.size, member.mode, member.modified) == (
            loose.status.st_size,
            stat.S_IMODE(loose.status.st_mode),
            loose.status.st_mtime_ns,
        )
        if (
            not same
            or (content := _read(found.folder / loose.name)) is None
            or content[0] != old.read(member)
        ):
            return None
        read[loose.name] = content[1]
    return read


def _write(
    found: RunFiles, old: Archive | None, partial: Path
) -> tuple[dict[str, os.stat_result], dict[str, Member]]:
    loose = {one.name: one for one in found.packable}
    read: dict[str, os.stat_result] = {}
    allowed = 0o666
    with open(partial, "xb") as file:
        allowed &= stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        with zipfile.ZipFile(file, "w") as archive:
            for member in _kept(found, old, loose):
                assert old is not None
                data = b"" if member.is_folder else old.read(member)
                _add(archive, member.name, member.is_folder, member.mode, member.modified, data)
                allowed &= 0o777 if member.is_folder else member.mode
            for one in loose.values():
                mode, data = stat.S_IMODE(one.status.st_mode), b""
                modified = one.status.st_mtime_ns
                if one.is_folder:
                    if old is not None and one.name in old.members:
                        continue  # with the time that it had before files in it were deleted
                else:
                    content = _read(found.folder / one.name)
                    if content is None:
                        continue  # it was removed since
                    data, status = content
                    mode, modified = stat.S_IMODE(status.st_mode), status.st_mtime_ns
                    read[one.name] = status
                    allowed &= mode
                _add(archive, one.name, one.is_folder, mode, modified, data)
            expected = {(member := Member(info)).name: member for info in archive.infolist()}
            archive.comment = packed.comment_of(expected)
        file.flush()
        os.fchmod(file.fileno(), allowed | 0o600)
        os.fsync(file.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return read, expected


def _kept(found: RunFiles, old: Archive | None, loose: Mapping[str, Loose]) -> Iterator[Member]:
    """The members of the archive that the new one takes over: not those of attempts that `clean` has removed."""
    for member in old.members.values() if old else ():
        attempt, fresh = attempt_of(member.name), loose.get(member.name)
        stays = attempt in found.attempts or not _was_replaced(attempt, found.attempts)
        if stays and (fresh is None or (fresh.is_folder and member.is_folder)):
            yield member


def _was_replaced(attempt: str | None, there: Collection[str]) -> bool:
    """Whether an attempt is gone, and a later one at the same task is there."""
    repetition, _, number = (attempt or "").partition("/attempt-")
    return any(
        one.startswith(f"{repetition}/attempt-") and int(one.rpartition("-")[2]) > int(number or 0)
        for one in there
    )


def _read(path: Path) -> tuple[bytes, os.stat_result] | None:
    """The content of a file and its status, None if it is gone. Raises StoreError if it is being written."""
    try:
        with open(path, "rb") as file:
            before = os.fstat(file.fileno())
            data = file.read(run_files.LARGEST_BYTES + 1)
            after = os.fstat(file.fileno())
    except FileNotFoundError:
        return None
    if len(data) != before.st_size or not _is_same(before, after):
        raise StoreError(f"{path}: a process is writing to it. Repeat the command once it has ended.")
    return data, before


def _add(archive: zipfile.ZipFile, name: str, is_folder: bool, mode: int, modified: int, data: bytes) -> None:
    seconds = min(max(modified // 10**9, _EARLIEST), _LATEST)
    info = zipfile.ZipInfo(f"{name}/" if is_folder else name, time.gmtime(seconds)[:6])
    info.create_system = 3  # Unix, whose modes these are
    info.external_attr = ((stat.S_IFDIR if is_folder else stat.S_IFREG) | mode) << 16 | (0x10 * is_folder)
    info.extra = packed.extra_of(modified)
    info.compress_type = zipfile.ZIP_DEFLATED if _shrinks(data) else zipfile.ZIP_STORED
    archive.writestr(info, data)


def _shrinks(data: bytes) -> bool:
    start = data[:_TRIED_BYTES]
    return len(start) > 64 and len(zlib.compress(start, 1)) < _WORTH * len(start)


def _verify(path: Path, expected: Mapping[str, Member]) -> None:
    """Read a new archive from the disk, and compare it with what was written."""
    with packed.archive_at(path) as archive:
        if archive is None or archive.members.keys() != expected.keys():
            raise StoreError(f"{path}: this new archive could not be read again. No file was deleted.")
        for name, member in archive.members.items():
            if (member.size, member.info.CRC) != (expected[name].size, expected[name].info.CRC):
                raise StoreError(f"{path}: {name} in this new archive is another one. No file was deleted.")
            if not member.is_folder:
                archive.read(member)


def _is_same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_ino, one.st_size, one.st_mtime_ns) == (other.st_ino, other.st_size, other.st_mtime_ns)


def _delete(found: RunFiles, read: Mapping[str, os.stat_result]) -> None:
    for name, status in read.items():
        path = found.folder / name
        with contextlib.suppress(FileNotFoundError):
            if _is_same(os.lstat(path), status):
                os.unlink(path)
    _remove_folders(found.folder, [one for one in found.packable if one.is_folder])


def _remove_folders(run: Path, folders: Sequence[Loose]) -> None:
    for one in reversed(folders):
        with contextlib.suppress(OSError):  # something in it stays
            os.rmdir(run / one.name)


def is_packed(folder: Path) -> bool:
    """Whether the folder of a run has an archive."""
    return os.path.lexists(folder / ARCHIVE)


def look(folder: Path) -> tuple[int, Counter[str]]:
    """How many files and folders `unpack` would restore, and how many files it would leave in the archive.

    Raises
    ------
    StoreError
        The archive is damaged.
    """
    with packed.archive_at(folder / ARCHIVE) as archive:
        if archive is None:
            return 0, Counter()
        _, wanted, gone = _members(folder, archive)
        return sum(not os.path.lexists(folder / one.name) for one in wanted), _files_by_attempt(gone)


def _members(folder: Path, archive: Archive) -> tuple[set[str], list[Member], list[Member]]:
    """The attempts that have a folder, their members of the archive, and the members of attempts that have none.

    Members of attempts that later ones have replaced are left out: `clean` has removed their folders.
    """
    there = {name for name, status in walk(folder) if stat.S_ISDIR(status.st_mode)}
    attempts = {name for name in there if attempt_of(name) == name}
    wanted = [one for one in archive.members.values() if attempt_of(one.name) in attempts]
    gone = [
        one
        for one in archive.members.values()
        if (attempt := attempt_of(one.name)) not in attempts and not _was_replaced(attempt, attempts)
    ]
    return attempts, wanted, gone


def _files_by_attempt(members: Sequence[Member]) -> Counter[str]:
    return Counter(str(attempt_of(one.name)) for one in members if not one.is_folder)


def unpack(folder: Path) -> tuple[int, Counter[str]]:
    """Restore the files of a run's archive with their times and permissions, and delete the archive.

    A file that is there already stays as it is. Files of an attempt whose folder is gone stay in the archive if no
    later attempt is there.

    Returns
    -------
    restored : int
        How many files were restored.
    kept : Counter
        Attempt → how many of its files stay in the archive, which is then kept.

    Raises
    ------
    StoreError
        The archive is damaged, or there is no room. The archive was kept.
    """
    path = folder / ARCHIVE
    recording.require(path)
    remove_leftovers(folder)
    with packed.archive_at(path) as archive:
        if archive is None:
            return 0, Counter()
        _check_owner(archive)
        attempts, wanted, gone = _members(folder, archive)
        with explain_os_errors(folder, "restore the packed files in it"):
            made: set[str] = set()
            restored = sum([_restore(folder, archive, one, made) for one in wanted if not one.is_folder])
            folders = sorted((one for one in wanted if one.is_folder), key=lambda one: one.name)
            for one in folders:
                _make_folder(folder, one.name, made)
            for one in reversed(folders):
                if one.name in made:
                    os.chmod(folder / one.name, one.mode)
                    os.utime(folder / one.name, ns=(one.modified, one.modified))
            for name in attempts:
                _sync_folder(folder / name)
            if not gone:
                path.unlink()
    return restored, _files_by_attempt(gone)


def _restore(folder: Path, archive: Archive, member: Member, made: set[str]) -> bool:
    path = folder / member.name
    if os.path.lexists(path):
        return False
    data = archive.read(member)
    _make_folder(folder, os.path.dirname(member.name), made)
    partial = run_files.unfinished(path)
    try:
        partial.unlink(missing_ok=True)  # of a command that was killed
        with open(partial, "xb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), member.mode)
            os.utime(file.fileno(), ns=(member.modified, member.modified))
            os.fsync(file.fileno())
        partial.rename(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
    return True


def _make_folder(folder: Path, name: str, made: set[str]) -> None:
    """Make a folder of an attempt and those above it; what is a link is not followed."""
    parts = name.split("/")
    for depth in range(3, len(parts) + 1):
        inner = "/".join(parts[:depth])
        if inner in made:
            continue
        path = folder / inner
        with contextlib.suppress(FileExistsError):
            path.mkdir()
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise StoreError(
                f"{path}: files cannot be restored there, because this is not a folder. Rename it."
            )
        made.add(inner)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some file systems cannot, and need not
    finally:
        os.close(descriptor)
