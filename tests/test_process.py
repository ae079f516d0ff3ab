"""Which process is this, and is it still there?"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from neurofit.process import FIRST_NAMESPACE, Process

SOURCES = Path(__file__).resolve().parents[1]
ASK = """
import json, sys
sys.path.insert(0, sys.argv[1])
from neurofit.process import Process
print(json.dumps([Process.from_record(record).is_alive() for record in json.loads(sys.argv[2])]))
"""


@pytest.mark.process
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
    assert dataclasses.replace(here, host="elsewhere", boot=f"0000/{namespace}").is_alive() is None
    assert dataclasses.replace(here, boot=f"{boot}/{int(namespace) + 1}").is_alive() is None, (
        "another container's"
    )
    assert dataclasses.replace(here, boot="").is_alive() is None, "a host without /proc"
    assert dataclasses.replace(here, pid=0).is_alive() is None, "a damaged record"


@pytest.mark.process
def test_a_machine_that_changed_its_name_still_knows_its_processes():
    here = dataclasses.replace(Process.here(), host="by-its-old-name")
    assert here.is_alive() is True
    program = subprocess.Popen(["true"])
    gone = dataclasses.replace(Process.of(program.pid), host="by-its-old-name")
    program.wait()
    assert gone.is_alive() is False


def test_what_ran_before_this_machine_was_booted_is_gone_but_not_what_ran_in_a_container_of_its_name():
    here = Process.here()
    before = dataclasses.replace(here, boot=f"0000/{FIRST_NAMESPACE}")
    in_first = here.boot.endswith(f"/{FIRST_NAMESPACE}")
    assert before.is_alive() is (False if in_first else None)
    assert dataclasses.replace(before, machine="").is_alive() is (False if in_first else None), (
        "a record of 0.1.0"
    )
    assert dataclasses.replace(before, machine="another").is_alive() is None, "two machines of one name"
    assert dataclasses.replace(before, boot="0000/4026532000").is_alive() is None, (
        "two containers of one name"
    )


def test_records_of_0_1_0_have_no_machine_and_stay_the_same_process():
    here = Process.here()
    record = {name: value for name, value in here.record().items() if name != "machine"}
    assert Process.from_record(record) == here and Process.from_record(record).is_alive() is True


@pytest.mark.process
def test_a_proc_that_hides_a_process_does_not_make_it_dead(tmp_path):
    """A reader of /proc that shows only itself, as `hidepid=2` does."""
    (tmp_path / "self").symlink_to(str(os.getpid()))
    program = subprocess.Popen(["sleep", "60"])
    process = Process.of(program.pid)
    try:
        assert process.is_alive(tmp_path) is None
        (tmp_path / str(program.pid)).mkdir()
        (tmp_path / str(program.pid) / "stat").symlink_to("stat")  # cannot be read
        assert process.is_alive(tmp_path) is None
    finally:
        program.kill()
        program.wait()
    assert process.is_alive(tmp_path) is False, "no such process, whatever /proc shows"


def test_the_proc_of_another_namespace_says_nothing(tmp_path):
    (tmp_path / "self").symlink_to("1" if os.getpid() != 1 else "2")
    (tmp_path / str(os.getpid())).mkdir()
    (tmp_path / str(os.getpid()) / "stat").write_text("1 (init) S" + " 0" * 40)
    assert Process.here().is_alive(tmp_path) is None


@pytest.mark.process
@pytest.mark.parametrize("hidepid", ["1", "2"])
def test_with_hidepid_another_users_living_process_is_not_known_and_a_gone_one_is(hidepid, tmp_path_factory):
    """For real: another user, in a mount namespace whose /proc hides what is not theirs."""
    if os.getuid() != 0 or not all(map(shutil.which, ("unshare", "setpriv", "mount"))):
        pytest.skip("needs root, unshare and setpriv")
    sources = _readable_by_all()
    living = subprocess.Popen(["sleep", "60"])
    gone = subprocess.Popen(["true"])
    processes = [Process.of(living.pid), Process.of(gone.pid)]
    gone.wait()
    try:
        script = f"mount -t proc -o hidepid={hidepid} proc /proc && exec setpriv --reuid 65534 --regid 65534 "
        script += '--clear-groups --no-new-privs "$@"'
        said = subprocess.run(
            [
                "unshare",
                "-m",
                "sh",
                "-c",
                script,
                "-",
                _python(),
                "-I",
                "-c",
                ASK,
                str(sources),
                json.dumps([process.record() for process in processes]),
            ],
            capture_output=True,
            text=True,
            cwd="/",
        )
        if "mount" in said.stderr or "unshare" in said.stderr:
            pytest.skip(f"this host does not let one mount such a /proc: {said.stderr.strip()}")
        assert (said.stderr, json.loads(said.stdout)) == ("", [None, False])
    finally:
        living.kill()
        living.wait()
        shutil.rmtree(sources)


@pytest.mark.process
def test_two_containers_of_one_name_do_not_take_each_others_numbers_for_their_own():
    """For real: a process namespace of its own, with the same host name and other numbers."""
    if os.getuid() != 0 or not shutil.which("unshare"):
        pytest.skip("needs root and unshare")
    program = subprocess.Popen(["sleep", "60"])
    ask = ["unshare", "--fork", "--pid", "--mount-proc", sys.executable, "-c", ASK, str(SOURCES)]
    try:
        record = Process.of(program.pid).record()
        said = subprocess.run(
            [*ask, json.dumps([record, {**record, "pid": 1}])], capture_output=True, text=True, cwd="/"
        )
        if "unshare" in said.stderr:
            pytest.skip(f"this host has no process namespaces: {said.stderr.strip()}")
        assert json.loads(said.stdout) == [None, None]
    finally:
        program.kill()
        program.wait()


def _readable_by_all() -> Path:
    """The one module that is asked, where every user can read it."""
    folder = Path("/var/tmp") / f"neurofit-process-{os.getpid()}-{time.monotonic_ns()}"
    (folder / "neurofit").mkdir(parents=True)
    (folder / "neurofit" / "__init__.py").touch()
    shutil.copy(SOURCES / "neurofit" / "process.py", folder / "neurofit")
    for path in (folder, folder / "neurofit"):
        path.chmod(0o755)
    for path in (folder / "neurofit").iterdir():
        path.chmod(0o644)
    return folder


def _python() -> str:
    for candidate in ("/usr/bin/python3", sys.executable):
        if Path(candidate).exists():
            return candidate
    pytest.skip("no Python that every user can start")
