"""A test that starts processes is marked so, or fails."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
REGISTERED = ["process: starts processes", "slow: is slow", "cluster: needs a queue"]
pytestmark = pytest.mark.process


@pytest.fixture
def outcomes(tmp_path):
    """outcomes(tests, *arguments): what pytest prints of each test of a file."""

    def run(tests: str, *arguments: str) -> dict[str, str]:
        (tmp_path / "conftest.py").write_text('pytest_plugins = ["tiers"]\n')
        (tmp_path / "test_it.py").write_text("import os, subprocess, pytest\n" + textwrap.dedent(tests))
        settings = [f"pythonpath={TESTS}", "markers=" + "\n".join(REGISTERED)]
        command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
        command += [word for one in settings for word in ("-o", one)]
        answer = subprocess.run(
            [*command, "-c", "/dev/null", *arguments], cwd=tmp_path, capture_output=True, text=True
        )
        return dict(re.findall(r"::test_(\w+) (\w+)", answer.stdout.partition("short test summary")[0]))

    return run


def test_a_process_that_an_unmarked_test_starts_fails_it(outcomes):
    tests = """
        def test_run(): subprocess.run(["true"])
        def test_fork(): os.fork() or os._exit(0)
        def test_system(): os.system("true")
        def test_hidden():
            try: subprocess.run(["true"])
            except BaseException: pass
        def test_none(): pass
        @pytest.mark.process
        def test_marked(): subprocess.run(["true"])
        @pytest.mark.slow
        def test_slow(): subprocess.run(["true"])
    """
    assert outcomes(tests) == {
        "run": "FAILED",
        "fork": "FAILED",
        "system": "FAILED",
        "hidden": "FAILED",
        "none": "PASSED",
        "marked": "PASSED",
        "slow": "PASSED",
    }


def test_a_thread_of_an_unmarked_test_fails_it_too(outcomes):
    tests = """
        from concurrent.futures import ThreadPoolExecutor
        def test_thread():
            with ThreadPoolExecutor() as pool: pool.submit(subprocess.run, ["true"])
    """
    assert outcomes(tests) == {"thread": "FAILED"}


FIXTURES = """
    @pytest.fixture
    def commands(processes): return subprocess.run(["true"])
    @pytest.fixture
    def through(commands): return commands
    @pytest.fixture
    def unmarked(): return subprocess.run(["true"])
    def test_direct(processes): subprocess.run(["true"])
    def test_through(through): subprocess.run(["true"])
    def test_unmarked(unmarked): pass
    def test_none(): pass
"""


def test_a_test_that_uses_a_fixture_that_starts_processes_is_marked(outcomes):
    assert outcomes(FIXTURES) == {
        "direct": "PASSED",
        "through": "PASSED",
        "unmarked": "ERROR",
        "none": "PASSED",
    }


def test_marked_tests_can_be_left_out(outcomes):
    assert outcomes(FIXTURES, "-m", "not process") == {"unmarked": "ERROR", "none": "PASSED"}
