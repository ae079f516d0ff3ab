"""A worker whose log is on the disk that is full."""

from __future__ import annotations

import os
import subprocess
import sys

QUICK = """
    def fit(task):
        return {"m": 1}
    experiment = nf.Experiment(fit=fit)
"""
FULL = """
import errno, runpy
from neurofit.worker.job import Worker
def full(self, number, journal):
    raise OSError(errno.ENOSPC, "No space left on device")
Worker.do_job = full
runpy.run_module("neurofit.worker", run_name="__main__", alter_sys=True)
"""


def test_its_exit_status_says_so_though_its_last_words_have_no_room_either(bench):
    bench.script("quick", QUICK)
    files = bench.submit("quick").files
    with open("/dev/full", "wb") as log:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        command = [sys.executable, "-c", FULL, str(files.folder), "0"]
        done = subprocess.run(command, stdout=log, stderr=log, cwd=bench.root, env=environment, timeout=60)
    assert done.returncode == 95
