"""The marks `process` and `long`.

`process`: tests that start processes, so that `scripts/test --fast` can leave them out.

A test gets the mark by asking, directly or through another fixture, for the fixture `processes`; where a test starts a
process itself, `@pytest.mark.process` (or `pytestmark` of its file) says so. A test that starts one without the mark
fails. Tests marked `slow` or `cluster` may start processes without it.

`long`: tests that take minutes. They run first, so that the other workers have something to do meanwhile.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator, Iterator
from typing import Any

import pytest

STARTING = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.exec", "os.system"}
ASKED_BY_LIBRARIES = {"fc-list", "uname"}  # once, when matplotlib and rsatoolbox are first imported
MAY_START = ("process", "slow", "cluster")
FAULT = "this test started a process ({}) and is not marked so: ask for the fixture `processes`, or mark it `process`"


class Guard:
    """Fails what starts a process while a test is watched that may not."""

    watching = False
    started: str | None = None

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if (
            self.watching
            and event in STARTING
            and not ASKED_BY_LIBRARIES.intersection(map(str, arguments[:1]))
        ):
            self.started = f"{event} {arguments[1] if event == 'subprocess.Popen' else ''}".strip()
            pytest.fail(FAULT.format(self.started))

    @contextlib.contextmanager
    def of(self, item: pytest.Item) -> Iterator[None]:
        self.watching, self.started = not any(map(item.get_closest_marker, MAY_START)), None
        try:
            yield
        finally:
            self.watching = False
        if self.started:  # a thread of the test, or an `except` in it, passed over the failure
            pytest.fail(FAULT.format(self.started))


guard = Guard()
sys.addaudithook(guard)


@pytest.fixture(scope="session")
def processes() -> None:
    """For fixtures and tests that start processes."""


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "processes" in getattr(item, "fixturenames", ()):
            item.add_marker("process")
    items.sort(key=lambda item: item.get_closest_marker("long") is None)  # stable: the others stay in order


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    with guard.of(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    with guard.of(item):
        return (yield)
