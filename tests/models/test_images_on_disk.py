"""Training images that stay on disk: the trained model is, bit for bit, that of the same images in memory."""

from __future__ import annotations

import numpy as np
import pytest
from interrupted import Dying, Killed, weights

import neurofit as nf
from neurofit.datasets.disk_images import DiskImages
from neurofit.datasets.recordings import majaj
from neurofit.errors import DataError
from neurofit.models import data
from neurofit.models.training_loop.program import ROWS_AT_ONCE, rows_at_once

SMALL = nf.datasets.ExampleOptions(images=96, size=39, neurons=4, layer="layer1")
NETWORK = {"filters": [4], "hidden": 8, "dropout": 0.2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("data") / "majaj_2015"
    nf.datasets.make_example("majaj_2015", made, SMALL)
    nf.datasets.convert_images("majaj_2015", made.parent)
    return made


def fitted(folder, *, on_disk, **training):
    def cells():
        return majaj.dataset(folder, on_disk=on_disk)

    how = {"epochs": 4, "batch_size": 20, "loss": "mean_squared", "patience": 4, "checkpoint_minutes": 1e-9}
    return nf.models.Fit(
        nf.models.architectures.co_trained_cnn,
        data=cells,
        split={"validation": 0.2},
        scores=("correlation",),
        label="category",
        training=nf.models.Training(**how | training),
    )


@pytest.mark.slow
def test_training_from_disk_equals_training_in_memory_also_after_a_kill(folder, desks):
    memory, disk, killed = desks("memory"), desks("disk"), desks("killed")
    fits = {one: fitted(folder, on_disk=one) for one in (False, True)}
    metrics = memory.run(fits[False], **NETWORK)
    assert disk.run(fits[True], **NETWORK) == metrics
    with pytest.raises(Killed):
        killed.run(Dying(fits[True], 3), **NETWORK)
    assert killed.run(fits[True], **NETWORK) == metrics
    for other in (disk, killed):
        assert other.history() == memory.history()
        assert other.facts["data_hash"] == memory.facts["data_hash"]
        np.testing.assert_array_equal(other.array("predictions"), memory.array("predictions"))
        normalisations = [(one.last.folder / "normalisation.json").read_text() for one in (memory, other)]
        assert normalisations[0] == normalisations[1]
        for one, same in zip(weights(memory, fits[False]), weights(other, fits[True]), strict=True):
            np.testing.assert_array_equal(one, same)


@pytest.mark.slow
def test_a_file_that_ends_during_the_training_is_named(folder, desk, tmp_path):
    """It is cut to its first images when the first epoch has been trained."""
    copy = tmp_path / "majaj_2015"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    nf.datasets.convert_images("majaj_2015", tmp_path)
    fit, file = fitted(copy, on_disk=True), copy / "stimulus_train.npy"
    task = desk.task(**NETWORK)
    log = task.log

    def cutting(step, **numbers):
        log(step, **numbers)
        with file.open("r+b") as opened:
            opened.truncate(file.stat().st_size // 2)

    task.log = cutting
    with pytest.raises(DataError, match=r"stimulus_train\.npy ends before image"):
        fit(task)


@pytest.mark.slow
def test_other_fits_read_images_on_disk_into_memory(folder, desks):
    from neurofit.models.baselines import LinearFit, pixels
    from neurofit.models.linear_maps import MapFit

    for kind, how in ((LinearFit, {}), (MapFit, {"folds": 3})):
        found = []
        for on_disk in (False, True):

            def cells(on_disk=on_disk):
                return majaj.dataset(folder, on_disk=on_disk)

            desk = desks(f"{kind.__name__}-{on_disk}")
            found.append(desk.run(kind(pixels, data=cells, split={"validation": 0.2}), **how))
        assert found[0] == found[1]


def test_fewer_large_images_are_predicted_at_once():
    def part(size):
        images = np.broadcast_to(np.float32(0), (1000, size, size, 3))
        return data.Arrays({"image": images}, np.zeros((1000, 2)), None)

    assert rows_at_once(part(64)) == ROWS_AT_ONCE
    assert rows_at_once(part(224)) == 55
    assert rows_at_once(part(4000)) == 1


def test_float64_images_are_read_into_memory(folder):
    whole = majaj.dataset(folder, on_disk=True)
    assert isinstance(data.arrays(whole).inputs["image"], DiskImages)
    wide = data.arrays(whole, "float64").inputs["image"]
    np.testing.assert_array_equal(wide, majaj.dataset(folder).inputs["image"])
    assert wide.dtype == np.float64
