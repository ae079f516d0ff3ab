"""Tasks of one submission that want the same features compute them once, and linear maps read them."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from numpy_network import NumpyNetwork, stimuli

from neurofit import features
from neurofit.store.work_claims import HeldClaim, claims

SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
from numpy_network import NumpyNetwork, stimuli
from neurofit import features

def fit(task, *, layer="all"):
    network = NumpyNetwork(batches=task.study / "batches.txt")
    found = features.extract(network, stimuli(), layer, study=task.study)[layer]
    return {{"mean": float(found.read().mean())}}

experiment = nf.Experiment(fit, grid=nf.grid(layer=["all"]), repetitions=4)
"""


@pytest.mark.process
def test_four_tasks_of_a_pool_extract_a_layer_once(bench):
    bench.script("once", SCRIPT.format(folder=str(Path(__file__).parent)))
    assert bench.run("once") == {"done": 4}
    assert (bench.root / "batches.txt").read_text().split() == ["all"] * 4
    assert len({row["metrics"]["mean"] for row in bench.outcomes("once")}) == 1


def test_linear_maps_read_features_without_a_copy(study, images, network):
    from neurofit.models.linear_maps.blocks import WideMatrix, wide

    found = features.extract(network, images, "all", study=study)["all"]
    assert isinstance(found, WideMatrix) and wide(found) is found
    np.testing.assert_array_equal(wide(found.path).columns(10, 20), found.columns(10, 20))


def test_a_process_without_a_submission_writes_its_heartbeat(study, images, monkeypatch):
    from neurofit.features import extraction

    class Waiting(NumpyNetwork):
        def outputs(self, images, layers):
            (folder,) = (study.training_data / ".features").iterdir()
            (made,) = claims(folder)
            assert HeldClaim(made).is_mine()
            while not (made / "heartbeat").exists():
                time.sleep(0.01)
            return super().outputs(images, layers)

    beat = extraction.heartbeat
    monkeypatch.setattr(extraction, "heartbeat", lambda held: beat(held, seconds=0.01))
    assert features.extract(Waiting(), stimuli(), "all", study=study)["all"].shape == (100, 90)


def test_batches_do_not_pile_up_in_memory(study, images):
    import gc
    import weakref

    alive, most = weakref.WeakSet(), []

    class Counted(np.ndarray):
        pass

    class Counting(NumpyNetwork):
        def outputs(self, images, layers):
            most.append(len(alive))
            found = [one.view(Counted) for one in super().outputs(images, layers)]
            for one in found:
                alive.add(one)
            return found

    Counted.__hash__ = object.__hash__
    Counted.__eq__ = object.__eq__
    gc.disable()
    try:
        features.extract(Counting(), stimuli(320), "all", study=study)
    finally:
        gc.enable()
    assert len(most) == 10 and max(most) <= 1
