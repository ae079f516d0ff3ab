"""What may pass by itself is waited for; what cannot is said at once."""

from __future__ import annotations

import contextlib
import errno
import os
import threading

import pytest

from neurofit import transient
from neurofit.errors import StoreError
from neurofit.files import append_lines, parse_lines, read_json, write_new, write_whole
from neurofit.transient import Patience, StorageUnavailable, patience, retry


class Flaky:
    """Fails some times before it succeeds."""

    def __init__(self, *numbers: int) -> None:
        self.numbers, self.calls = list(numbers), 0

    def __call__(self) -> str:
        self.calls += 1
        if self.numbers:
            raise OSError(self.numbers.pop(0), "said so", "x")
        return "here"


@pytest.mark.parametrize("number", sorted(transient.TRANSIENT))
def test_whatever_passes_is_waited_for(number):
    assert retry(Flaky(number, number)) == "here"


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.ENOENT, errno.EEXIST]
)
def test_what_stays_is_reported_at_once(number):
    flaky = Flaky(number)
    with pytest.raises(OSError) as raised:
        retry(flaky)
    assert (
        flaky.calls == 1 and raised.value.errno == number and not isinstance(raised.value, StorageUnavailable)
    )


def test_an_end_of_patience_is_not_a_answer_about_a_file():
    with (
        patience(Patience(seconds=0.05, shared=False)),
        pytest.raises(StorageUnavailable, match=r"Input/output error.* for 0\.05 s") as raised,
    ):
        retry(Flaky(*[errno.EIO] * 99))
    assert raised.value.errno == errno.EIO and raised.value.filename == "x"
    assert not isinstance(raised.value, FileNotFoundError)


def test_a_hundred_files_that_cannot_be_read_cost_one_patience():
    files = [Flaky(*[errno.EIO] * 99) for _ in range(100)]
    with patience(Patience(seconds=0.2)):
        for file in files:
            with pytest.raises(StorageUnavailable):
                retry(file)
    assert files[0].calls > 1 and {file.calls for file in files[1:]} == {1}


def test_a_missing_file_is_missing_only_while_its_tree_is_there(tmp_path):
    tree, away = tmp_path / "tree", tmp_path / "away"
    tree.mkdir()
    (tree / "a.json").write_text("{}")
    with patience(transient.worker(tree)):
        with pytest.raises(FileNotFoundError):
            read_json(tree / "b.json")
        tree.rename(away)
        threading.Timer(0.3, away.rename, [tree]).start()
        assert read_json(tree / "a.json") == {}
        tree.rename(away)
        threading.Timer(0.3, away.rename, [tree]).start()
        with pytest.raises(FileNotFoundError):
            read_json(tree / "b.json")


def test_waiting_ends_on_request(tmp_path):
    with patience(transient.worker(tmp_path, lambda: True)), pytest.raises(StorageUnavailable):
        retry(Flaky(*[errno.EIO] * 99))


def test_a_record_that_is_seen_late_is_waited_for(tmp_path):
    path = tmp_path / "a.json"
    threading.Timer(0.1, write_whole, [path, '{"x": 1}']).start()
    with patience(transient.worker(tmp_path)):
        assert read_json(path, late=True) == {"x": 1}
    path.write_text('{"x": ')
    threading.Timer(0.1, write_whole, [path, '{"x": 2}']).start()
    with patience(transient.worker(tmp_path)):
        assert read_json(path) == {"x": 2}


def test_a_damaged_record_is_damaged(tmp_path):
    (tmp_path / "a.json").write_text('{"x": ')
    with pytest.raises(StoreError, match="damaged"):
        read_json(tmp_path / "a.json")


def lose_an_answer(monkeypatch, name: str, number: int, *, repeated: bool = False) -> None:
    """The next `os.NAME` is carried out, and fails; or is carried out twice, as a network does that lost its
    answer.
    """
    real = getattr(os, name)

    def once(*arguments, **options):
        monkeypatch.setattr(os, name, real)
        real(*arguments, **options)
        if repeated:
            return real(*arguments, **options)
        raise OSError(number, os.strerror(number), str(arguments[0]))

    monkeypatch.setattr(os, name, once)


@pytest.mark.parametrize("repeated", [False, True])
def test_a_new_file_whose_answer_was_lost_is_ours(tmp_path, monkeypatch, repeated):
    lose_an_answer(monkeypatch, "link", errno.EIO, repeated=repeated)
    assert write_new(tmp_path / "a", "mine")
    assert not write_new(tmp_path / "a", "mine")
    assert os.listdir(tmp_path) == ["a"]


def test_a_line_that_was_written_although_it_failed_is_there_once(tmp_path, monkeypatch):
    append_lines(tmp_path / "a", [{"n": 0}])
    lose_an_answer(monkeypatch, "fsync", errno.EIO)
    append_lines(tmp_path / "a", [{"n": 1}])
    assert parse_lines((tmp_path / "a").read_bytes()) == ([{"n": 0}, {"n": 1}], 0)


@pytest.mark.parametrize("written", [0, 3, 8])  # characters of '{"n":1}' and its newline
def test_lines_of_another_process_stay_when_an_append_is_tried_again(tmp_path, monkeypatch, written):
    path = tmp_path / "a"
    append_lines(path, [{"n": 0}])
    real = os.fsync

    def fails(descriptor):
        monkeypatch.setattr(os, "fsync", real)
        whole = path.read_bytes()
        path.write_bytes(whole[: whole.index(b"\n") + 1 + written])  # as much as had reached the disk
        with open(path, "ab") as other:
            other.write(b'{"n":2}\n' if written in (0, 8) else b'\n{"n":2}\n')
        raise OSError(errno.EIO, "lost")

    monkeypatch.setattr(os, "fsync", fails)
    append_lines(path, [{"n": 1}])
    records, torn = parse_lines(path.read_bytes())
    assert sorted(record["n"] for record in records) == [0, 1, 2]
    assert torn == (1 if written == 3 else 0)


def test_an_error_that_is_raised_keeps_nothing_of_its_callers_alive(tmp_path):
    import gc
    import weakref

    class Large:
        pass

    def calls() -> weakref.ref:
        large = Large()
        with contextlib.suppress(FileNotFoundError):
            transient.retry((tmp_path / "absent").read_bytes)
        return weakref.ref(large)

    gc.disable()
    try:
        assert calls()() is None
    finally:
        gc.enable()
