"""Archives that came from another host, of which nothing is trusted."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import tarfile
import time

import pytest
from hypothesis import given, strategies as st

from neurofit.errors import HostError
from neurofit.remote import copies

SAFE = "training_data/exp/runs.jsonl"


def packed(*members: tuple[tarfile.TarInfo | str, bytes], compressed: bool = True) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for member, content in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return gzip.compress(whole.getvalue()) if compressed else whole.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.fixture
def unpack(tmp_path):
    def unpacked(data: bytes, ahead: float = 0.0) -> int:
        (tmp_path / "archive").write_bytes(data)
        (tmp_path / "into").mkdir(exist_ok=True)
        return copies.unpack(tmp_path / "archive", tmp_path / "into", ahead)

    unpacked.into = tmp_path / "into"
    return unpacked


@pytest.mark.parametrize("compressed", [True, False])
def test_plain_files_are_written_for_this_user_alone(unpack, compressed):
    assert unpack(packed((SAFE, b"{}\n"), (".neurofit/storage.json", b"{}"), compressed=compressed)) == 2
    path = unpack.into / SAFE
    assert path.read_bytes() == b"{}\n"
    assert not path.stat().st_mode & 0o111
    assert path.parent.stat().st_mode & 0o077 == 0


def test_several_archives_after_each_other_are_one(unpack):
    data = packed((SAFE, b"1"), compressed=False) + packed(
        ("training_data/b/runs.jsonl", b"2"), compressed=False
    )
    assert unpack(gzip.compress(data)) == 2


def test_no_archive_has_no_files(unpack):
    assert unpack(b"") == 0


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../out",
        "training_data/../../out",
        "training_data/./x",
        "training_data",
        "jobs/exp.py",
        ".ssh/authorized_keys",
        "",
        "training_data/a/",
    ],
)
def test_a_file_outside_the_records_of_a_study_is_refused(unpack, tmp_path, name):
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(HostError, match="Nothing was used"):
        unpack(packed((name, b"x")))
    assert {*before, "archive", "into"} == {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
)
def test_what_is_not_a_plain_file_is_refused(unpack, kind):
    with pytest.raises(HostError, match="not a plain file"):
        unpack(packed((special("training_data/x", kind, "/etc/passwd"), b"")))


def test_no_file_is_written_twice(unpack):
    with pytest.raises(HostError, match="could not be written"):
        unpack(packed((SAFE, b"1"), (SAFE, b"2")))
    assert (unpack.into / SAFE).read_bytes() == b"1"


def test_a_file_is_not_a_folder_of_another_one(unpack):
    with pytest.raises(HostError, match="could not be written"):
        unpack(packed(("training_data/a", b"1"), ("training_data/a/b", b"2")))


def test_an_archive_that_was_cut_off_is_an_error(unpack):
    data = packed((SAFE, os.urandom(5000)))
    with pytest.raises(HostError, match="damaged"):
        unpack(data[: len(data) // 2])


def test_an_archive_that_unpacks_to_too_much_is_an_error(unpack, monkeypatch):
    monkeypatch.setattr(copies, "MOST_BYTES", 100_000)
    with pytest.raises(HostError, match="more than"):
        unpack(packed((SAFE, b"\0" * 1_000_000)))


def test_too_many_files_are_an_error(unpack, monkeypatch):
    monkeypatch.setattr(copies, "MOST_FILES", 2)
    with pytest.raises(HostError, match="more than 2 files"):
        unpack(packed(*((f"training_data/{number}", b"") for number in range(3))))


def test_times_are_those_of_the_clock_here(unpack):
    info = tarfile.TarInfo(SAFE)
    now = int(time.time())
    info.mtime = now + 1000 - 60
    unpack(packed((info, b"")), ahead=1000.0)
    assert (unpack.into / SAFE).stat().st_mtime == pytest.approx(now - 60, abs=2)


@given(st.binary(max_size=2000))
def test_bytes_that_are_no_archive_are_an_error_or_nothing(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("any")
    (folder / "archive").write_bytes(data)
    (folder / "into").mkdir()
    with contextlib.suppress(HostError):
        copies.unpack(folder / "archive", folder / "into", 0.0)


@pytest.mark.parametrize(
    ("selectors", "patterns"),
    [
        (["exp:17/3"], {"*/runs/017-*/*.log"}),
        (["exp:2-4"], {"*/runs/002-*/*.log", "*/runs/003-*/*.log", "*/runs/004-*/*.log"}),
        (["exp"], {"*/runs/*/*.log"}),
        (["exp:best"], {"*/runs/*/*.log"}),
        (["exp:5-last"], {"*/runs/*/*.log"}),
        (["exp:1-999999999"], {"*/runs/*/*.log"}),
    ],
)
def test_logs_are_fetched_of_the_selected_runs(selectors, patterns):
    found = set(copies.wanted("logs", selectors))
    assert {one for one in found if one.startswith("*/runs/") and one.endswith(".log")} == patterns


def test_logs_and_histories_are_fetched_only_where_they_are_asked_for():
    assert not [one for one in copies.wanted("results", ["exp"]) if one.endswith(("log", "csv"))]
    assert [one for one in copies.wanted("report", ["exp"]) if one.endswith("history.csv")]


@pytest.mark.parametrize("command", ["status", "results", "logs", "report"])
def test_arguments_of_trials_are_fetched(command):
    assert "*/runs/*/suggestion.json" in copies.wanted(command, ["exp:3"])
