"""Features of other programs are copied in the order of the images, with their origin."""

from __future__ import annotations

import numpy as np
import pytest
from numpy_network import stimuli

from neurofit import features
from neurofit.datasets import StimulusSet
from neurofit.errors import DataError, ShapeError

OTHER = {"network": "torchvision resnet50", "layer": "layer3", "origin": "torchvision 0.20, IMAGENET1K_V2"}


@pytest.fixture
def made(tmp_path, images):
    values = np.random.default_rng(1).standard_normal((100, 4, 3, 3))
    np.save(tmp_path / "layer3.npy", values)
    return tmp_path / "layer3.npy", values


def test_they_are_stored_as_float32_with_their_origin(study, images, made):
    path, values = made
    found = features.register(path, images, ids=images.ids, study=study, **OTHER)
    assert found.shape == (100, 36) and found.unit_shape == (4, 3, 3)
    np.testing.assert_array_equal(found.read(), values.reshape(100, -1).astype(np.float32))
    assert found.record.origin["how"] == OTHER["origin"] and found.record.origin["reordered"] is False
    assert features.open(found.key[:10], study=study).record == found.record
    assert features.register(path, images, ids=images.ids, study=study, **OTHER).record == found.record


def test_rows_in_another_order_are_put_into_that_of_the_images(study, images, made):
    path, values = made
    order = np.random.default_rng(2).permutation(100)
    found = features.register(path, images, ids=images.ids[order], study=study, **OTHER)
    np.testing.assert_array_equal(found.read()[order], values.reshape(100, -1).astype(np.float32))
    assert found.record.origin["reordered"] is True


@pytest.mark.process  # h5py asks uname
def test_an_hdf5_file_needs_the_name_of_its_array(study, images, made, tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "timm.h5", "w") as file:
        file["blocks.3"] = made[1]
    with pytest.raises(DataError, match="give key="):
        features.register(tmp_path / "timm.h5", images, ids=images.ids, study=study, **OTHER)
    found = features.register(
        tmp_path / "timm.h5", images, ids=images.ids, key="blocks.3", study=study, **OTHER
    )
    np.testing.assert_array_equal(found.read(), made[1].reshape(100, -1).astype(np.float32))


def test_other_images_are_refused(study, images, made):
    path, _ = made
    ids = [*images.ids[:-1], "image 1000"]
    with pytest.raises(DataError, match="no row for 1 of the 100 images of noise; the first is 'image 99'"):
        features.register(path, images, ids=ids, study=study, **OTHER)
    with pytest.raises(ShapeError, match="has 100 rows, but 99 ids"):
        features.register(path, images, ids=images.ids[:-1], study=study, **OTHER)
    with pytest.raises(DataError, match="repeat"):
        features.register(path, images, ids=["image 0"] * 100, study=study, **OTHER)


def test_files_of_another_kind_are_refused(study, images, tmp_path):
    (tmp_path / "features.pkl").write_bytes(b"")
    np.save(tmp_path / "flat.npy", np.zeros(100))
    given = {"ids": images.ids, "study": study, **OTHER}
    with pytest.raises(DataError, match=r"expected a \.npy file, or an HDF5 file"):
        features.register(tmp_path / "features.pkl", images, **given)
    with pytest.raises(ShapeError, match=r"expected numbers, \(image, unit\)"):
        features.register(tmp_path / "flat.npy", images, **given)
    with pytest.raises(DataError, match="origin is empty"):
        features.register(tmp_path / "flat.npy", images, **{**given, "origin": " "})


def test_a_part_of_the_rows_may_be_used(study, made):
    path, values = made
    every = stimuli(100)
    few = StimulusSet.from_array("few", every.read([3, 50, 4]), every.pixels, ids=every.ids[[3, 50, 4]])
    found = features.register(path, few, ids=[f"image {n}" for n in range(100)], study=study, **OTHER)
    np.testing.assert_array_equal(found.read(), values.reshape(100, -1).astype(np.float32)[[3, 50, 4]])
