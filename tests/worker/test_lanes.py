"""Children that one process watches at a time: they end in any order, and are stopped whatever it does meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from neurofit.process import Process
from neurofit.store.submissions import Planned
from neurofit.worker import supervisor
from neurofit.worker.lanes import Lanes, Work

pytestmark = pytest.mark.process


@pytest.fixture
def lanes() -> Iterator[Lanes]:
    signals = supervisor.Signals()
    signals.listen()
    found = Lanes(signals)
    yield found
    found.close()
    signals.close()


class Children:
    """Lanes whose children do as they are told."""

    def __init__(self, lanes: Lanes, folder: Path) -> None:
        self.lanes, self.folder, self.ended = lanes, folder, []

    def start(
        self,
        number: int,
        do: Callable[[], None],
        error: Exception | None = None,
        *,
        echo: bool = False,
        forked: Callable[[int], None] = lambda pid: None,
        **limits,
    ) -> None:
        capture = supervisor.Capture(self.folder / f"{number}.out", self.folder / f"{number}.err", echo)
        watch = supervisor.Watch(
            self.lanes.signals, lambda: None, lambda: None, 30.0, forked, ended=self.ended.append
        )
        run = supervisor.run(supervisor.Start(do, {}, ()), capture, supervisor.Limits(**limits), watch)
        self.lanes.start([Planned(number, 0, 0)], self._work(run, error))

    def _work(self, run: supervisor.Watched, error: Exception | None) -> Work:
        ending = yield from run
        if error is not None:
            raise error
        return str(ending.limit or ending.asked or ending.status)

    def until_all_have_ended(self) -> list[tuple[int, str]]:
        found = []
        while self.lanes:
            found += [(group[0].run, ending) for group, ending in self.lanes.step()]
        return found

    def until_written(self, *numbers: int) -> None:
        """Until these children have said something."""
        deadline = time.monotonic() + 60
        while not all((self.folder / f"{number}.out").read_text() for number in numbers):
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def children(lanes, tmp_path) -> Children:
    return Children(lanes, tmp_path)


def wait_for_file(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)


def sleep(seconds: float = 60.0) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.write(1, b"asleep")
    time.sleep(seconds)


def test_they_run_at_a_time_and_end_in_any_order(children, tmp_path):
    children.start(0, lambda: wait_for_file(tmp_path / "second"))
    children.start(1, (tmp_path / "second").touch)
    assert sorted(children.until_all_have_ended()) == [(0, "0"), (1, "0")]
    assert len(set(children.ended)) == 2


def test_each_has_its_own_time_limit(children):
    children.start(0, sleep, task_seconds=0.1)
    children.start(1, lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert sorted(children.until_all_have_ended()) == [(0, "timeout"), (1, "-9")]


def test_a_signal_reaches_all(children, lanes):
    for number in range(3):
        children.start(number, sleep)
    children.until_written(0, 1, 2)
    os.kill(os.getpid(), signal.SIGUSR1)
    assert sorted(children.until_all_have_ended()) == [(number, "SIGUSR1") for number in range(3)]


def test_they_are_stopped_while_the_process_waits_for_something_else(children, lanes):
    for number in range(2):
        children.start(number, sleep)
    children.until_written(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    pids = lanes.pids()
    deadline = time.monotonic() + 60
    while any(os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None for pid in pids):
        assert time.monotonic() < deadline
        lanes.enforce()  # as between two tries to reach a storage
        time.sleep(0.01)
    assert sorted(children.until_all_have_ended()) == [(0, "SIGTERM"), (1, "SIGTERM")]


def test_an_error_after_one_has_ended_leaves_the_others_to_go_on(children, lanes, tmp_path):
    children.start(0, lambda: None, OSError("no space"))
    children.start(1, lambda: wait_for_file(tmp_path / "go"))
    with pytest.raises(OSError, match="no space"):
        children.until_all_have_ended()
    assert [group[0].run for group in lanes.groups()] == [1]
    (tmp_path / "go").touch()
    lanes.finish()
    assert not lanes


def test_what_is_given_up_is_killed(children, lanes):
    children.start(0, sleep)
    (child,) = [Process.of(pid) for pid in lanes.pids()]
    lanes.close()
    assert not lanes and child.is_alive() is False


def test_an_error_while_one_is_given_up_leaves_no_other_behind(children, lanes):
    def stubborn() -> Work:
        try:
            yield supervisor.Wait(0, 1.0, [], lambda: None)
        finally:
            raise OSError("no such child")

    lanes.start([Planned(0, 0, 0)], stubborn())
    children.start(1, sleep)
    lanes.start([Planned(2, 0, 0)], stubborn())
    child = Process.of(lanes.pids()[1])
    with pytest.raises(OSError, match="no such child"):
        lanes.close()
    assert not lanes and child.is_alive() is False


@contextlib.contextmanager
def closed(descriptor: int) -> Iterator[None]:
    """Close a descriptor in the block, as a script may that closes more than its own."""
    copy = os.dup(descriptor)
    os.close(descriptor)
    try:
        yield
    finally:
        os.dup2(copy, descriptor)
        os.close(copy)


def test_a_job_whose_waits_fail_ends_its_tasks_and_computes_nothing_meanwhile(children, lanes):
    children.start(0, sleep, task_seconds=1.0)
    children.start(1, lambda: None)
    family = [Process.of(pid) for pid in lanes.pids()]
    with closed(lanes.signals.descriptor):
        with pytest.raises(OSError, match="Bad file descriptor"):
            children.until_all_have_ended()
        used = time.process_time()
        lanes.finish()
        assert time.process_time() - used < 0.5
    assert not lanes and not any(one.is_alive() for one in family)


def test_tasks_run_in_a_process_that_has_many_files_open(many_open_files, children, capfd):
    children.start(0, lambda: os.write(1, b"hello\n"), echo=True)
    assert children.until_all_have_ended() == [(0, "0")]
    assert (children.folder / "0.out").read_text() == capfd.readouterr().out == "hello\n"


def test_a_process_that_a_task_leaves_behind_does_not_hold_the_job_with_its_output(children, tmp_path):
    def leave_a_talker() -> None:
        if os.fork() == 0:
            os.setsid()
            (tmp_path / "talker").write_text(str(os.getpid()))
            with contextlib.suppress(OSError):
                for _ in range(600):
                    os.write(1, b"still here\n")
                    time.sleep(0.05)
            os._exit(0)
        wait_for_file(tmp_path / "talker")

    children.start(0, leave_a_talker, echo=True)
    began = time.monotonic()
    try:
        assert children.until_all_have_ended() == [(0, "0")]
        assert time.monotonic() - began < 15
    finally:
        os.kill(int((tmp_path / "talker").read_text()), signal.SIGKILL)


def test_a_child_that_left_its_process_group_is_killed(children, lanes):
    def elsewhere() -> None:
        os.setpgid(0, os.getpgid(os.getppid()))
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(1, b"elsewhere")
        time.sleep(60)

    children.start(0, elsewhere)
    children.until_written(0)
    (child,) = [Process.of(pid) for pid in lanes.pids()]
    began = time.monotonic()
    lanes.close()
    assert child.is_alive() is False and time.monotonic() - began < 30


def test_a_child_that_cannot_be_announced_is_killed(children, lanes):
    announced = []

    def fail(pid: int) -> None:
        announced.append(Process.of(pid))
        raise BrokenPipeError("the pool is gone")

    with pytest.raises(BrokenPipeError, match="the pool is gone"):
        children.start(0, sleep, forked=fail)
    assert not lanes and announced[0].is_alive() is False
