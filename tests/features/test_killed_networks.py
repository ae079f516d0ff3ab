"""Real processes with TensorFlow that want one layer, and one that is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from queue import Queue

import numpy as np
import pytest
from keras_network import Noted, pictures

from neurofit import features

PROGRAM = Path(__file__).with_name("keras_network.py")


@pytest.mark.slow
@pytest.mark.process
def test_two_processes_compute_a_layer_of_a_network_once_although_the_first_is_killed_half_way(
    study, tmp_path_factory
):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PROGRAM.parent), *sys.path])}
    command = [sys.executable, str(PROGRAM), str(study.root), "first", "96"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    said: Queue[tuple[int, str]] = Queue()

    def listen(number):
        for line in both[number].stdout:
            said.put((number, line.strip()))

    listeners = [threading.Thread(target=listen, args=(number,)) for number in (0, 1)]
    try:
        for one in listeners:
            one.start()
        words = dict.fromkeys(["ready 0", "ready 1", "waiting"])
        while None in words.values():
            number, word = said.get(timeout=120)
            words[word if word == "waiting" else f"{word} {number}"] = number
        killed = words["waiting"]
        assert (study.root / "batches.txt").read_text().split() == ["first"] * 3
        both[killed].kill()
        assert said.get(timeout=120) == (1 - killed, "done 96")
        assert both[1 - killed].wait(timeout=60) == 0
    finally:
        for one in both:
            one.kill()
            one.wait()
        for one in listeners:
            one.join()
    assert (study.root / "batches.txt").read_text().split() == ["first"] * 5, "no batch was computed twice"
    kept = features.open(Noted(study.data), pictures(), "first", study=study)
    other = type(study)(tmp_path_factory.mktemp("other"))
    whole = features.extract(Noted(study.data), pictures(), "first", study=other)["first"]
    assert kept.key == whole.key
    np.testing.assert_allclose(kept.read(), whole.read(), rtol=1e-5, atol=1e-5)
