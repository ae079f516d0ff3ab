"""One writer at a time, and a lock that explains itself."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import subprocess

import pytest

from neurofit.errors import LockedError
from neurofit.files import read_json, to_json
from neurofit.process import Process
from neurofit.store.lock import locked


def test_the_lock_names_its_holder_and_goes_when_the_block_ends(tmp_path):
    path = tmp_path / "exp" / ".lock"
    with locked(path):
        assert Process.from_record(read_json(path)) == Process.here()
    assert not path.exists()


def test_a_lock_of_another_host_is_explained_and_left(tmp_path):
    path = tmp_path / "exp" / ".lock"
    path.parent.mkdir()
    path.write_text(to_json({**Process("login7", "b", 41, 1).record(), "user": "mara", "since": "today"}))
    with (
        pytest.raises(
            LockedError,
            match=r"process 41 of mara on login7 since today\. Wait for that process, or, if it has ended, delete",
        ),
        locked(path, patience_seconds=0.1),
    ):
        pass
    assert path.exists()


@pytest.mark.process
def test_a_lock_of_a_process_that_is_gone_is_taken_over(tmp_path):
    path = tmp_path / ".lock"
    program = subprocess.Popen(["true"])
    gone = Process.of(program.pid)
    program.wait()
    path.write_text(to_json({**gone.record(), "user": "u", "since": "s"}))
    with locked(path, patience_seconds=1):
        assert Process.from_record(read_json(path)) == Process.here()


@pytest.mark.process
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_flock_the_error_names_what_can_be_deleted(tmp_path, monkeypatch, number):
    def no_flock(file, how):
        raise OSError(number, os.strerror(number))

    path = tmp_path / "exp" / ".lock"
    path.parent.mkdir()
    program = subprocess.Popen(["true"])
    gone = Process.of(program.pid)
    program.wait()
    path.write_text(to_json({**gone.record(), "user": "mara", "since": "today"}))
    monkeypatch.setattr(fcntl, "flock", no_flock)
    said = rf"of mara on .* which has ended.* delete {path} and {path}\.guard"
    with pytest.raises(LockedError, match=said), locked(path):
        pass
    path.unlink()
    path.with_name(".lock.guard").unlink()
    with locked(path):  # nobody needs a flock where nobody died
        assert path.exists()


def _count(path, counter):
    for _ in range(30):
        with locked(path):
            counter.write_text(str(int(counter.read_text()) + 1))


@pytest.mark.process
def test_many_processes_take_turns(tmp_path):
    counter = tmp_path / "counter"
    counter.write_text("0")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_count, args=(tmp_path / ".lock", counter)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert counter.read_text() == "120"


def test_a_lock_that_was_deleted_by_hand_and_taken_by_another_is_left_to_that_one(tmp_path):
    path = tmp_path / ".lock"
    with locked(path):
        path.write_text(to_json({**Process("login7", "b", 41, 1).record(), "user": "mara", "since": "today"}))
    assert read_json(path)["user"] == "mara"
