"""Archives of runs: nothing is lost or doubled, whatever interrupts them, and nothing in them is trusted."""

from __future__ import annotations

import os
import random
import shutil
import signal
import stat
import sys
import time
import zipfile
from functools import partial
from pathlib import Path

import pytest

from neurofit import packed, recording, unpacked
from neurofit.errors import StoreError
from neurofit.store import packing, run_files

RUN = "training_data/exp/runs/017-3f9a1c2e"
HISTORY = "rep-00/attempt-01/history.csv"


def whole(attempt: Path) -> bool:
    return (attempt / "outcome.json").exists()


def pack(run: Path) -> None:
    packing.pack(run_files.survey(run, whole))


def tree(folder: Path) -> dict[str, tuple]:
    """Everything below a folder: kind and permissions, and for files and inner folders of attempts the time."""
    found = {}
    for path in sorted(folder.rglob("*")):
        there, name = path.lstat(), path.relative_to(folder).as_posix()
        content = None
        if path.is_symlink():
            content = os.readlink(path)
        elif path.is_file():
            content = path.read_bytes()
        timed = path.is_file() or len(name.split("/")) > 2
        found[name] = (there.st_mode, there.st_mtime_ns if timed else None, content)
    return found


def contents(run: Path, names: list[str]) -> dict[str, bytes]:
    return {name: packed.read(run / name) for name in names}


@pytest.fixture
def run(tmp_path) -> Path:
    """A run with two repetitions; the second has two attempts, and one more that has no outcome."""
    folder = tmp_path / "study" / RUN
    for attempt in ("rep-00/attempt-01", "rep-01/attempt-01", "rep-01/attempt-02", "rep-01/attempt-03"):
        (folder / attempt / "model" / "empty").mkdir(parents=True)
        texts = {
            "claim.json": "{}",
            "outcome.json": '{"state":"done"}',
            "stdout.log": f"hello from {attempt}\n" * 40,
            "history.csv": "step,loss\n0,1.0\n1,0.5\n",
            "model/claim.json": "a file of the user's",
            "model/weights – ü\n.bin": "w" * 3000,
            "nothing.txt": "",
        }
        for number, (name, text) in enumerate(texts.items()):
            (folder / attempt / name).write_text(text)
            os.chmod(folder / attempt / name, (0o644, 0o600, 0o755)[number % 3])
            os.utime(folder / attempt / name, ns=(10**18 + number, 10**18 + 123_456_789 * number))
        (folder / attempt / "model/noise.bin").write_bytes(random.Random(1).randbytes(5000))
        os.utime(folder / attempt / "model", ns=(10**18, 10**18 + 7))
        os.utime(folder / attempt / "model" / "empty", ns=(10**17, 10**17 + 7))
    (folder / "rep-01/attempt-03/outcome.json").unlink()
    (folder / "suggestion.json").write_text("{}")
    (folder / "rep-00" / "checkpoint").mkdir()
    (folder / "rep-00" / "checkpoint" / "state.json").write_text("{}")
    return folder


def packable(run: Path) -> list[str]:
    return [one.name for one in run_files.survey(run, whole).files]


def test_a_run_is_packed_and_restored_to_the_same_bytes_times_and_permissions(run):
    before, names = tree(run), packable(run)
    assert len(names) == 3 * 6
    original = contents(run, names)
    pack(run)
    left = {name for name in tree(run) if not name.startswith("rep-01/attempt-03")}
    assert left == {
        "packed.zip",
        "suggestion.json",
        "rep-00",
        "rep-00/checkpoint",
        "rep-00/checkpoint/state.json",
        "rep-01",
        *(
            f"{attempt}{name}"
            for attempt in ("rep-00/attempt-01", "rep-01/attempt-01", "rep-01/attempt-02")
            for name in ("", "/claim.json", "/outcome.json")
        ),
    }
    assert (run / "rep-01/attempt-03/history.csv").exists()  # its worker may only be slow
    assert contents(run, names) == original
    assert all(packed.exists(run / name) and packed.size(run / name) == len(original[name]) for name in names)
    assert packing.look(run) == (len(names) + 6, {})
    assert packing.unpack(run) == (len(names), {})
    assert tree(run) == before
    assert packing.unpack(run) == (0, {})


def test_an_archive_is_a_plain_zip_file(run):
    names = packable(run)
    pack(run)
    with zipfile.ZipFile(run / "packed.zip") as archive:
        assert archive.testzip() is None
        assert {one for one in archive.namelist() if not one.endswith("/")} == set(names)
        kinds = {one.filename.rpartition("/")[2]: one.compress_type for one in archive.infolist()}
    assert kinds["stdout.log"] == zipfile.ZIP_DEFLATED and kinds["noise.bin"] == zipfile.ZIP_STORED


def test_an_archive_shows_nobody_more_than_its_files_did(run):
    pack(run)
    assert stat.S_IMODE((run / "packed.zip").stat().st_mode) & 0o177 == 0  # one of them was 0600
    packing.unpack(run)
    for path in run.rglob("*"):
        if path.is_file():
            path.chmod(0o644)
    pack(run)
    umask = os.umask(0o022)
    os.umask(umask)
    assert stat.S_IMODE((run / "packed.zip").stat().st_mode) == 0o644 & ~umask


def test_a_later_attempt_is_added_to_the_archive(run):
    names = packable(run)
    original = contents(run, names)
    pack(run)
    shutil.copytree(run / "rep-01/attempt-03", run / "rep-00/attempt-02")
    (run / "rep-00/attempt-02/outcome.json").write_text("{}")
    more = packable(run)
    assert len(more) == 6 and all(name.startswith("rep-00/attempt-02") for name in more)
    original |= contents(run, more)
    pack(run)
    assert not packable(run) and contents(run, [*names, *more]) == original


def test_a_file_that_is_in_its_folder_too_counts_there(run):
    pack(run)
    (run / HISTORY).write_text("step,loss\n0,9.0\n")
    assert packed.read(run / HISTORY) == b"step,loss\n0,9.0\n"
    copy = unpacked.folder(run / "rep-00/attempt-01")
    assert (copy / "history.csv").read_text() == "step,loss\n0,9.0\n"
    pack(run)
    assert not (run / HISTORY).exists() and packed.read(run / HISTORY) == b"step,loss\n0,9.0\n"
    (run / HISTORY).write_text("newer")
    packing.unpack(run)
    assert (run / HISTORY).read_text() == "newer"


def test_links_large_files_and_odd_things_stay(run, monkeypatch):
    monkeypatch.setattr(run_files, "LARGEST_BYTES", 100_000)
    attempt = run / "rep-00/attempt-01"
    (attempt / "large.bin").write_bytes(bytes(100_001))
    (attempt / "link").symlink_to("history.csv")
    (attempt / "nowhere").symlink_to("/nowhere")
    (attempt / "outside").symlink_to("/usr")
    os.link(attempt / "model/noise.bin", attempt / "again.bin")
    os.mkfifo(attempt / "fifo")
    with open(os.fsencode(attempt) + b"/\xff.bin", "wb"):
        pass
    (attempt / ".history.csv.123-ab.partial").write_text("half")
    found = run_files.survey(run, whole)
    assert (
        found.left[run_files.LARGE] == 1
        and found.left[run_files.LINK] == 5
        and found.left[run_files.STRANGE] == 2
    )
    before = tree(run)
    pack(run)
    names = set(os.listdir(os.fsencode(attempt)))
    assert names >= {b"large.bin", b"link", b"nowhere", b"outside", b"again.bin", b"fifo", b"\xff.bin"}
    assert b".history.csv.123-ab.partial" in names and (attempt / "model/noise.bin").exists()
    copy = unpacked.folder(attempt)
    assert (copy / "large.bin").stat().st_size == 100_001
    assert (copy / "link").read_bytes() == (copy / "history.csv").read_bytes() != b""
    packing.unpack(run)
    assert tree(run) == before


def test_what_another_user_owns_stays(run, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    found = run_files.survey(run, whole)
    assert not found.packable and found.left[run_files.FOREIGN] == 18


def test_a_file_that_changes_while_it_is_packed_is_not_deleted(run):
    found = run_files.survey(run, whole)
    read = packing._written(found)
    (run / HISTORY).write_text("changed")
    packing._delete(found, read)
    assert packable(run) == [HISTORY]
    pack(run)
    assert packed.read(run / HISTORY) == b"changed"


def test_attempts_that_were_removed_leave_the_archive_and_no_other(run):
    pack(run)
    shutil.rmtree(run / "rep-01/attempt-01")  # as `clean --attempts` does
    shutil.rmtree(run / "rep-00/attempt-01")  # by accident: nothing later is there
    (run / "rep-01/attempt-02/new.txt").write_text("new")
    pack(run)
    with packed.archive_at(run / "packed.zip") as archive:
        attempts = {"/".join(name.split("/")[:2]) for name in archive.members}
    assert attempts == {"rep-00/attempt-01", "rep-01/attempt-02"}
    kept = {"rep-00/attempt-01": 6}
    assert packing.look(run) == (7 + 2, kept)  # with the folders of the model
    assert packing.unpack(run) == (7, kept)
    assert packing.look(run) == (0, kept) and packing.unpack(run) == (0, kept)
    assert (run / "packed.zip").exists() and not (run / "rep-00/attempt-01").exists()


# --- readers


def test_a_missing_file_is_missing_as_ever(run):
    pack(run)
    for name in ("rep-00/attempt-01/no.csv", "rep-00/attempt-09/history.csv", "rep-00/attempt-01/model/no"):
        assert not packed.exists(run / name)
        with pytest.raises(FileNotFoundError) as error:
            packed.read(run / name)
        assert error.value.filename == str(run / name)
    assert packed.exists(run / "rep-00/attempt-01/model/empty")
    with pytest.raises(FileNotFoundError):
        packed.read(run.parent / "018-00000000" / HISTORY)


def test_a_copy_of_a_folder_has_every_file_and_links_to_those_that_stayed(run):
    attempt = run / "rep-01/attempt-02"
    names = {path.relative_to(attempt).as_posix() for path in attempt.rglob("*")}
    texts = {name: (attempt / name).read_bytes() for name in names if (attempt / name).is_file()}
    assert unpacked.folder(attempt) == attempt
    pack(run)
    copy = unpacked.folder(attempt)
    assert copy != attempt and copy.parts[-3:] == ("017-3f9a1c2e", "rep-01", "attempt-02")
    assert {path.relative_to(copy).as_posix() for path in copy.rglob("*")} == names
    assert {name: (copy / name).read_bytes() for name in texts} == texts
    assert (copy / "outcome.json").is_symlink()
    assert unpacked.folder(attempt) == copy  # made once
    assert unpacked.located(attempt / "model/noise.bin") == copy / "model/noise.bin"
    assert unpacked.located(attempt / "outcome.json") == attempt / "outcome.json"
    assert unpacked.located(attempt / "no.bin") == attempt / "no.bin"
    assert unpacked.located("data/cells.npz") == Path("data/cells.npz")
    private = [path for path in recording.cache_folder().rglob("*") if not path.is_symlink()]
    assert all(path.stat().st_mode & 0o077 == 0 for path in private if path.is_file())


def test_a_copy_that_lost_a_file_is_made_again(run):
    pack(run)
    copy = unpacked.folder(run / "rep-00/attempt-01")
    (copy / "history.csv").unlink()
    assert (unpacked.folder(run / "rep-00/attempt-01") / "history.csv").exists()
    shutil.rmtree(recording.cache_folder())
    assert (unpacked.folder(run / "rep-00/attempt-01") / "history.csv").exists()


def test_a_copy_without_its_link_to_a_file_that_stayed_is_made_again(run):
    """Programs that clean caches remove old links too, whose times are those of their first day."""
    pack(run)
    copy = unpacked.folder(run / "rep-00/attempt-01")
    (copy / "outcome.json").unlink()
    assert (unpacked.folder(run / "rep-00/attempt-01") / "outcome.json").read_text() == '{"state":"done"}'


def test_a_copy_is_never_older_than_the_archive(run):
    pack(run)
    first = unpacked.folder(run / "rep-00/attempt-01")
    (run / HISTORY).write_text("newer")
    pack(run)
    second = unpacked.folder(run / "rep-00/attempt-01")
    assert first != second and (second / "history.csv").read_text() == "newer"


def test_a_user_without_a_cache_folder_gets_a_temporary_copy(run, monkeypatch):
    pack(run)
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/none")
    copy = unpacked.folder(run / "rep-00/attempt-01")
    assert (copy / "history.csv").exists() and not str(copy).startswith("/dev")
    monkeypatch.undo()
    with recording.off():
        assert (unpacked.folder(run / "rep-00/attempt-01") / "history.csv").exists()
    assert not (recording.cache_folder() / "packed").exists()


def test_copies_that_were_used_longest_ago_go_first(run, monkeypatch):
    monkeypatch.setattr(unpacked, "MOST_COPIES", 1)
    pack(run)
    one = unpacked.folder(run / "rep-00/attempt-01")
    two = unpacked.folder(run / "rep-01/attempt-01")
    assert one.exists()  # it was used within the hour
    os.utime(one.parents[2], (0, 0))
    three = unpacked.folder(run / "rep-01/attempt-02")
    assert not one.exists() and two.exists() and three.exists()


# --- names


def write_attempt(run: Path, text: str) -> Path:
    """A run with one attempt, whose file final.txt has this text."""
    attempt = run / "rep-00/attempt-01"
    attempt.mkdir(parents=True)
    (attempt / "outcome.json").write_text("{}")
    (attempt / "final.txt").write_text(text)
    return attempt


INNER = "runs/003-0123abcd"


@pytest.mark.parametrize("inner", [INNER, f"copy/{INNER}", "study/training_data/exp/runs/017-3f9a1c2e"])
def test_a_task_may_write_a_folder_that_is_named_like_a_run(run, inner):
    attempt = run / "rep-00/attempt-01"
    own = write_attempt(attempt / inner, "of the task's folder")
    pack(run)
    assert not (own / "final.txt").exists()
    assert packed.exists(own / "final.txt") and packed.read(own / "final.txt") == b"of the task's folder"
    assert packed.size(own / "final.txt") == len("of the task's folder")
    assert unpacked.located(own / "final.txt").read_text() == "of the task's folder"
    assert (unpacked.folder(own) / "final.txt").read_text() == "of the task's folder"
    assert (unpacked.folder(attempt) / inner / "rep-00/attempt-01/final.txt").exists()
    assert packed.read(attempt / "history.csv").startswith(b"step")
    with pytest.raises(FileNotFoundError):
        packed.read(own / "no.txt")


def test_a_file_of_a_task_that_is_named_like_an_archive_is_no_archive(run, monkeypatch):
    monkeypatch.setattr(run_files, "LARGEST_BYTES", 100_000)
    own = write_attempt(run / "rep-00/attempt-01" / INNER, "text")
    (own.parents[1] / "packed.zip").write_bytes(bytes(100_001))  # it stays, because it is large
    pack(run)
    assert packed.read(own / "final.txt") == b"text" and unpacked.located(own / "final.txt").exists()


def test_a_study_may_lie_in_the_folder_of_a_task(run):
    study = run / "rep-00/attempt-01/study"
    inner = study / RUN
    attempt = write_attempt(inner, "of the study")
    (study / "data").mkdir()
    (study / "data/cells.txt").write_text("cells")
    pack(inner)
    assert not (attempt / "final.txt").exists() and packed.read(attempt / "final.txt") == b"of the study"
    assert (unpacked.folder(attempt) / "final.txt").read_text() == "of the study"
    assert unpacked.located(study / "data") == study / "data"
    pack(run)  # with the study in it
    assert packed.read(study / "data/cells.txt") == b"cells"
    assert (unpacked.located(study / "data") / "cells.txt").read_text() == "cells"


def test_a_study_in_a_folder_that_is_named_like_a_run_has_its_own_archives(tmp_path):
    outer = tmp_path / "runs/001-aaaaaaaa/rep-00/attempt-01"
    attempt = write_attempt(outer / "study" / RUN, "text")
    other = write_attempt(outer / "study/training_data/exp/runs/018-00000000", "of another run")
    pack(attempt.parents[1])
    assert packed.read(attempt / "final.txt") == b"text"
    assert packed.read(other / "final.txt") == b"of another run"
    assert unpacked.located(attempt / "final.txt").read_text() == "text"
    assert unpacked.folder(other) == other
    with pytest.raises(FileNotFoundError):
        packed.read(other / "no.txt")


@pytest.mark.parametrize("moved", ["runs", "runs/017-3f9a1c2e"])
def test_links_to_packed_files_are_followed_where_a_folder_above_is_a_link(run, tmp_path, moved):
    experiment = run.parents[1]
    (experiment / moved).rename(tmp_path / "elsewhere")
    (experiment / moved).symlink_to(tmp_path / "elsewhere")
    attempt = run / "rep-01/attempt-02"
    (attempt / "first.csv").symlink_to("../attempt-01/history.csv")
    (attempt / "best").symlink_to("model")
    pack(run)
    assert packed.exists(attempt / "best/noise.bin")
    assert packed.read(attempt / "first.csv").startswith(b"step")
    assert packed.read(attempt / "best/noise.bin") == packed.read(attempt / "model/noise.bin")


# --- damage


def flipped(path: Path, place: int) -> bytes:
    data = bytearray(path.read_bytes())
    data[place] ^= 0x10
    return bytes(data)


def test_any_flipped_bit_is_found_and_costs_nothing(run):
    names = packable(run)
    original = contents(run, names)
    pack(run)
    path = run / "packed.zip"
    whole_archive = path.read_bytes()
    found = 0
    for place in random.Random(3).sample(range(len(whole_archive)), 150):
        path.write_bytes(flipped(path, place))
        for name in names:
            try:
                assert packed.read(run / name) == original[name], (place, name)
            except StoreError as error:
                assert "packed.zip: damaged" in str(error) and "backup" in str(error)
                found += 1
        damaged, before = path.read_bytes(), tree(run)
        try:
            packing.unpack(run)
        except StoreError:
            assert path.read_bytes() == damaged
        for name, (mode, _, _) in tree(run).items():  # what could be restored is right
            assert name in before or stat.S_ISDIR(mode) or (run / name).read_bytes() == original[name]
            if name not in before and not stat.S_ISDIR(mode):
                (run / name).unlink()
        path.write_bytes(whole_archive)
    assert found


def test_a_damaged_archive_is_not_replaced(run):
    pack(run)
    path = run / "packed.zip"
    path.write_bytes(flipped(path, 200))
    (run / "rep-00/attempt-01/more.txt").write_text("more")
    before = tree(run)
    with pytest.raises(StoreError, match="damaged"):
        pack(run)
    assert tree(run) == before
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StoreError, match="damaged, its list of files cannot be read"):
        packed.read(run / HISTORY)


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../../x",
        "rep-00/attempt-01/../../../x",
        "rep-00/attempt-01/./x",
        "rep-00/attempt-01/x\0y",
        "rep-00/attempt-01//x",
        "rep-00/attempt-01/..",
        "other/x",
        "rep-00/attempt-01",
    ],
)
def test_names_that_lead_elsewhere_are_refused(run, name):
    with zipfile.ZipFile(run / "packed.zip", "w") as archive:
        info = zipfile.ZipInfo("x")
        info.filename = info.orig_filename = name
        info.extra = packed.extra_of(10**18)
        archive.writestr(info, b"evil")
        archive.comment = packed.comment_of({name: packed.Member(info)})
    before = tree(run)
    for action in (lambda: packed.read(run / "rep-00/attempt-01/x"), lambda: packing.unpack(run)):
        with pytest.raises(StoreError, match="damaged"):
            action()
    assert tree(run) == before


def test_a_member_that_is_larger_than_it_says_is_refused(run):
    with zipfile.ZipFile(run / "packed.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        info = zipfile.ZipInfo("rep-00/attempt-01/bomb")
        info.compress_type, info.extra = zipfile.ZIP_DEFLATED, packed.extra_of(10**18)
        archive.writestr(info, bytes(50_000_000))
        info.file_size = 10
        archive.comment = packed.comment_of({info.filename: packed.Member(info)})
    with pytest.raises(StoreError, match="checksum"):
        packed.read(run / "rep-00/attempt-01/bomb")


def test_nothing_is_restored_through_a_link(run, tmp_path):
    pack(run)
    (tmp_path / "elsewhere").mkdir()
    (run / "rep-00/attempt-01/model").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="not a folder"):
        packing.unpack(run)
    assert not list((tmp_path / "elsewhere").iterdir()) and (run / "packed.zip").exists()


# --- interruptions

CALLS = {
    "write",
    "flush",
    "fsync",
    "rename",
    "replace",
    "unlink",
    "rmdir",
    "mkdir",
    "chmod",
    "fchmod",
    "utime",
}
CALLS |= {"open", "close", "lstat", "seek", "scandir"}


def killed(action, at: int) -> bool:
    """Do something in another process that is killed at its `at`-th call of the system; whether it was."""
    pid = os.fork()
    if pid == 0:
        count = 0

        def watch(frame, event, argument):
            nonlocal count
            if event == "c_call" and argument.__name__ in CALLS:
                count += 1
                if count == at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(watch)
        try:
            action()
        finally:
            sys.setprofile(None)
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


def copy_of(run: Path, target: Path) -> Path:
    shutil.copytree(run, target / RUN, symlinks=True)
    return target / RUN


@pytest.mark.process
@pytest.mark.parametrize("of", ["pack", "a second pack", "unpack"])
def test_a_kill_at_every_step_loses_nothing_and_doubles_nothing(run, tmp_path, of):
    shutil.rmtree(run / "rep-01/attempt-01")  # fewer files, fewer steps
    names, first = packable(run), tree(run)
    original = contents(run, names)
    if of != "pack":
        pack(run)
    if of == "a second pack":
        shutil.copytree(run / "rep-01/attempt-03", run / "rep-00/attempt-02")
        (run / "rep-00/attempt-02/outcome.json").write_text("{}")
        more = packable(run)
        original |= contents(run, more)
        names += more
    action = packing.unpack if of == "unpack" else pack
    at, steps = 0, 0
    while True:
        at += 1
        here = copy_of(run, tmp_path / f"copy-{at}")
        if not killed(partial(action, here), at):
            break
        steps += 1
        assert contents(here, names) == original, at
        copy = unpacked.folder(here / "rep-00/attempt-01")
        assert (copy / "model/noise.bin").read_bytes() == original["rep-00/attempt-01/model/noise.bin"]
        if at % 3 == 0:  # again, and not to the end
            killed(partial(action, here), max(1, at // 2))
            assert contents(here, names) == original, at
        action(here)
        assert contents(here, names) == original, at
        assert not [path for path in here.iterdir() if ".partial" in path.name]
        assert of == "unpack" or not list(here.rglob("*.partial")), at
        if of == "unpack":
            assert tree(here).keys() == first.keys() and not (here / "packed.zip").exists()
        else:
            assert not packable(here), at
            packing.unpack(here)
        if of != "a second pack":
            assert {name: one for name, one in tree(here).items() if "partial" not in name} == first, at
        shutil.rmtree(tmp_path / f"copy-{at}")
    assert steps > 100


@pytest.mark.process
@pytest.mark.parametrize("files", ["to pack", "none to pack"])
def test_what_a_killed_unpack_has_not_finished_is_removed_by_the_next_pack(run, files):
    pack(run)
    attempt = run / "rep-00/attempt-01"
    if files == "to pack":
        assert killed(partial(packing.unpack, run), 25)
        (attempt / "more.txt").write_text("more")
    left, users = run_files.unfinished(attempt / "stdout.log"), attempt / ".notes.partial"
    left.write_text("hel")
    users.write_text("the user's")
    pack(run)
    assert not list(run.rglob(".*.unpack.partial")) and users.read_text() == "the user's"
    assert not packable(run) and packed.read(attempt / "stdout.log").startswith(b"hello from rep-00")


@pytest.mark.process
def test_a_kill_at_any_moment_loses_nothing(run, tmp_path):
    names = packable(run)
    original = contents(run, names)
    generator = random.Random(11)
    for number in range(60):
        pid = os.fork()
        if pid == 0:
            try:
                while True:
                    pack(run)
                    packing.unpack(run)
            finally:
                os._exit(1)
        time.sleep(generator.uniform(0.0, 0.05))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status), number
        assert contents(run, names) == original, number
    packing.unpack(run)
    pack(run)
    assert not packable(run) and contents(run, names) == original
