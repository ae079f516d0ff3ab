"""One task in the foreground of this process."""

from __future__ import annotations

import signal

import pytest

from neurofit.orchestrate import foreground
from neurofit.orchestrate.plan import load

INTERRUPTED = """
    import os, signal, time
    class Fit:
        def prepare(self, study):
            if {while_preparing}:
                os.kill(os.getpid(), signal.SIGINT)
        def arguments(self):
            return {{"a": 1}}
        def __call__(self, task):
            if {while_fitting}:
                os.kill(os.getppid(), signal.SIGINT)
            for step in range(100):
                if task.should_stop():
                    task.stop(step)
                time.sleep(0.05)
            return {{"x": 1}}
    experiment = nf.Experiment(fit=Fit())
"""


def run(bench, name: str) -> dict:
    experiment = load(bench.study, name)
    wanted = foreground.point(experiment, bench.status(name).registry, {}, None, 0, bench.status(name).files)
    return foreground.run(bench.study, experiment, wanted)[1]


def test_an_interruption_stops_the_task_in_order(bench):
    bench.script("slow", INTERRUPTED.format(while_preparing=False, while_fitting=True))
    assert run(bench, "slow")["state"] == "stopped"
    assert bench.counts("slow") == {"stopped": 1}


def test_an_interruption_before_the_task_began_leaves_it_new(bench):
    bench.script("slow", INTERRUPTED.format(while_preparing=True, while_fitting=False))
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)
    before = [signal.getsignal(number) for number in numbers]
    with pytest.raises(KeyboardInterrupt):
        run(bench, "slow")
    assert bench.study.training_data.joinpath("slow", "runs").exists() is False
    assert [signal.getsignal(number) for number in numbers] == before
