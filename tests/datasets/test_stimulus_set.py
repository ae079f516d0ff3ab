"""Stimulus sets read the same images from memory, .npy and HDF5, some at a time."""

import json
import multiprocessing
from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import given, strategies as st

from neurofit.datasets import PixelFormat, StimulusSet
from neurofit.datasets.pixels import IMAGENET
from neurofit.datasets.resizing import resized, weights
from neurofit.errors import DataError, ShapeError

STORED = replace(IMAGENET, axes="channels_first")


@pytest.fixture(scope="module")
def raw() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (23, 12, 10, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def stored(raw) -> np.ndarray:
    return np.moveaxis((raw / 255 - IMAGENET.mean) / IMAGENET.sd, -1, 1).astype(np.float32)


@pytest.fixture
def sets(tmp_path, stored):
    """One set of images, stored in four ways."""
    np.save(tmp_path / "images.npy", stored)
    with h5py.File(tmp_path / "images.h5", "w") as file:
        file.create_dataset("packed", data=stored, chunks=(4, 3, 12, 10), compression="gzip")
        file["plain"] = stored
    return {
        "array": StimulusSet.from_array("toy", stored, STORED),
        "npy": StimulusSet.from_npy("toy", tmp_path / "images.npy", STORED),
        "packed": StimulusSet.from_hdf5("toy", tmp_path / "images.h5", "packed", STORED),
        "plain": StimulusSet.from_hdf5("toy", tmp_path / "images.h5", "plain", STORED),
    }


def test_images_come_back_with_channels_last_wherever_they_are_stored(sets, stored):
    expected = np.moveaxis(stored, 1, -1)
    for one in sets.values():
        assert one.shape == (23, 12, 10, 3)
        assert one.pixels == IMAGENET
        np.testing.assert_array_equal(one.read(slice(None)), expected)
        np.testing.assert_array_equal(one.read([3, 3, 22, 0, -1]), expected[[3, 3, 22, 0, -1]])
        np.testing.assert_array_equal(one.read(np.arange(23) % 5 == 0), expected[::5])
        np.testing.assert_array_equal(one.read(slice(20, 2, -7)), expected[20:2:-7])
        assert one.read([]).shape == (0, 12, 10, 3)


@given(st.lists(st.integers(0, 22), max_size=30))
def test_any_rows_are_read_in_the_order_asked_for(tmp_path_factory, raw, rows):
    path = tmp_path_factory.getbasetemp() / "any.npy"
    if not path.exists():
        np.save(path, raw)
    np.testing.assert_array_equal(StimulusSet.from_npy("toy", path, PixelFormat()).read(rows), raw[rows])


def test_blocks_are_all_images_in_order(sets, stored):
    for one in sets.values():
        rows, images = zip(*one.blocks(5))
        assert [(row.start, row.stop) for row in rows] == [(0, 5), (5, 10), (10, 15), (15, 20), (20, 23)]
        np.testing.assert_array_equal(np.concatenate(images), np.moveaxis(stored, 1, -1))


@pytest.mark.parametrize(("chunk", "expected"), [(1, 55), (10, 50), (162, 162), (2592, 55)])
def test_blocks_are_whole_chunks_unless_these_are_too_large(chunk, expected):
    class Source:
        shape, dtype = (2592, 3, 224, 224), np.dtype(np.float32)

        def range(self, start, stop):
            return np.zeros((stop - start, 3, 224, 224), np.float32)

    source = Source()
    source.chunk = chunk
    rows, images = next(StimulusSet.of("published", source, STORED).blocks())
    assert (rows.start, rows.stop) == (0, expected)
    assert images.shape == (expected, 224, 224, 3)


def test_the_hash_depends_on_the_values_and_on_nothing_else(sets, stored, raw):
    hashes = {one.hash() for one in sets.values()}
    assert len(hashes) == 1
    changed = stored.copy()
    changed[22, 2, 11, 9] += 1e-6
    assert StimulusSet.from_array("toy", changed, STORED).hash() not in hashes
    assert StimulusSet.from_array("toy", raw, PixelFormat()).hash() not in hashes
    assert StimulusSet.from_array("other", stored, STORED, labels={"a": range(23)}).hash() in hashes


def test_eight_bit_images_stay_eight_bit(raw):
    one = StimulusSet.from_array("toy", raw, PixelFormat())
    assert one.dtype == one.read([0]).dtype == np.uint8


class Counting:
    """A source that counts the images that are read."""

    chunk = 1

    def __init__(self, images):
        self.images, self.shape, self.dtype, self.count = images, images.shape, images.dtype, 0

    def range(self, start, stop):
        self.count += stop - start
        return self.images[start:stop]


def test_looking_at_one_batch_does_not_read_all_images(raw):
    source = Counting(raw)
    one = StimulusSet.of("toy", source, PixelFormat())
    source.count = 0
    one.read([1, 2, 20])
    assert source.count == 3


def test_another_size_is_refused_unless_resizing_is_asked_for(sets):
    one = sets["packed"]
    assert one.sized(12, 10) is one
    with pytest.raises(
        ShapeError, match=r"toy: images are 12×10 pixels, but 224×224 are needed.*resize=True"
    ):
        one.sized(224, 224)
    smaller = one.sized(6, 5, resize=True)
    assert smaller.shape == (23, 6, 5, 3)
    assert smaller.read([0, 1]).shape == (2, 6, 5, 3)
    recipe = json.loads(json.dumps(smaller.describe()))
    assert recipe["resize"] == {"from": [12, 10], "to": [6, 5], "method": "bilinear, antialiased"}
    assert one.describe()["resize"] is None
    assert smaller.hash() != one.hash()


def test_resizing_keeps_constant_images_and_the_mean():
    assert np.allclose(resized(np.full((1, 9, 7, 2), 3.0), 4, 20), 3)
    for before, after in ((9, 4), (4, 9), (5, 5), (224, 64), (7, 1)):
        np.testing.assert_allclose(weights(before, after).sum(axis=1), 1)
    np.testing.assert_allclose(weights(5, 5), np.eye(5))


@pytest.mark.slow
@pytest.mark.parametrize("size", [(5, 4), (24, 20), (7, 30), (12, 10)])
def test_resizing_agrees_with_tensorflow(raw, size):
    import tensorflow as tf

    expected = tf.image.resize(raw, size, antialias=True).numpy()
    np.testing.assert_allclose(resized(raw, *size), expected, atol=1e-3)


def test_sets_of_one_format_are_joined(sets, raw):
    both = StimulusSet.joined("both", [replace(sets["npy"], ids=np.arange(23) + 100), sets["packed"]])
    assert both.shape == (46, 12, 10, 3)
    single = sets["array"].read(slice(None))
    np.testing.assert_array_equal(both.read([45, 0, 22, 23]), single[[22, 0, 22, 0]])
    np.testing.assert_array_equal(both.read(slice(20, 30)), np.concatenate([single, single])[20:30])
    other = StimulusSet.from_array("other", raw, PixelFormat())
    with pytest.raises(ShapeError, match="cannot be joined: sizes and pixel formats must be equal"):
        StimulusSet.joined("both", [sets["npy"], other])


def _hash(one):
    return one.hash()


@pytest.mark.process
def test_a_set_can_be_read_after_a_fork(sets):
    expected = sets["packed"].hash()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(_hash, [sets["packed"]] * 4) == [expected] * 4


def test_labels_are_asked_for_by_name(raw):
    one = StimulusSet.from_array("toy", raw, PixelFormat(), labels={"object": ["bear"] * 23})
    assert one.label("object")[0] == "bear"
    with pytest.raises(DataError, match=r"toy: no label 'objekt'\. Labels: object\. Did you mean 'object'"):
        one.label("objekt")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ids": [1, 2]}, r"ids has shape \(2,\), but there are 23 images"),
        ({"labels": {"object": ["a"]}}, r"object has shape \(1,\), but there are 23 images"),
        ({"ids": [0] * 23}, "ids must be unique"),
    ],
)
def test_what_does_not_fit_the_images_is_refused(raw, fields, message):
    with pytest.raises(DataError, match=message):
        StimulusSet.from_array("toy", raw, PixelFormat(), **fields)


def test_images_that_are_not_as_declared_are_refused_at_once(raw, stored):
    with pytest.raises(DataError, match=r"toy: images \(8, 12, 10, 3\), declared as rgb 0…1, .*0…255"):
        StimulusSet.from_array("toy", raw, PixelFormat(0, 1))
    with pytest.raises(DataError, match="look like channels first"):
        StimulusSet.from_array("toy", stored, IMAGENET)


def test_files_that_are_damaged_are_named(tmp_path, stored, sets):
    path = tmp_path / "images.npy"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"images\.npy ends before image 23: .* incomplete"):
        sets["npy"].read([22])
    path.write_bytes(b"no array")
    with pytest.raises(DataError, match=r"images\.npy cannot be read as a NumPy array"):
        StimulusSet.from_npy("toy", path, STORED)
    np.save(path, np.asfortranarray(stored))
    with pytest.raises(DataError, match="must hold numbers in C order"):
        StimulusSet.from_npy("toy", path, STORED)
    path = tmp_path / "images.h5"
    with pytest.raises(DataError, match=r"no array 'pakced'\. Arrays in this file: packed, plain\. Did you"):
        StimulusSet.from_hdf5("toy", path, "pakced", STORED)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"images\.h5 \(5000 bytes\) cannot be read as an HDF5 file"):
        sets["packed"].read([0])
    path.unlink()
    with pytest.raises(DataError, match=r"images\.h5: no such file"):
        sets["packed"].read([0])
