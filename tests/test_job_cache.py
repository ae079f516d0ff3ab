"""What tasks of a job hand to each other: whole or not at all, whatever happens to the processes and to the file."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource

import pytest

from neurofit import job_cache

ONE, OTHER = b"1" * 32, b"2" * 32


@pytest.fixture(autouse=True, params=["in memory", "on disk"])
def cache(request, monkeypatch):
    job_cache.end()  # of a worker in this process
    if request.param == "on disk":
        monkeypatch.delattr(os, "memfd_create", raising=False)
    job_cache.begin()
    yield
    job_cache.end()


def descriptor() -> int:
    return job_cache._opened[0]


def content() -> bytes:
    return os.pread(descriptor(), job_cache.MOST_BYTES, 0)


def in_child(do) -> int:
    """The exit status of a forked process that does this."""
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            do()
            os._exit(0)
        os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_the_value_that_was_put_last_is_what_one_gets():
    assert job_cache.get(ONE) is None
    job_cache.put(ONE, b"a")
    job_cache.put(OTHER, b"")
    job_cache.put(ONE, b"b" * 100_000)
    assert job_cache.get(ONE) == b"b" * 100_000 and job_cache.get(OTHER) == b""


@pytest.mark.process
def test_every_process_that_is_forked_has_it_and_nobody_else():
    assert in_child(lambda: job_cache.put(ONE, b"from a child")) == 0
    assert job_cache.get(ONE) == b"from a child"
    before = descriptor()
    job_cache.begin()  # has one
    assert descriptor() == before and not os.get_inheritable(before)
    assert os.fstat(before).st_nlink == 0


def test_without_a_cache_nothing_is_kept():
    job_cache.end()
    job_cache.put(ONE, b"a")
    assert job_cache.get(ONE) is None and not job_cache.is_open()
    job_cache.end()


def test_it_begins_again_before_it_is_too_large(monkeypatch):
    monkeypatch.setattr(job_cache, "MOST_BYTES", 10_000)
    for number in range(100):
        job_cache.put(number.to_bytes(32, "big"), bytes([number]) * 1000)
        assert job_cache.get(number.to_bytes(32, "big")) == bytes([number]) * 1000
        assert os.fstat(descriptor()).st_size <= 10_000
    assert job_cache.get((0).to_bytes(32, "big")) is None
    job_cache.put(ONE, b"x" * 5000)
    assert job_cache.get(ONE) is None, "a value of that size would leave room for nothing else"


def test_no_damaged_byte_is_ever_returned_and_the_next_value_is_kept():
    job_cache.put(ONE, b"first")
    job_cache.put(OTHER, b"second")
    whole = content()
    for place in range(len(whole)):
        os.pwrite(descriptor(), bytes([whole[place] ^ 0x5A]), place)
        assert job_cache.get(ONE) in (None, b"first") and job_cache.get(OTHER) in (None, b"second")
        job_cache.put(ONE, b"third")
        assert job_cache.get(ONE) == b"third"
        os.ftruncate(descriptor(), 0)
        os.pwrite(descriptor(), whole, 0)


def test_a_process_that_was_killed_while_it_wrote_leaves_nothing():
    job_cache.put(ONE, b"first")
    start = len(content())
    job_cache.put(OTHER, b"second")
    whole = content()
    for length in range(start, len(whole)):
        os.ftruncate(descriptor(), length)
        assert job_cache.get(ONE) == b"first" and job_cache.get(OTHER) is None
        job_cache.put(OTHER, b"again")
        assert job_cache.get(OTHER) == b"again"
        os.ftruncate(descriptor(), 0)
        os.pwrite(descriptor(), whole, 0)


@pytest.mark.process
def test_a_process_that_stands_still_while_it_writes_stops_no_other():
    ready, go = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        fcntl.lockf(descriptor(), fcntl.LOCK_EX)
        os.write(ready[1], b".")
        os.read(go[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    job_cache.put(ONE, b"a")
    assert job_cache.get(ONE) is None
    os.write(go[1], b".")
    os.waitpid(pid, 0)
    job_cache.put(ONE, b"a")
    assert job_cache.get(ONE) == b"a"
    for end in (*ready, *go):
        os.close(end)


@pytest.mark.process
def test_where_there_is_no_room_the_others_stay():
    job_cache.put(ONE, b"a" * 1000)

    def without_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        job_cache.put(OTHER, b"b" * 10_000)
        assert job_cache.get(ONE) == b"a" * 1000 and job_cache.get(OTHER) is None

    assert in_child(without_room) == 0
    job_cache.put(OTHER, b"c")
    assert job_cache.get(ONE) == b"a" * 1000 and job_cache.get(OTHER) == b"c"


def test_a_descriptor_that_is_another_file_now_is_left_alone(tmp_path):
    number, other = descriptor(), os.open(tmp_path / "own", os.O_RDWR | os.O_CREAT)
    os.dup2(other, number)  # a fit may close what it does not know
    job_cache.put(ONE, b"a")
    assert job_cache.get(ONE) is None and not job_cache.is_open()
    assert os.fstat(other).st_size == 0
    job_cache.end()
    os.fstat(number)
    os.close(number)
    os.close(other)
    job_cache.begin()
    job_cache.put(ONE, b"a")
    assert job_cache.get(ONE) == b"a"
