"""scripts/side-by-side: commands that run at once, and whose output comes whole."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "side-by-side"


def start(*parts: str, **options) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, SCRIPT, *parts],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def finish(*parts: str) -> tuple[int, str]:
    """Exit status and output; times are left out of it."""
    process = start(*parts)
    printed = process.communicate(timeout=60)[0]
    return process.returncode, re.sub(r"\d+:\d\d", "TIME", printed)


def test_the_output_of_each_comes_whole_and_not_mixed(tmp_path):
    # each waits for the other between its two lines, so they do run at once
    meet = "echo first {0}; touch {0}; until [ -e {1} ]; do sleep 0.05; done; echo second {0} >&2"
    here, there = tmp_path / "here", tmp_path / "there"
    status, printed = finish("one=" + meet.format(here, there), "two=" + meet.format(there, here))
    assert status == 0
    for name, path in (("one", here), ("two", there)):
        assert f"== {name}: passed after TIME\nfirst {path}\nsecond {path}\n" in printed


def test_a_failure_fails_all_but_interrupts_no_other(tmp_path):
    status, printed = finish("bad=echo reason; exit 3", f"good=sleep 0.3; touch {tmp_path}/done")
    assert status == 1 and (tmp_path / "done").exists()
    assert "== bad: failed with exit status 3 after TIME\nreason\n" in printed
    assert "== good: passed after TIME" in printed
    assert printed.splitlines()[-1] == "Failed: bad"


def test_a_command_that_a_signal_ends_has_failed():
    status, printed = finish("killed=kill -9 $$", "good=true")
    assert status == 1 and "== killed: failed with exit status -9" in printed


def test_what_runs_for_long_is_reported_with_its_last_line(tmp_path):
    process = start("--report=0.1", f"long=echo so far; until [ -e {tmp_path}/end ]; do sleep 0.05; done")
    reports = iter(process.stdout.readline, "")
    assert any(re.fullmatch(r"long: running for \d+:\d\d: so far\n", line) for line in reports)
    (tmp_path / "end").touch()
    assert "== long: passed" in process.communicate(timeout=60)[0]


def test_a_part_needs_a_name_and_a_command():
    status, printed = finish("scripts/test")
    assert status == 2 and "expected NAME=COMMAND, got 'scripts/test'" in printed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_of_them_and_what_they_started(number, tmp_path):
    ended = tmp_path / "ended"
    command = f"trap 'touch {ended}; exit 1' TERM; touch {tmp_path}/there; sleep 600 & wait"
    process = start(f"part={command}", "other=sleep 600")
    while not (tmp_path / "there").exists():
        time.sleep(0.05)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 128 + number and ended.exists()
