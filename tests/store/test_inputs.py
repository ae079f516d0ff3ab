"""Digests of the data that tasks read: of the content, remembered by size, mtime and inode."""

from __future__ import annotations

import json
import os
import time

import pytest

from neurofit.store import inputs


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch):
    monkeypatch.setattr(inputs, "_remembered", {})


def aged(path, seconds: float = 60.0) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


@pytest.mark.parametrize("size", [10, 2_000_000])
def test_a_digest_is_of_the_content_and_nothing_else(tmp_path, size):
    for name, content in (("a", b"x"), ("b", b"x"), ("c", b"y")):
        (tmp_path / name).write_bytes(content * size)
        aged(tmp_path / name)
    a, b, c = (inputs.digest(tmp_path / name, cache=tmp_path / "cache") for name in "abc")
    assert a == b != c and len(a) == 16


@pytest.mark.parametrize("size", [10, 2_000_000])
def test_a_file_that_is_replaced_or_written_to_has_another_digest(tmp_path, size):
    path = tmp_path / "a"
    path.write_bytes(b"x" * size)
    aged(path)
    first = inputs.digest(path, cache=tmp_path / "cache")
    status = path.stat()
    (tmp_path / "new").write_bytes(b"y" * size)
    os.utime(tmp_path / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(tmp_path / "new", path)  # of the same size and time
    second = inputs.digest(path, cache=tmp_path / "cache")
    with open(path, "r+b") as file:
        file.write(b"z")
    assert len({first, second, inputs.digest(path, cache=tmp_path / "cache")}) == 3


def test_a_file_that_has_just_changed_is_not_remembered(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 10)
    status = path.stat()
    first = inputs.digest(path)
    path.write_bytes(b"y" * 10)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert inputs.digest(path) != first


def test_a_large_file_is_read_once_for_all_processes(tmp_path):
    path, cache = tmp_path / "a", tmp_path / "cache"
    path.write_bytes(b"x" * 2_000_000)
    aged(path)
    inputs.digest(path, cache=cache)
    remembered = json.loads((cache / "inputs.json").read_bytes())
    remembered["digests"][str(path)][3] = "remembered"
    (cache / "inputs.json").write_text(json.dumps(remembered))
    inputs._remembered.clear()
    assert inputs.digest(path, cache=cache) == "remembered"


@pytest.mark.parametrize("content", [b"", b"[]", b'{"digests": 3}', b'{"digests": {"a": 1}}', b"\xff"])
def test_a_damaged_cache_is_passed_over(tmp_path, content):
    path, cache = tmp_path / "a", tmp_path / "cache"
    path.write_bytes(b"x" * 2_000_000)
    aged(path)
    cache.mkdir()
    (cache / "inputs.json").write_bytes(content)
    assert len(inputs.digest(path, cache=cache)) == 16


def test_a_cache_that_cannot_be_written_is_not_an_error(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"x" * 2_000_000)
    aged(path)
    assert len(inputs.digest(path, cache=tmp_path / "a" / "no folder")) == 16


def test_a_folder_has_the_digest_of_all_that_is_in_it(tmp_path):
    folder = tmp_path / "set"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "a").write_text("1")
    digests = [inputs.digest(folder)]
    (folder / "inner" / "b").write_text("2")
    digests.append(inputs.digest(folder))
    (folder / "inner" / "b").rename(folder / "b")
    digests.append(inputs.digest(folder))
    assert len(set(digests)) == 3


def test_names_are_seen_from_the_study(tmp_path):
    study = tmp_path / "study"
    assert inputs.name_of("data/a.npz", study) == "data/a.npz"
    assert inputs.name_of(study / "data" / ".." / "b.npz", study) == "b.npz"
    assert inputs.name_of(tmp_path / "c.npz", study) == (tmp_path / "c.npz").as_posix()
    assert inputs.name_of("../c.npz", study) == (tmp_path / "c.npz").as_posix()
    assert inputs.name_of("..data", study) == "..data"


def test_what_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        inputs.digest(tmp_path / "nothing")
