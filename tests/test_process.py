"""Which process is this, and is it still there?"""

from __future__ import annotations

import dataclasses
import subprocess

from neurofit.process import Process


def test_a_process_is_alive_until_it_ends_and_its_number_alone_is_not_it():
    program = subprocess.Popen(["sleep", "60"])
    process = Process.of(program.pid)
    assert process.is_alive() is True
    assert dataclasses.replace(process, started=process.started + 1).is_alive() is False
    program.kill()
    assert Process.from_record(process.record()) == process
    program.wait()
    assert process.is_alive() is False


def test_what_this_host_cannot_know_it_does_not_say():
    here = Process.here()
    boot, _, namespace = here.boot.partition("/")
    assert dataclasses.replace(here, host="elsewhere").is_alive() is None
    assert dataclasses.replace(here, boot=f"{boot}/{int(namespace) + 1}").is_alive() is None, "another container's"
    assert dataclasses.replace(here, boot=f"0000/{namespace}").is_alive() is False, "before this host was booted"
