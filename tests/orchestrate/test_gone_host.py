"""Tasks of a host that is gone, or of a container that has another name now: how one gets them back."""

from __future__ import annotations

import os
import re
import shlex
import signal
import time

from neurofit.process import Process

ENDLESS = """
import time
from pathlib import Path
def fit(task, *, x=1):
    while not Path(task.study / "go").exists():
        time.sleep(0.05)
    return {"m": x}
experiment = nf.Experiment(fit=fit, grid=nf.grid(x=[1, 2, 3]))
"""


def as_if_elsewhere(bench, submitted, *, silent_seconds: float) -> None:
    """The pool is killed, and its files speak of another host, last touched so long ago."""
    os.killpg(int(submitted.ids[0]), signal.SIGKILL)
    here = Process.here()  # of another kernel: one whose name alone has changed still knows its processes
    for path in bench.study.training_data.rglob("*"):
        if path.suffix in (".json", ".jsonl") and path.name != "runs.jsonl":
            text = path.read_text().replace(f'"host":"{here.host}"', '"host":"gone-host"')
            path.write_text(text.replace(f'"boot":"{here.boot}"', '"boot":"0000-0000/4026531836"'))
    past = time.time() - silent_seconds
    for path in submitted.files.journals.iterdir():
        os.utime(path, (past, past))


def test_the_way_out_of_a_host_that_is_gone_is_named_and_works(bench):
    bench.script("endless", ENDLESS)
    submitted = bench.submit("endless")
    bench.wait("endless", until=lambda counts: counts["running"] == 2)
    as_if_elsewhere(bench, submitted, silent_seconds=3600)
    said = bench.command("status", "endless")
    assert said.returncode == 5 and "it runs on gone-host" in said.stderr and "60 minutes ago" in said.stderr
    assert "If gone-host no longer exists" in said.stderr
    assert "If gone-host no longer exists" in bench.command("submit", "endless", "--detach").stderr, (
        "submit names it too"
    )
    cancel, again = re.findall(r"`(neurofit [^`]+)`", said.stderr)
    assert (cancel, again) == ("neurofit cancel endless:0-2", "neurofit submit endless:0-2 --retry")
    assert bench.command(*shlex.split(cancel)[1:]).returncode == 0
    assert bench.counts("endless") == {"cancelled": 3}
    assert bench.command("status").returncode == 0, "nobody is asked any more"
    (bench.root / "go").touch()
    assert bench.command(*shlex.split(again)[1:]).returncode == 0
    assert bench.counts("endless") == {"done": 3}
    assert bench.command("status").returncode == 0


def test_a_host_that_was_heard_of_just_now_is_not_called_gone(bench):
    bench.script("endless", ENDLESS)
    submitted = bench.submit("endless")
    bench.wait("endless", until=lambda counts: counts["running"] == 2)
    as_if_elsewhere(bench, submitted, silent_seconds=10)
    said = bench.command("status", "endless")
    assert said.returncode == 5 and "it runs on gone-host" in said.stderr and "is gone" not in said.stderr
