"""Of several processes that want the same work, one has it, until it ends or is known to be gone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from neurofit.files import to_json
from neurofit.process import Process
from neurofit.store.work_claims import HeldClaim, Holder, WorkClaim, claim, claims, heartbeat, holder


def of(folder, process, seconds=0.0):
    """A claim of another process, whose heartbeat is so old."""
    there = folder / f"claim-{len(claims(folder)) + 1:04d}"
    there.mkdir()
    record = WorkClaim(process=process, user="ann", t=time.time())
    (there / "claim.json").write_text(to_json(record.as_object()))
    (there / "heartbeat").touch()
    old = time.time() - seconds
    for name in ("claim.json", "heartbeat"):
        os.utime(there / name, (old, old))
    return HeldClaim(there)


@pytest.fixture
def elsewhere():
    return replace(Process.here(), host="node07", boot="0123456789abc/1")


def test_of_many_threads_one_has_the_claim(tmp_path, monkeypatch):
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)  # in the same millisecond
    found, barrier = [], threading.Barrier(8)

    def run():
        barrier.wait()
        found.append(claim(tmp_path))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [type(one) for one in found].count(HeldClaim) == 1 and len(claims(tmp_path)) == 1


def test_a_claim_that_has_ended_is_followed_by_another(tmp_path):
    first = claim(tmp_path)
    assert isinstance(claim(tmp_path), Holder) and holder(tmp_path) is not None
    assert first.is_mine() and first.end("done") and not first.is_mine() and not first.end("released")
    assert holder(tmp_path) is None
    assert claim(tmp_path).number == 2


def test_a_living_process_of_another_host_is_left_alone_until_its_heartbeat_is_stale(tmp_path, elsewhere):
    theirs = of(tmp_path, elsewhere)
    refused = claim(tmp_path)
    assert refused == Holder(f"process {os.getpid()} of ann on node07") and theirs.is_mine()
    old = time.time() - 400
    os.utime(theirs.folder / "heartbeat", (old, old))
    assert claim(tmp_path).number == 2 and not theirs.is_mine()


def test_a_process_of_this_host_that_is_gone_is_taken_over_at_once(tmp_path, processes):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    process = Process.of(ended.pid)
    ended.wait()
    theirs = of(tmp_path, process)
    assert holder(tmp_path) is None
    assert claim(tmp_path).number == 2 and not theirs.end("done")


def test_a_copy_of_the_study_does_not_wait_forever_for_the_original(tmp_path):
    of(tmp_path, Process.here(), seconds=400)
    assert claim(tmp_path).number == 2


def test_a_claim_that_cannot_be_read_is_taken_over_when_it_is_stale(tmp_path):
    theirs = of(tmp_path, Process.here())
    (theirs.folder / "claim.json").write_text("{")
    assert claim(tmp_path) == Holder("another process")
    old = time.time() - 400
    os.utime(theirs.folder / "heartbeat", (old, old))
    assert claim(tmp_path).number == 2


def test_a_heartbeat_is_written_while_the_work_is_done(tmp_path):
    held = claim(tmp_path)
    with heartbeat([held], seconds=0.01):
        while not (held.folder / "heartbeat").exists():
            time.sleep(0.01)
